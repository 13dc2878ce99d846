/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CHECK_H
#define CGWD_CHECK_H

#include "supervisor.h"

/* A process that imports a group's application as a worker would, says what it met
 * and ends: "cgatewayctl check". It is no process of a generation, and its output
 * goes to who asked for it. */

/* The kernel has reaped a process that is none of a group's: whether it was one of
 * these. */
int cgwd_check_reaped(cgwd_supervisor *sup, pid_t pid, int status);

#endif
