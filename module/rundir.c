/* SPDX-License-Identifier: Apache-2.0 */

#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_strings.h"
#include "http_log.h"
#include "unixd.h"

#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

#define LOCK_TRIES 200
#define LOCK_PAUSE apr_time_from_msec(50)

struct cgwm_rundir {
    const char *path;
    int lock;
    apr_hash_t *sockets;    /* group name -> listener */
    apr_pool_t *pool;
};

typedef struct listener {
    int fd;
    dev_t dev;   /* of the socket's file */
    ino_t ino;
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
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
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
                     "cannot use the runtime directory %s; it must be a "
                     "directory that the user who starts httpd owns (see "
                     "CGatewayRuntimeDir)", path);
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

/* ---- sockets ------------------------------------------------------------ */

/* httpd's children connect, so the file is theirs; nobody else may. */
static apr_status_t give_to_httpd(const char *path)
{
    if (chmod(path, 0600) < 0) {
        return errno;
    }
    if (geteuid() == 0
        && lchown(path, ap_unixd_config.user_id, ap_unixd_config.group_id) < 0) {
        return errno;
    }
    return APR_SUCCESS;
}

/* The kernel lets one more wait than it is told, and bounds what it is told by
 * net.core.somaxconn. */
static apr_status_t set_queue_size(int fd, const cgwm_group *group)
{
    return listen(fd, (int)group->spec->queue_size - 1) < 0 ? errno : APR_SUCCESS;
}

static apr_status_t bind_socket(int *out, const cgwm_group *group)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    apr_status_t rv = APR_SUCCESS;
    mode_t mask;

    if (fd < 0) {
        return errno;
    }
    /* The lock is ours: what lies there is a leftover or a group that was
     * removed and drains; its queue lives on without the name. */
    unlink(group->address.sun_path);
    mask = umask(0177);
    rv = bind(fd, (const struct sockaddr *)&group->address, group->address_len) < 0
             ? errno : set_queue_size(fd, group);
    umask(mask);
    if (rv == APR_SUCCESS) {
        rv = give_to_httpd(group->address.sun_path);
    }
    if (rv != APR_SUCCESS) {
        close(fd);
        return rv;
    }
    *out = fd;
    return APR_SUCCESS;
}

static apr_status_t add_listener(cgwm_rundir *dir, const cgwm_group *group)
{
    struct stat st;
    const char *name = group->spec->name;
    apr_size_t size = strlen(name) + 1;
    listener *l = malloc(sizeof(*l) + size);
    apr_status_t rv;

    if (!l) {
        return APR_ENOMEM;
    }
    memcpy(l->name, name, size);
    l->fd = -1;
    rv = bind_socket(&l->fd, group);
    if (rv == APR_SUCCESS && lstat(group->address.sun_path, &st) < 0) {
        rv = errno;
        close(l->fd);
    }
    if (rv != APR_SUCCESS) {
        free(l);
        return rv;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    apr_hash_set(dir->sockets, l->name, APR_HASH_KEY_STRING, l);
    return APR_SUCCESS; /* NOLINT(clang-analyzer-unix.Malloc): in the hash */
}

/* A socket whose file somebody removed cannot be reached any more; nor one whose
 * path was another (CGW_WIRE_SOCKET); nor one that the group's own processes, which
 * share it, have shut down. */
static int is_reachable(const listener *l, const cgwm_group *group)
{
    struct pollfd end = {.fd = l->fd};
    struct stat st;

    return lstat(group->address.sun_path, &st) == 0 && st.st_dev == l->dev
           && st.st_ino == l->ino && poll(&end, 1, 0) <= 0;
}

static void drop_listener(cgwm_rundir *dir, listener *l)
{
    apr_hash_set(dir->sockets, l->name, APR_HASH_KEY_STRING, NULL);
    close(l->fd);
    free(l);
}

static apr_status_t bind_group(cgwm_rundir *dir, const cgwm_group *group,
                               server_rec *s)
{
    listener *l = apr_hash_get(dir->sockets, group->spec->name,
                               APR_HASH_KEY_STRING);
    apr_status_t rv;

    if (l && is_reachable(l, group)) {
        /* httpd's User, and the size, may be others now */
        rv = set_queue_size(l->fd, group);
        rv = rv != APR_SUCCESS ? rv : give_to_httpd(group->address.sun_path);
    }
    else {
        if (l) {
            drop_listener(dir, l);
        }
        rv = add_listener(dir, group);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0112)
                     "cannot listen on %s: group %s cannot be served",
                     group->address.sun_path, group->spec->name);
    }
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

apr_status_t cgwm_rundir_prepare(cgwm_rundir **dir, server_rec *s,
                                 apr_pool_t *ptemp, apr_pool_t *pool)
{
    apr_hash_t *groups = cgwm_server_conf_get(s)->groups;
    apr_status_t rv = APR_SUCCESS;

    if (!*dir) {
        rv = open_directory(dir, s, ptemp, pool);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    drop_unused(*dir, groups, ptemp);
    for (apr_hash_index_t *i = apr_hash_first(ptemp, groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        apr_status_t one = bind_group(*dir, group, s);
        if (one != APR_SUCCESS) {
            rv = one;
        }
    }
    return rv;
}
