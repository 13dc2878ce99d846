/* SPDX-License-Identifier: Apache-2.0 */

#include "mount.h"

#include <stdbool.h>
#include <stdlib.h>

#include "definition.h"

static const char *shown(const cgwm_mount *mount)
{
    return mount->prefix_len ? mount->prefix : "/";
}

static void bind_named(cgwm_report *report, cgwm_mount *mount)
{
    mount->group = cgwm_group_find(report->main_server, mount->group_name);
    if (!mount->group) {
        cgwm_report_error(report, CGW_LOGNO(0060) "CGatewayMount %s %s (%s): no group "
            "has that name. Define it with <CGatewayGroup %s>, or correct the name.",
            shown(mount), mount->group_name, mount->where, mount->group_name);
    }
}

static void bind_own(cgwm_report *report, cgwm_server_conf *conf,
                     cgwm_mount *mount, cgwm_group *own)
{
    mount->group = own;
    if (!conf->own) {
        cgwm_report_error(report, CGW_LOGNO(0061) "CGatewayMount %s (%s) names no "
            "group, and this server has no group of its own. Add CGatewayApplication "
            "beside it, or name a <CGatewayGroup> as the second word.",
            shown(mount), mount->where);
    }
}

static bool bind_all(cgwm_report *report, cgwm_server_conf *conf, cgwm_group *own)
{
    bool own_is_mounted = false;

    for (int i = 0; i < conf->mounts->nelts; i++) {
        cgwm_mount *mount = &APR_ARRAY_IDX(conf->mounts, i, cgwm_mount);
        if (mount->group_name) {
            bind_named(report, mount);
        }
        else {
            bind_own(report, conf, mount, own);
            own_is_mounted = true;
        }
    }
    return own_is_mounted;
}

static int compare_mounts(const void *va, const void *vb)
{
    const cgwm_mount *a = va, *b = vb;

    if (a->prefix_len != b->prefix_len) {
        return a->prefix_len < b->prefix_len ? 1 : -1;
    }
    return strcmp(a->prefix, b->prefix);
}

/* Sorted, equal prefixes are neighbours. */
static void report_duplicates(cgwm_report *report, const cgwm_server_conf *conf)
{
    for (int i = 1; i < conf->mounts->nelts; i++) {
        const cgwm_mount *a = &APR_ARRAY_IDX(conf->mounts, i - 1, cgwm_mount);
        const cgwm_mount *b = &APR_ARRAY_IDX(conf->mounts, i, cgwm_mount);
        if (!strcmp(a->prefix, b->prefix)) {
            cgwm_report_error(report, CGW_LOGNO(0062) "CGatewayMount %s is given twice "
                "in one server: at %s and at %s. Remove one of the two. (The server's "
                "own group is mounted at / unless a CGatewayMount without group names "
                "another prefix.)", shown(a), a->where, b->where);
        }
    }
}

void cgwm_mounts_bind(cgwm_report *report, cgwm_server_conf *conf,
                      cgwm_group *own)
{
    if (!bind_all(report, conf, own) && own) {
        APR_ARRAY_PUSH(conf->mounts, cgwm_mount) =
            (cgwm_mount){.prefix = "", .where = conf->own->where, .group = own};
    }
    qsort(conf->mounts->elts, (size_t)conf->mounts->nelts, sizeof(cgwm_mount),
          compare_mounts);
    report_duplicates(report, conf);
}

const cgwm_mount *cgwm_mount_find(const cgwm_server_conf *conf, const char *uri)
{
    if (*uri != '/') {
        return NULL;
    }
    for (int i = 0; i < conf->mounts->nelts; i++) {
        const cgwm_mount *mount = &APR_ARRAY_IDX(conf->mounts, i, cgwm_mount);
        char after;

        if (strncmp(uri, mount->prefix, mount->prefix_len) != 0) {
            continue;
        }
        after = uri[mount->prefix_len];
        if (after == '/' || after == '\0') {
            return mount;
        }
    }
    return NULL;
}
