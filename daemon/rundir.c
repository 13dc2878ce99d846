/* SPDX-License-Identifier: Apache-2.0 */

#include "rundir.h"

#include <apr_strings.h>
#include <errno.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin.h"
#include "backoff.h"
#include "cgw_control.h"
#include "group.h"

#define EVENTS (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Whoever removes everything shall have done so: a file that is made anew meanwhile
 * would keep him from removing the directory. */
#define REST_MS 100
/* Where the control socket cannot be made, or nothing tells of changes. */
#define LATER_MS 5000

struct cgwd_rundir {
    cgwd_supervisor *sup;
    cgwd_watch watch;       /* inotify; fd -1: none */
    int wd;                 /* -1: the directory is not watched */
    const char *lock;       /* its path */
    cgwd_timer look;
    cgwd_backoff backoff;   /* of finding something missing */
    int64_t not_before;     /* the next look */
};

static void look_soon(cgwd_rundir *dir)
{
    int64_t wait = dir->not_before - cgwd_now();

    if (!dir->look.slot || dir->look.at > cgwd_now() + REST_MS) {
        cgwd_timer_set(dir->sup->loop, &dir->look, wait > REST_MS ? wait : REST_MS);
    }
}

/* ---- what is missing ------------------------------------------------------ */

static int is_missing(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

int cgwd_rundir_has_lock(const cgwd_supervisor *sup, const char *path)
{
    struct stat ours, there;

    return fstat(sup->lock, &ours) == 0 && stat(path, &there) == 0
           && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* Each is told once: httpd's parent may not need the name. */
static int count_lost_sockets(const cgwd_supervisor *sup)
{
    int n = 0;

    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *value;
        apr_hash_this(i, NULL, NULL, &value);
        cgwd_group *group = value;
        if (group->retiring) {
            continue;
        }
        if (group->socket_ino && is_missing(group->spec->socket)) {
            group->socket_ino = 0;
            n++;
        }
        n += cgwd_queue_is_shut(&group->queue);
    }
    return n;
}

static void call_parent(const cgwd_supervisor *sup)
{
    if (getppid() == sup->parent) {
        kill(sup->parent, CGW_CALL_SIGNAL);
    }
}

static void add_watch(cgwd_rundir *dir)
{
    int former = dir->wd;

    if (dir->watch.fd < 0) {
        return;
    }
    dir->wd = inotify_add_watch(dir->watch.fd, dir->sup->rundir, EVENTS);
    if (former >= 0 && former != dir->wd) {
        inotify_rm_watch(dir->watch.fd, former);
    }
}

/* Where the directory is gone, httpd's parent makes it, and the configuration that
 * follows the rest. */
static int mend(cgwd_rundir *dir)
{
    cgwd_supervisor *sup = dir->sup;
    int has = cgwd_rundir_has_lock(sup, dir->lock);
    int lost = count_lost_sockets(sup);
    int control = has && cgwd_admin_is_missing(sup);

    if (!has || lost) {
        call_parent(sup);
    }
    if (control) {
        cgwd_admin_listen(sup);
    }
    if (has && dir->wd < 0) {
        add_watch(dir);
    }
    return !has || lost || control;
}

static void handle_look(cgwd_timer *timer)
{
    cgwd_rundir *dir = timer->owner;

    if (mend(dir)) {
        dir->not_before = cgwd_now() + cgwd_backoff_next(&dir->backoff, cgwd_now());
    }
    if (dir->wd < 0 || cgwd_admin_is_missing(dir->sup)) {
        cgwd_timer_set(dir->sup->loop, timer, LATER_MS);
    }
}

/* ---- events --------------------------------------------------------------- */

static void handle_events(cgwd_watch *watch)
{
    cgwd_rundir *dir = watch->owner;
    union {
        struct inotify_event align;
        char bytes[4096];
    } buf;
    ssize_t n;

    while ((n = read(watch->fd, buf.bytes, sizeof(buf.bytes))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(buf.bytes + at);
            if (event->mask & IN_IGNORED && event->wd == dir->wd) {
                dir->wd = -1;
            }
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    look_soon(dir);
}

static cgwd_rundir *create(cgwd_supervisor *sup)
{
    cgwd_rundir *dir = apr_pcalloc(sup->pool, sizeof(*dir));

    dir->sup = sup;
    dir->wd = -1;
    dir->lock = apr_pstrcat(sup->pool, sup->rundir, "/lock", NULL);
    dir->watch.owner = dir->look.owner = dir;
    dir->watch.handle = handle_events;
    dir->look.handle = handle_look;
    dir->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (dir->watch.fd >= 0 && cgwd_watch_add(sup->loop, &dir->watch)) {
        close(dir->watch.fd);
        dir->watch.fd = -1;
    }
    return dir;
}

void cgwd_rundir_watch(cgwd_supervisor *sup)
{
    if (sup->succeeded || sup->ending) {
        return;
    }
    if (!sup->dir) {
        sup->dir = create(sup);
    }
    add_watch(sup->dir);
    if (sup->dir->wd < 0 || cgwd_admin_is_missing(sup)) {
        look_soon(sup->dir);
    }
}

void cgwd_rundir_doubt(cgwd_group *group)
{
    cgwd_rundir *dir = group->sup->dir;

    if (dir && !group->retiring && cgwd_queue_is_shut(&group->queue)) {
        look_soon(dir);
    }
}

void cgwd_rundir_leave(cgwd_supervisor *sup)
{
    if (sup->dir) {
        cgwd_timer_clear(sup->loop, &sup->dir->look);
        cgwd_watch_close(sup->loop, &sup->dir->watch);
        sup->dir = NULL;
    }
}
