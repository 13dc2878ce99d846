/* SPDX-License-Identifier: Apache-2.0 */

#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "apr_strings.h"
#include "http_log.h"
#include "unixd.h"

#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

#define LOCK_TRIES 200
#define LOCK_PAUSE apr_time_from_msec(50)
/* Handles have no more than such a part of the descriptors that a process may have. */
#define HANDLES_PART 4

struct cgwm_rundir {
    const char *path;
    int lock;
    apr_hash_t *sockets;    /* group name -> listener */
    unsigned mended;        /* what was missing and is there again */
    apr_status_t trouble;   /* the latest that kept something from being there */
    apr_pool_t *pool;
};

typedef struct listener {
    int fd;
    int handle;  /* of the socket's file (O_PATH): httpd's children reach the socket
                    by it when the name is gone; -1: none */
    dev_t dev;   /* of the socket's file */
    ino_t ino;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char name[]; /* the hash key: malloced, since groups come and go for as
                    long as httpd runs, and a pool would only grow */
} listener;

const char *cgwm_rundir_path(const cgwm_rundir *dir)
{
    return dir->path;
}

int cgwm_rundir_lock_fd(const cgwm_rundir *dir)
{
    return dir->lock;
}

int cgwm_rundir_socket(const cgwm_rundir *dir, const char *group)
{
    const listener *l = apr_hash_get(dir->sockets, group, APR_HASH_KEY_STRING);

    return l ? l->fd : -1;
}

void cgwm_rundir_close(cgwm_rundir *dir)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->sockets); i;
         i = apr_hash_next(i)) {
        void *l;
        apr_hash_this(i, NULL, NULL, &l);
        close(((listener *)l)->fd);
    }
    close(dir->lock);
}

void cgwm_rundir_handle_path(char path[CGWM_RUNDIR_HANDLE_MAX], int handle)
{
    snprintf(path, CGWM_RUNDIR_HANDLE_MAX, "/proc/self/fd/%d", handle);
}

/* ---- directory and lock ------------------------------------------------- */

/* Others may pass through the directory (workers do not, httpd's children do)
 * but neither list nor change it. */
static apr_status_t make_directory(const char *path)
{
    struct stat st;

    if (mkdir(path, 0711) < 0 && errno != EEXIST) {
        return errno;
    }
    if (lstat(path, &st) < 0) {
        return errno;
    }
    if (!S_ISDIR(st.st_mode)) {
        return ENOTDIR;
    }
    if (st.st_uid != geteuid()) {
        return EPERM;
    }
    return chmod(path, 0711) < 0 ? errno : APR_SUCCESS;
}

/* 1 where fd is still the file of that name: the last owner of the directory
 * removes the lock file before it lets go of the lock. */
static int is_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino
           && a.st_dev == b.st_dev;
}

int cgwm_rundir_is_there(const cgwm_rundir *dir, apr_pool_t *ptemp)
{
    return is_file(dir->lock, apr_pstrcat(ptemp, dir->path, "/lock", NULL));
}

static apr_status_t try_lock(int *out, const char *dir, apr_pool_t *ptemp)
{
    const char *path = apr_pstrcat(ptemp, dir, "/lock", NULL);
    apr_status_t rv = make_directory(dir);
    int fd;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* not for writing: its file system may be remounted read-only while httpd runs */
    fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return errno == ENOENT ? EWOULDBLOCK : errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rv = errno;
    }
    else if (!is_file(fd, path)) {
        rv = EWOULDBLOCK;
    }
    if (rv != APR_SUCCESS) {
        close(fd);
        return rv;
    }
    *out = fd;
    return APR_SUCCESS;
}

/* A supervisor whose httpd has ended lets go of the lock first of all, so
 * this waits only where httpd is started while another still runs. flock(2)
 * has no timeout, hence the paced attempts. */
static apr_status_t lock_directory(int *fd, const char *dir, apr_pool_t *ptemp)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < LOCK_TRIES; i++) {
        rv = try_lock(fd, dir, ptemp);
        if (rv != EWOULDBLOCK) {
            return rv;
        }
        apr_sleep(LOCK_PAUSE);
    }
    return rv;
}

