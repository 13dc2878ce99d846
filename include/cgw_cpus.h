/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_CPUS_H
#define CGW_CPUS_H

#include <sched.h>

/* A list of processors as the kernel writes it, "0-3,6": numbers from 0 to
 * CPU_SETSIZE - 1. Returns 1, and 0 where it is malformed. */
int cgw_cpus_parse(const char *text, cpu_set_t *set);

#endif
