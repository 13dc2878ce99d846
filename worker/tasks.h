/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_TASKS_H
#define CGWW_TASKS_H

/* The threads of this process. Takes no memory: one of them may hang while it has
 * the allocator's lock. */

#include <sys/types.h>

/* Calls back for each but the caller's own. */
void cgww_tasks_each(void (*call)(pid_t tid, void *baton), void *baton);

#endif
