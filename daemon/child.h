/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CHILD_H
#define CGWD_CHILD_H

/* What the kernel says of the supervisor's children. Fuzzers, whose processes are
 * none, replace it. */

#include <sys/types.h>

#include "supervisor.h"

/* Whether it is one, that runs or has not been reaped. */
int cgwd_child_is(pid_t pid);
/* The same, and no process of a group is known by that pid: it may say that it is
 * one. */
int cgwd_child_is_new(const cgwd_supervisor *sup, pid_t pid);
/* The letter of proc(5) for what its first thread does; '?' where it cannot be had. */
char cgwd_child_state(pid_t pid);
/* Whether it has ended, or the kernel is about to close what it has open. */
int cgwd_child_is_ending(pid_t pid);

#endif
