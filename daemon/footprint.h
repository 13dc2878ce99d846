/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_FOOTPRINT_H
#define CGWD_FOOTPRINT_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes that a process has in memory. With pss, what others have, too, is
 * divided among them. -1 where it cannot be told. */
int64_t cgwd_footprint(pid_t pid, int pss);

/* Milliseconds of processor time that a process has used; -1 likewise. */
int64_t cgwd_cpu_ms(pid_t pid);

#endif