/* What to do where something cannot be made in the directory. */
static const char *remedy(apr_status_t rv)
{
    switch (rv) {
    case ENOSPC:
    case EDQUOT:
        return "its file system has no space or no inodes left: make room there, or "
               "set CGatewayRuntimeDir to a directory elsewhere";
    case EROFS:
        return "its file system is read-only: mount it for writing, or set "
               "CGatewayRuntimeDir to a directory elsewhere";
    default:
        return "it must be a directory that the user who starts httpd owns (see "
               "CGatewayRuntimeDir)";
    }
}

static apr_status_t open_directory(cgwm_rundir **out, server_rec *s,
                                   apr_pool_t *ptemp, apr_pool_t *pool)
{
    const char *path = apr_pstrdup(pool, cgwm_runtime_dir(s, ptemp));
    int lock = -1;
    apr_status_t rv = lock_directory(&lock, path, ptemp);
    cgwm_rundir *dir;

    if (rv == EWOULDBLOCK) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, CGW_LOGNO(0110)
                     "the runtime directory %s belongs to another httpd that "
                     "still runs; stop it, or give this one a directory of its "
                     "own with CGatewayRuntimeDir", path);
        return rv;
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0111)
                     "cannot use the runtime directory %s; %s", path, remedy(rv));
        return rv;
    }
    dir = apr_pcalloc(pool, sizeof(*dir));
    dir->path = path;
    dir->lock = lock;
    dir->pool = pool;
    dir->sockets = apr_hash_make(pool);
    *out = dir;
    return APR_SUCCESS;
}

/* What is missing is looked for again and again: once is enough for the log. */
static int is_news(cgwm_rundir *dir, apr_status_t rv)
{
    int news = dir->trouble != rv;

    dir->trouble = rv;
    return news;
}

apr_status_t cgwm_rundir_renew(cgwm_rundir *dir, server_rec *s, apr_pool_t *ptemp)
{
    int lock = -1;
    apr_status_t rv;

    if (cgwm_rundir_is_there(dir, ptemp)) {
        return APR_SUCCESS;
    }
    rv = try_lock(&lock, dir->path, ptemp);
    if (rv != APR_SUCCESS) {
        if (is_news(dir, rv)) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0186)
                         "the runtime directory %s, or the file \"lock\" in it, was "
                         "removed, and cannot be made anew; %s. Groups are served on, "
                         "cgatewayctl is not, and it is tried again", dir->path,
                         rv == EWOULDBLOCK ? "it belongs to another httpd now"
                                           : remedy(rv));
        }
        return rv;
    }
    close(dir->lock);
    dir->lock = lock;
    dir->mended++;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CGW_LOGNO(0183)
                 "the runtime directory %s, or the file \"lock\" in it, was removed or "
                 "replaced while httpd ran: it has been made anew. Find out who removes "
                 "it", dir->path);
    return APR_SUCCESS;
}

/* ---- sockets ------------------------------------------------------------ */

/* httpd's children connect, so the file is theirs; nobody else may. One that is so
 * already is left alone: its file system may be read-only by now. */
static apr_status_t give_to_httpd(const listener *l)
{
    uid_t uid = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    char by_handle[CGWM_RUNDIR_HANDLE_MAX];
    const char *path = l->path;
    struct stat st;

    if (l->handle >= 0) {
        cgwm_rundir_handle_path(by_handle, l->handle);
        path = by_handle;
    }
    if (stat(path, &st) < 0) {
        return errno;
    }
    if ((st.st_mode & 07777) != 0600 && chmod(path, 0600) < 0) {
        return errno;
    }
    return st.st_uid == uid || chown(path, uid, ap_unixd_config.group_id) == 0
               ? APR_SUCCESS : errno;
}

/* The kernel lets one more wait than it is told, and bounds what it is told by
 * net.core.somaxconn. */
static apr_status_t set_queue_size(int fd, const cgwm_group *group)
{
    return listen(fd, (int)group->spec->queue_size - 1) < 0 ? errno : APR_SUCCESS;
}

