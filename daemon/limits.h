/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_LIMITS_H
#define CGWD_LIMITS_H

#include <sched.h>
#include <sys/resource.h>

#include "cgw_spec.h"

#define CGWD_RESOURCES_MAX 16

/* What a process of a group may use of the machine: resource limits, priority,
 * processors, control group. Made in the supervisor, applied in the child before
 * it becomes the group's user; forked workers inherit it. */
typedef struct cgwd_limits {
    struct { int resource; struct rlimit64 value; } resources[CGWD_RESOURCES_MAX];
    int nresources;
    int nice;               /* CGW_NICE_INHERITED: not set */
    int has_cpus;
    cpu_set_t cpus;
    const char *cgroup;     /* its directory, NULL: none */
    int procs;              /* the file to join it by, -1: none */
} cgwd_limits;

/* Makes the control group, too. 0 or an errno, that of the control group;
 * *what then names the file. Spec and limits share strings. */
int cgwd_limits_plan(cgwd_limits *limits, const cgw_spec *spec,
                     const char **what, apr_pool_t *p);
/* In the child of fork: async-signal-safe. NULL, or the directive that failed,
 * with errno. */
const char *cgwd_limits_apply(const cgwd_limits *limits);
void cgwd_limits_close(cgwd_limits *limits);

#endif
