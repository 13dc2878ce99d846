/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_TALLY_H
#define CGWM_TALLY_H

/* What all children of httpd count together about a group, so that a flood of
 * one kind of failure makes a line of the log a second and not one each. */

#include "apr_pools.h"

enum cgwm_tally_kind {
    CGWM_TALLY_FULL,        /* refused: the queue was full */
    CGWM_TALLY_LATE,        /* refused: waited too long */
    CGWM_TALLY_UNAVAILABLE, /* refused: no worker could be started */
    CGWM_TALLY_LOST,        /* refused: no socket to connect to */
    CGWM_TALLY_KINDS
};

typedef struct cgwm_tally cgwm_tally;

/* n of them, shared by this process and those it forks from now on; unmapped
 * with p. Where the system has no memory to share, each process counts for
 * itself. cgwm_tally_of: the i-th. */
cgwm_tally *cgwm_tallies_create(unsigned n, apr_pool_t *p);
cgwm_tally *cgwm_tally_of(cgwm_tally *tallies, unsigned i);

/* One request more waits for the group's socket: 0 where as many as `most` do. */
int cgwm_tally_enter(cgwm_tally *tally, unsigned most);
void cgwm_tally_leave(cgwm_tally *tally);

/* Counts one. Where a line of the log is due: how many there were since the
 * last one, with this one; else 0. */
unsigned cgwm_tally_count(cgwm_tally *tally, enum cgwm_tally_kind kind);

#endif
