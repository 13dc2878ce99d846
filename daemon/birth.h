/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_BIRTH_H
#define CGWD_BIRTH_H

#include "process.h"

/* How a generation gets its processes: each with a control channel, a pipe for what
 * it prints and, if it is a worker, a scoreboard. What fails is logged. */

/* A new process, exec'ed; NULL where that failed. */
cgwd_process *cgwd_birth_exec(struct cgwd_generation *gen);
/* It has said what to watch: it may load the application now. Killed where it cannot be
 * told. */
void cgwd_birth_load(cgwd_process *proc);
/* A worker forked by the generation's template; its pid comes later. */
cgwd_process *cgwd_birth_fork(struct cgwd_generation *gen);
/* One that was exec'ed and has imported the application becomes a worker; it is
 * killed where that fails. */
void cgwd_birth_serve(cgwd_process *proc);

#endif