/* Of a file that nobody has replaced since: the directory is ours alone. */
static apr_status_t identify(listener *l)
{
    struct stat st;

    if (lstat(l->path, &st) < 0) {
        return errno;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return APR_SUCCESS;
}

static apr_status_t bind_socket(listener *l, const cgwm_group *group)
{
    apr_status_t rv = APR_SUCCESS;
    mode_t mask;

    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) {
        return errno;
    }
    /* The lock is ours: what lies there is a leftover or a group that was
     * removed and drains; its queue lives on without the name. */
    if (unlink(l->path) < 0 && errno != ENOENT) {
        return errno;
    }
    mask = umask(0177);
    rv = bind(l->fd, (const struct sockaddr *)&group->address, group->address_len) < 0
             ? errno : set_queue_size(l->fd, group);
    umask(mask);
    if (rv == APR_SUCCESS) {
        rv = identify(l);
    }
    return rv == APR_SUCCESS ? give_to_httpd(l) : rv;
}

static void free_listener(listener *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    if (l->handle >= 0) {
        close(l->handle);
    }
    free(l);
}

static apr_status_t make_listener(listener **out, const cgwm_group *group)
{
    const char *name = group->spec->name;
    apr_size_t size = strlen(name) + 1;
    listener *l = calloc(1, sizeof(*l) + size);
    apr_status_t rv;

    if (!l) {
        return APR_ENOMEM;
    }
    memcpy(l->name, name, size);
    apr_cpystrn(l->path, group->address.sun_path, sizeof(l->path));
    l->fd = l->handle = -1;
    rv = bind_socket(l, group);
    if (rv != APR_SUCCESS) {
        free_listener(l);
        return rv;
    }
    *out = l;
    return APR_SUCCESS; /* NOLINT(clang-analyzer-unix.Malloc): in the hash */
}

/* The group's own processes, which share it, can shut it down. */
static int is_shut(const listener *l)
{
    struct pollfd end = {.fd = l->fd, .events = POLLRDHUP};

    return poll(&end, 1, 0) > 0;
}

static int is_named(const listener *l)
{
    struct stat st;

    return lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

/* Whether httpd's children reach it; one whose path was another (CGW_WIRE_SOCKET,
 * CGatewayRuntimeDir) is not this group's. */
static int is_reachable(const listener *l, const cgwm_group *group)
{
    return l && strcmp(l->path, group->address.sun_path) == 0 && !is_shut(l)
           && (l->handle >= 0 || is_named(l));
}

static void drop_listener(cgwm_rundir *dir, listener *l)
{
    apr_hash_set(dir->sockets, l->name, APR_HASH_KEY_STRING, NULL);
    free_listener(l);
}

void cgwm_rundir_leave(cgwm_rundir *dir)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->sockets); i;
         i = apr_hash_next(i)) {
        void *l;
        apr_hash_this(i, NULL, NULL, &l);
        drop_listener(dir, l);
    }
    close(dir->lock);
}

static listener *find_listener(const cgwm_rundir *dir, const cgwm_group *group)
{
    return apr_hash_get(dir->sockets, group->spec->name, APR_HASH_KEY_STRING);
}

static void say_failed(cgwm_rundir *dir, const cgwm_group *group, server_rec *s,
                       apr_status_t rv)
{
    if (is_news(dir, rv)) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0112)
                     "cannot listen on %s: group %s cannot be served, nor others for "
                     "which that fails; %s. A running httpd tries it again",
                     group->address.sun_path, group->spec->name, remedy(rv));
    }
}

/* Puts a new one in the place of one that nobody reaches any more, if any. */
static apr_status_t replace(cgwm_rundir *dir, const cgwm_group *group, server_rec *s)
{
    listener *former = find_listener(dir, group), *l;
    apr_status_t rv = make_listener(&l, group);

    if (rv != APR_SUCCESS) {
        say_failed(dir, group, s, rv);
        return rv;
    }
    if (former && strcmp(former->path, l->path) == 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, CGW_LOGNO(0187)
                     "%s: its socket %s was %s: it has been made anew, and its "
                     "processes are replaced", group->spec->name, l->path,
                     is_shut(former) ? "shut down by the group's own processes"
                                     : "removed by somebody");
    }
    if (former) {
        drop_listener(dir, former);
    }
    apr_hash_set(dir->sockets, l->name, APR_HASH_KEY_STRING, l);
    dir->mended++;
    return APR_SUCCESS;
}

