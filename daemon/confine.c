/* SPDX-License-Identifier: Apache-2.0 */

#include "confine.h"

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

static int make_cgroup(cgwd_confine *confine, const cgw_spec *spec,
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
    confine->procs = open(*what, O_WRONLY | O_CLOEXEC);
    confine->cgroup = spec->cgroup_dir;
    return confine->procs < 0 ? errno : 0;
}

void cgwd_confine_forget(const cgw_spec *spec)
{
    if (spec->cgroup_dir && rmdir(spec->cgroup_dir) < 0) {
        return; /* processes are in it that end later, or it was never made */
    }
}

/* ---- the plan ---------------------------------------------------------------- */

/* "resource soft hard", numbers; -1 is RLIM_INFINITY */
static void plan_limit(cgwd_confine *confine, const char *entry)
{
    char *end;
    long resource = strtol(entry, &end, 10);
    long long soft = strtoll(end, &end, 10);
    long long hard = strtoll(end, &end, 10);

    if (!*end && confine->nlimits < CGWD_LIMITS_MAX) {
        confine->limits[confine->nlimits].resource = (int)resource;
        confine->limits[confine->nlimits++].value =
            (struct rlimit){.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
    }
}

int cgwd_confine_plan(cgwd_confine *confine, const cgw_spec *spec,
                      const char **what, apr_pool_t *p)
{
    memset(confine, 0, sizeof(*confine));
    confine->procs = -1;
    confine->nice = (int)spec->nice;
    for (int i = 0; i < spec->limits->nelts; i++) {
        plan_limit(confine, APR_ARRAY_IDX(spec->limits, i, const char *));
    }
    confine->has_cpus = spec->cpus && cgw_cpus_parse(spec->cpus, &confine->cpus);
    return spec->cgroup_dir ? make_cgroup(confine, spec, what, p) : 0;
}

void cgwd_confine_close(cgwd_confine *confine)
{
    if (confine->procs >= 0) {
        close(confine->procs);
        confine->procs = -1;
    }
}

/* ---- in the child -------------------------------------------------------------- */

const char *cgwd_confine_apply(const cgwd_confine *confine)
{
    if (confine->cgroup && write(confine->procs, "0", 1) != 1) {
        return "CGatewayCgroup";
    }
    for (int i = 0; i < confine->nlimits; i++) {
        if (setrlimit((__rlimit_resource_t)confine->limits[i].resource,
                      &confine->limits[i].value) < 0) {
            return "CGatewayLimit";
        }
    }
    if (confine->nice != CGW_NICE_INHERITED
        && setpriority(PRIO_PROCESS, 0, confine->nice) < 0) {
        return "CGatewayNice";
    }
    if (confine->has_cpus
        && sched_setaffinity(0, sizeof(confine->cpus), &confine->cpus) < 0) {
        return "CGatewayCPUAffinity";
    }
    return NULL;
}
