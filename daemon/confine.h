/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CONFINE_H
#define CGWD_CONFINE_H

#include <sched.h>
#include <sys/resource.h>

#include "cgw_spec.h"

#define CGWD_LIMITS_MAX 16

/* What a process of a group may use of the machine: resource limits, priority,
 * processors, control group. Made in the supervisor, applied in the child before
 * it becomes the group's user; forked workers inherit it. */
typedef struct cgwd_confine {
    struct { int resource; struct rlimit value; } limits[CGWD_LIMITS_MAX];
    int nlimits;
    int nice;               /* CGW_NICE_INHERITED: not set */
    int has_cpus;
    cpu_set_t cpus;
    const char *cgroup;     /* its directory, NULL: none */
    int procs;              /* the file to join it by, -1: none */
} cgwd_confine;

/* Makes the control group, too. 0 or an errno, that of the control group;
 * *what then names the file. Spec and confine share strings. */
int cgwd_confine_plan(cgwd_confine *confine, const cgw_spec *spec,
                      const char **what, apr_pool_t *p);
/* In the child of fork: async-signal-safe. NULL, or the directive that failed,
 * with errno. */
const char *cgwd_confine_apply(const cgwd_confine *confine);
void cgwd_confine_close(cgwd_confine *confine);

/* Remove the group's control group, where nobody is in it. */
void cgwd_confine_forget(const cgw_spec *spec);

#endif
