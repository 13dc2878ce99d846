/* SPDX-License-Identifier: Apache-2.0 */

#include "cgroup.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgw_cgroup.h"
#include "group.h"

/* ---- made ------------------------------------------------------------------------ */

static const struct setting {
    const char *file, *unset;
} settings[] = {
#define X(file, kind, unset) {file, unset},
    CGW_CGROUP_TABLE(X)
#undef X
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

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

static int is_configured(const cgw_spec *spec, const char *file)
{
    apr_size_t len = strlen(file);

    for (int i = 0; i < spec->cgroup->nelts; i++) {
        const char *entry = APR_ARRAY_IDX(spec->cgroup, i, const char *);
        if (!strncmp(entry, file, len) && entry[len] == '=') {
            return 1;
        }
    }
    return 0;
}

/* What an earlier configuration set, and this one does not. */
static int unset_others(const cgw_spec *spec, const char **what, apr_pool_t *p)
{
    int err;

    for (size_t i = 0; i < SETTINGS; i++) {
        if (is_configured(spec, settings[i].file)) {
            continue;
        }
        *what = apr_pstrcat(p, spec->cgroup_dir, "/", settings[i].file, NULL);
        err = access(*what, F_OK) < 0 ? 0 : write_file(*what, settings[i].unset);
        if (err) {
            return err;
        }
    }
    return 0;
}

int cgwd_cgroup_make(const cgw_spec *spec, const char **what, apr_pool_t *p)
{
    int was_there = 0, err;

    *what = spec->cgroup_dir;
    if (mkdir(spec->cgroup_dir, 0755) < 0) {
        if (errno != EEXIST) {
            return errno;
        }
        was_there = 1;
    }
    err = write_settings(spec, what, p);
    return err || !was_there ? err : unset_others(spec, what, p);
}

/* ---- removed ----------------------------------------------------------------------- */

/* A directory that processes are still in. */
struct cgwd_left_cgroup {
    struct cgwd_left_cgroup *next;
    char dir[];
};

static int is_wanted(const cgwd_supervisor *sup, const char *dir)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        const char *wanted;
        void *group;

        apr_hash_this(i, NULL, NULL, &group);
        wanted = ((cgwd_group *)group)->spec->cgroup_dir;
        if (wanted && !strcmp(wanted, dir)) {
            return 1;
        }
    }
    return 0;
}

/* Removes it, unless processes are in it. */
static int is_busy(const char *dir)
{
    return rmdir(dir) < 0 && (errno == EBUSY || errno == ENOTEMPTY);
}

void cgwd_cgroup_leave(cgwd_supervisor *sup, const char *dir)
{
    struct cgwd_left_cgroup *left;

    if (!dir || is_wanted(sup, dir) || !is_busy(dir)) {
        return;
    }
    left = malloc(sizeof(*left) + strlen(dir) + 1);
    if (left) {
        memcpy(left->dir, dir, strlen(dir) + 1);
        left->next = sup->left_cgroups;
        sup->left_cgroups = left;
    }
}

void cgwd_cgroup_sweep(cgwd_supervisor *sup)
{
    struct cgwd_left_cgroup **at = &sup->left_cgroups;

    while (*at) {
        struct cgwd_left_cgroup *left = *at;
        if (!is_wanted(sup, left->dir) && is_busy(left->dir)) {
            at = &left->next;
            continue;
        }
        *at = left->next;
        free(left);
    }
}

void cgwd_cgroup_end(cgwd_supervisor *sup)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        const char *dir;
        void *group;

        apr_hash_this(i, NULL, NULL, &group);
        dir = ((cgwd_group *)group)->spec->cgroup_dir;
        if (dir) {
            rmdir(dir); /* unless another supervisor's processes are in it */
        }
    }
    for (struct cgwd_left_cgroup *left = sup->left_cgroups, *next; left; left = next) {
        next = left->next;
        rmdir(left->dir);
        free(left);
    }
}
