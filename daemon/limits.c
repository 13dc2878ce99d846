/* SPDX-License-Identifier: Apache-2.0 */

#include "limits.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgw_cpus.h"

/* ---- control group ---------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int err = 0;

    if (fd < 0) {
        return errno;
    }
    if (write(fd, text, strlen(text)) < 0) {
        err = errno;
    }
    close(fd);
    return err;
}

/* "memory.max" -> "memory" for the parent, which refuses what it has already
 * without harm. Where it refuses more, the file itself is missing, which says it. */
static void enable_controller(const char *parent, const char *file, apr_pool_t *p)
{
    const char *name = apr_pstrndup(p, file, strcspn(file, "."));

    if (write_file(apr_pstrcat(p, parent, "/cgroup.subtree_control", NULL),
                   apr_pstrcat(p, "+", name, NULL))) {
        return;
    }
}

/* Each entry is <file>=<value>. */
static int write_settings(const cgw_spec *spec, const char **what, apr_pool_t *p)
{
    const char *slash = strrchr(spec->cgroup_dir, '/');
    const char *parent = apr_pstrndup(p, spec->cgroup_dir,
                                      (apr_size_t)(slash - spec->cgroup_dir));

    for (int i = 0; i < spec->cgroup->nelts; i++) {
        const char *entry = APR_ARRAY_IDX(spec->cgroup, i, const char *);
        apr_size_t len = strcspn(entry, "=");
        const char *file = apr_pstrndup(p, entry, len);
        int err;

        *what = apr_pstrcat(p, spec->cgroup_dir, "/", file, NULL);
        if (access(*what, F_OK) < 0) {
            enable_controller(parent, file, p);
        }
        err = entry[len] ? write_file(*what, entry + len + 1) : EINVAL;
        if (err) {
            return err;
        }
    }
    return 0;
}

static int make_cgroup(cgwd_limits *limits, const cgw_spec *spec,
                       const char **what, apr_pool_t *p)
{
    int err;

    *what = spec->cgroup_dir;
    if (mkdir(spec->cgroup_dir, 0755) < 0 && errno != EEXIST) {
        return errno;
    }
    err = write_settings(spec, what, p);
    if (err) {
        return err;
    }
    *what = apr_pstrcat(p, spec->cgroup_dir, "/cgroup.procs", NULL);
    limits->procs = open(*what, O_WRONLY | O_CLOEXEC);
    limits->cgroup = spec->cgroup_dir;
    return limits->procs < 0 ? errno : 0;
}

void cgwd_limits_forget(const cgw_spec *spec)
{
    if (spec->cgroup_dir && rmdir(spec->cgroup_dir) < 0) {
        return; /* processes are in it that end later, or it was never made */
    }
}

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
    return spec->cgroup_dir ? make_cgroup(limits, spec, what, p) : 0;
}

void cgwd_limits_close(cgwd_limits *limits)
{
    if (limits->procs >= 0) {
        close(limits->procs);
        limits->procs = -1;
    }
}

static const char *const directives[] = {
#define X(symbol, name) [RLIMIT_##symbol] = "CGatewayLimit " name
    X(AS, "as"), X(CORE, "core"), X(CPU, "cpu"), X(DATA, "data"), X(FSIZE, "fsize"),
    X(MEMLOCK, "memlock"), X(MSGQUEUE, "msgqueue"), X(NICE, "nice"),
    X(NOFILE, "nofile"), X(NPROC, "nproc"), X(RTPRIO, "rtprio"), X(RTTIME, "rttime"),
    X(SIGPENDING, "sigpending"), X(STACK, "stack"),
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
