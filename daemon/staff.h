/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_STAFF_H
#define CGWD_STAFF_H

#include "generation.h"

/* The workers of a generation: how many there are to be, and who takes whose
 * place. */

void cgwd_staff_init(cgwd_generation *gen);

/* How many workers there are to be: what the group's load asks for, within
 * CGatewayProcesses. */
unsigned cgwd_staff_wanted(const cgwd_generation *gen);
/* That number has changed. */
void cgwd_staff_resize(cgwd_generation *gen);

/* Start what is missing, the template first. A worker that is to be replaced
 * counts as missing already, and serves until its successor does. */
void cgwd_staff_fill(cgwd_generation *gen);
/* The same after a failure: as soon as the backoff lets. */
void cgwd_staff_fill_later(cgwd_generation *gen);
/* The same after the end of one that had done well, a request's fault perhaps: at
 * once, but no more than 10 workers a second. */
void cgwd_staff_fill_soon(cgwd_generation *gen);

/* A worker has begun to serve: one that waited for its successor may go, the
 * next may be started. */
void cgwd_staff_serves(cgwd_generation *gen);
/* A worker that was relieved has gone. */
void cgwd_staff_relieved(cgwd_generation *gen);

#endif