/* Without it, where there are not enough, names are all. */
static void take_handle(listener *l)
{
    l->handle = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* httpd's User, and the queue's size, may be others now. */
static apr_status_t adjust(cgwm_rundir *dir, const cgwm_group *group, server_rec *s,
                           const listener *l)
{
    apr_status_t rv = set_queue_size(l->fd, group);

    if (rv == APR_SUCCESS) {
        rv = give_to_httpd(l);
    }
    if (rv != APR_SUCCESS) {
        say_failed(dir, group, s, rv);
    }
    return rv;
}

/* How sockets are bound. */
enum {
    ANEW = 1,   /* nothing goes on that could use one without a name */
    HOLD = 2    /* children are about to be forked, which inherit handles */
};

static apr_status_t bind_group(cgwm_rundir *dir, cgwm_group *group, server_rec *s,
                               int how)
{
    listener *l = find_listener(dir, group);
    apr_status_t rv = APR_SUCCESS;

    if (!is_reachable(l, group) || (how & ANEW && !is_named(l))) {
        rv = replace(dir, group, s);
        l = find_listener(dir, group);
    }
    else {
        rv = adjust(dir, group, s, l);
    }
    if (l && how & HOLD && l->handle < 0 && is_named(l)) {
        take_handle(l);
    }
    group->handle = l ? l->handle : -1;
    return rv;
}

static void drop_unused(cgwm_rundir *dir, apr_hash_t *groups, apr_pool_t *ptemp)
{
    for (apr_hash_index_t *i = apr_hash_first(ptemp, dir->sockets); i;
         i = apr_hash_next(i)) {
        void *l;
        apr_hash_this(i, NULL, NULL, &l);
        if (!apr_hash_get(groups, ((listener *)l)->name, APR_HASH_KEY_STRING)) {
            drop_listener(dir, l);
        }
    }
}

/* Each of httpd's processes has a handle for each group. */
static int may_hold(unsigned groups)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0
           && (limit.rlim_cur == RLIM_INFINITY
               || groups <= limit.rlim_cur / HANDLES_PART);
}

static apr_status_t bind_groups(cgwm_rundir *dir, server_rec *s, int how,
                                apr_pool_t *ptemp)
{
    apr_hash_t *groups = cgwm_server_conf_get(s)->groups;
    apr_status_t rv = APR_SUCCESS;

    for (apr_hash_index_t *i = apr_hash_first(ptemp, groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        apr_status_t one = bind_group(dir, group, s, how);
        if (one != APR_SUCCESS) {
            rv = one;
        }
    }
    return rv;
}

apr_status_t cgwm_rundir_prepare(cgwm_rundir **dir, server_rec *s, int anew,
                                 apr_pool_t *ptemp, apr_pool_t *pool)
{
    apr_hash_t *groups = cgwm_server_conf_get(s)->groups;
    int how = anew ? ANEW : 0;

    if (!*dir) {
        apr_status_t rv = open_directory(dir, s, ptemp, pool);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    (*dir)->trouble = APR_SUCCESS;
    drop_unused(*dir, groups, ptemp);
    if (may_hold(apr_hash_count(groups))) {
        how |= HOLD;
    }
    return bind_groups(*dir, s, how, ptemp);
}

static int is_whole(const cgwm_rundir *dir, server_rec *s, apr_pool_t *ptemp)
{
    apr_hash_t *groups = cgwm_server_conf_get(s)->groups;

    for (apr_hash_index_t *i = apr_hash_first(ptemp, groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        if (!is_reachable(find_listener(dir, group), group)) {
            return 0;
        }
    }
    return cgwm_rundir_is_there(dir, ptemp);
}

int cgwm_rundir_mend(cgwm_rundir *dir, server_rec *s, apr_pool_t *ptemp)
{
    unsigned mended = dir->mended;

    if (dir->trouble == APR_SUCCESS && is_whole(dir, s, ptemp)) {
        return 0;
    }
    if (cgwm_rundir_renew(dir, s, ptemp) == APR_SUCCESS
        && bind_groups(dir, s, 0, ptemp) == APR_SUCCESS) {
        dir->trouble = APR_SUCCESS;
    }
    return dir->mended != mended;
}
