/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_STALL_H
#define CGWD_STALL_H

#include <stdint.h>
#include <sys/types.h>

#include "loop.h"
#include "supervisor.h"

struct cgwd_generation;
struct cgwd_process;

/*
 * Processes that do not run at all, so that not even their watchdog
 * (worker/watchdog.h) can say that something is late: stopped by a signal,
 * traced, in a frozen control group, or hanging in the kernel. Two witnesses:
 * the kernel, which tells a parent of a child that is stopped and continued; and
 * the scoreboard, where the watchdog leaves the time of each look that it takes
 * at a request.
 */
typedef struct cgwd_stall {
    cgwd_timer stopped;         /* runs while the kernel says that it is */
    uint64_t watched;           /* cgwd_board_watched(), at the last look */
    int64_t silent;             /* ms of looks at requests without a change */
    int64_t looked;             /* cgwd_now() of the last look */
} cgwd_stall;

void cgwd_stall_init(struct cgwd_process *proc);
void cgwd_stall_end(struct cgwd_process *proc);
/* The kernel says that pid was stopped, or continued. */
void cgwd_stall_take(cgwd_supervisor *sup, pid_t pid, int is_stopped);
/* Every CGWD_SAMPLE_MS: a worker with requests whose watchdog does not look is
 * replaced once one of them is late, or CGatewayDeadlockTimeout is over. A look that
 * comes too late itself tells nothing: machine or container may have been suspended. */
void cgwd_stall_look(struct cgwd_process *proc);

/* Ends a template that does not do what it is there for; forks that it still
 * owes are given up without a word. The next one may be started at once. */
void cgwd_stall_end_template(struct cgwd_generation *gen);

/* What a process does, by the letter of proc(5); NULL for one that runs. */
const char *cgwd_stall_word(char letter);

#endif
