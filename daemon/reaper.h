/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_REAPER_H
#define CGWD_REAPER_H

#include "supervisor.h"

/* Signals as bytes: SIGCHLD reaps, SIGTERM ends. 0 or errno. The supervisor is
 * the subreaper of everything below it, so nothing that a worker leaves behind
 * escapes. */
int cgwd_reaper_listen(cgwd_supervisor *sup);

/* Take what has been signalled until now. */
void cgwd_reaper_take(cgwd_supervisor *sup);
/* Kills every process below this one until none is left. Returns how many
 * could not be ended (they hang in the kernel). */
int cgwd_reaper_sweep(void);

#endif
