/* SPDX-License-Identifier: Apache-2.0 */

#include "trail.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* As many as the kernel follows. */
#define LINKS_MAX 40
#define PLACE (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* Never asks a server of files, which may be one of the site's. */
static bool look(int fd, struct statx *st)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_MODE | STATX_UID | STATX_GID, st) == 0;
}

static bool has_access_list(int fd)
{
    char name[32];

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return getxattr(name, "system.posix_acl_access", NULL, 0) > 0;
}

static bool is_group_of(const cgw_spec *spec, gid_t gid)
{
    bool found = (gid_t)spec->gid == gid;

    for (int i = 0; i < spec->groups->nelts && !found; i++) {
        found = (gid_t)strtol(APR_ARRAY_IDX(spec->groups, i, const char *), NULL, 10)
                == gid;
    }
    return found;
}

/* But for its sticky bit. */
static bool is_roots(int fd, const struct statx *st, const cgw_spec *spec)
{
    if (st->stx_uid != 0) {
        return false;
    }
    if (st->stx_mode & S_IWGRP && st->stx_gid != 0 && is_group_of(spec, st->stx_gid)) {
        return false;
    }
    return !(st->stx_mode & S_IWGRP) || !has_access_list(fd);
}

/* ---- the way --------------------------------------------------------------- */

/* One that is being followed. */
typedef struct walk {
    int dir;
    bool is_sticky;
    int links;
    char at[PATH_MAX], rest[PATH_MAX];
} walk;

static void arrive(walk *w, int dir, const char *name)
{
    size_t len = strlen(w->at);

    if (w->dir >= 0) {
        close(w->dir);
    }
    w->dir = dir;
    if (*name == '/') {
        snprintf(w->at, sizeof(w->at), "%s", name);
    }
    else {
        snprintf(w->at + len, sizeof(w->at) - len, "%s%s", len > 1 ? "/" : "", name);
    }
}

/* Whether what the directory has in it is root's word; sees whether it is sticky. */
static bool may_go_on(walk *w, const cgw_spec *spec)
{
    struct statx st;

    if (!look(w->dir, &st) || !S_ISDIR(st.stx_mode)) {
        return false;
    }
    w->is_sticky = st.stx_mode & S_IWOTH && st.stx_mode & S_ISVTX;
    return is_roots(w->dir, &st, spec) && (!(st.stx_mode & S_IWOTH) || w->is_sticky);
}

/* Takes the next name off the rest. False: there is none. */
static bool take_name(walk *w, char *name)
{
    const char *at = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(at, "/");

    if (len == 0 || len > NAME_MAX) {
        return false;
    }
    memcpy(name, at, len);
    name[len] = '\0';
    memmove(w->rest, at + len, strlen(at + len) + 1);
    return true;
}

static void put_back(walk *w, const char *name)
{
    size_t len = strlen(name); /* for which there was room */

    memmove(w->rest + len, w->rest, strlen(w->rest) + 1);
    memcpy(w->rest, name, len);
}

/* The links of /proc lead to what is open, whatever they say. */
static bool is_magic(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The rest begins where the link leads. False: it leads nowhere. */
static bool follow_link(walk *w, int link)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);

    if (n <= 0 || ++w->links > LINKS_MAX || is_magic(link)
        || (size_t)n + strlen(w->rest) + 2 > sizeof(target)) {
        return false;
    }
    target[n] = '\0';
    strcat(target, w->rest);
    memcpy(w->rest, target, strlen(target) + 1);
    if (*target == '/') {
        arrive(w, open("/", PLACE), "/");
    }
    return true;
}

/* Others can give no directory of theirs to root, nor a second name to one. */
static bool is_roots_place(const struct statx *st)
{
    return S_ISDIR(st->stx_mode) && st->stx_uid == 0;
}

enum step { FURTHER, ARRIVED, SUSPECT };

static enum step step(walk *w, const cgw_spec *spec)
{
    char name[NAME_MAX + 1];
    struct statx st;
    enum step next = ARRIVED;
    bool is_seen;
    int fd;

    if (!may_go_on(w, spec)) {
        return SUSPECT;
    }
    if (!take_name(w, name)) {
        return ARRIVED;
    }
    fd = openat(w->dir, name, PLACE);
    is_seen = fd >= 0 && look(fd, &st);
    if ((fd >= 0 && !is_seen) || (w->is_sticky && !(is_seen && is_roots_place(&st)))) {
        put_back(w, name);
        next = SUSPECT;
    }
    else if (is_seen && S_ISDIR(st.stx_mode)) {
        arrive(w, fd, name);
        return FURTHER;
    }
    else if (is_seen && S_ISLNK(st.stx_mode)) {
        next = follow_link(w, fd) ? FURTHER : ARRIVED;
    }
    if (fd >= 0) {
        close(fd);
    }
    return next;
}

void cgwm_trail_follow(cgwm_trail *trail, const char *path, const cgw_spec *spec)
{
    walk w = {.dir = open("/", PLACE), .at = "/"};
    enum step next = ARRIVED;

    if (w.dir >= 0 && *path == '/' && strlen(path) < sizeof(w.rest)) {
        strcpy(w.rest, path);
        do {
            next = step(&w, spec);
        } while (next == FURTHER);
    }
    trail->dir = -1;
    if (next == SUSPECT) {
        trail->dir = w.dir;
        strcpy(trail->at, w.at);
        strcpy(trail->rest, w.rest);
    }
    else if (w.dir >= 0) {
        close(w.dir);
    }
}

void cgwm_trail_close(cgwm_trail *trail)
{
    if (trail->dir >= 0) {
        close(trail->dir);
        trail->dir = -1;
    }
}
