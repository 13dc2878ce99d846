/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_MEMORY_H
#define CGWD_MEMORY_H

#include "process.h"

struct cgwd_generation;

/* CGatewayMaxMemory: workers that have grown too big are replaced, their
 * successors serving first; those beyond the hard limit are killed. */
typedef struct cgwd_memory {
    cgwd_timer timer;
    int64_t imported;       /* bytes of a process that has just imported */
} cgwd_memory;

void cgwd_memory_init(struct cgwd_generation *gen);
/* A process has imported the application, and does nothing else yet. */
void cgwd_memory_imported(struct cgwd_generation *gen, const cgwd_process *proc);
void cgwd_memory_stop(struct cgwd_generation *gen);

#endif
