/* SPDX-License-Identifier: Apache-2.0 */

#include "limits.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "cgw_cpus.h"
#include "cgw_rlimits.h"

/* ---- the plan ---------------------------------------------------------------- */

/* "resource soft hard", numbers; -1 is RLIM_INFINITY */
static void plan_limit(cgwd_limits *limits, const char *entry)
{
    char *end;
    long resource = strtol(entry, &end, 10);
    long long soft = strtoll(end, &end, 10);
    long long hard = strtoll(end, &end, 10);

    if (!*end && limits->nresources < CGWD_RESOURCES_MAX) {
        limits->resources[limits->nresources].resource = (int)resource;
        limits->resources[limits->nresources++].value =
            (struct rlimit64){.rlim_cur = (rlim64_t)soft,
                              .rlim_max = (rlim64_t)hard};
    }
}

static int plan_cgroup(cgwd_limits *limits, const cgw_spec *spec, const char **what,
                       apr_pool_t *p)
{
    int err = cgwd_cgroup_make(spec, what, p);

    if (err) {
        return err;
    }
    *what = apr_pstrcat(p, spec->cgroup_dir, "/cgroup.procs", NULL);
    limits->procs = open(*what, O_WRONLY | O_CLOEXEC);
    limits->cgroup = spec->cgroup_dir;
    return limits->procs < 0 ? errno : 0;
}

int cgwd_limits_plan(cgwd_limits *limits, const cgw_spec *spec,
                     const char **what, apr_pool_t *p)
{
    memset(limits, 0, sizeof(*limits));
    limits->procs = -1;
    limits->nice = (int)spec->nice;
    for (int i = 0; i < spec->limits->nelts; i++) {
        plan_limit(limits, APR_ARRAY_IDX(spec->limits, i, const char *));
    }
    limits->has_cpus = spec->cpus && cgw_cpus_parse(spec->cpus, &limits->cpus);
    return spec->cgroup_dir ? plan_cgroup(limits, spec, what, p) : 0;
}

void cgwd_limits_close(cgwd_limits *limits)
{
    if (limits->procs >= 0) {
        close(limits->procs);
        limits->procs = -1;
    }
}

static const char *const directives[] = {
#define X(symbol, name, is_size) [RLIMIT_##symbol] = "CGatewayLimit " name,
    CGW_RLIMIT_TABLE(X)
#undef X
};

static const char *directive_of(int resource)
{
    size_t n = sizeof(directives) / sizeof(directives[0]);

    return resource >= 0 && (size_t)resource < n && directives[resource]
               ? directives[resource] : "CGatewayLimit";
}

/* ---- in the child -------------------------------------------------------------- */

const char *cgwd_limits_apply(const cgwd_limits *limits)
{
    if (limits->cgroup && write(limits->procs, "0", 1) != 1) {
        return "CGatewayCgroup";
    }
    for (int i = 0; i < limits->nresources; i++) {
        if (setrlimit64((__rlimit_resource_t)limits->resources[i].resource,
                        &limits->resources[i].value) < 0) {
            return directive_of(limits->resources[i].resource);
        }
    }
    if (limits->nice != CGW_NICE_INHERITED
        && setpriority(PRIO_PROCESS, 0, limits->nice) < 0) {
        return "CGatewayNice";
    }
    if (limits->has_cpus
        && sched_setaffinity(0, sizeof(limits->cpus), &limits->cpus) < 0) {
        return "CGatewayCPUAffinity";
    }
    return NULL;
}
