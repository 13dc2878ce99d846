/* SPDX-License-Identifier: Apache-2.0 */

#include "ownfile.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "beneath.h"
#include "trail.h"

/* httpd's parent serves nobody while it waits. */
#define PATIENCE_MS 2000
/* O_NONBLOCK: opening a FIFO must not wait for its other end. */
#define COMMON (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
#define READING (O_RDONLY | COMMON)
#define APPENDING (O_WRONLY | O_APPEND | COMMON)
#define MODE (S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

/* What a process is to do. */
typedef struct errand {
    const cgwm_ownfile *file;
    const cgwm_trail *trail;
    int flags;
    apr_size_t max;         /* reading: so many bytes at most */
} errand;

/* ---- files ------------------------------------------------------------------ */

static int fail(int error)
{
    errno = error;
    return -1;
}

/* The descriptor, where it is of a regular file. */
static int only_regular(int fd)
{
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return fail(EINVAL);
    }
    return fd;
}

/* Copies what is in the file, up to max bytes, to `to`. 0 or an errno. */
static int copy(int fd, int to, apr_size_t max)
{
    char block[8192];
    apr_size_t len = 0;
    ssize_t n;

    while ((n = read(fd, block, sizeof(block))) > 0) {
        len += (apr_size_t)n;
        if (len > max) {
            return ENOSPC;
        }
        if (write(to, block, (size_t)n) != n) {
            return errno;
        }
    }
    return n < 0 ? errno : 0;
}

/* A memfd with the bytes of the file, which is closed. */
static int copied(int fd, apr_size_t max)
{
    int to = fd < 0 ? -1 : memfd_create("cgateway-file", MFD_CLOEXEC);
    int error = to < 0 ? errno : copy(fd, to, max);

    if (fd >= 0) {
        close(fd);
    }
    if (error && to >= 0) {
        close(to);
        to = -1;
    }
    errno = error;
    return to;
}

/* ---- in a process of its own ------------------------------------------------- */

/* A second name may be that of somebody else's file. FUSE: it would be waited for at
 * each line. */
static int only_harmless(int fd, const cgw_spec *spec)
{
    struct stat st;
    struct statfs fs;

    fd = only_regular(fd);
    if (fd >= 0
        && (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0 || fs.f_type == FUSE_SUPER_MAGIC
            || (st.st_nlink > 1 && st.st_uid != (uid_t)spec->uid))) {
        close(fd);
        return fail(EPERM);
    }
    return fd;
}

/* By root, from the first directory on that others may change. */
static int append_as_root(const errand *e)
{
    int dir = fcntl(e->trail->dir, F_DUPFD_CLOEXEC, 0);

    return only_harmless(cgwm_beneath_walk(dir, e->trail->rest, e->flags, MODE),
                         e->file->spec);
}

/* The privileges to look past permissions go with the user for files. Signals know
 * nothing of it: the user cannot stop this process. */
static int become(const cgw_spec *spec)
{
    gid_t groups[256];
    int n = 0;

    for (int i = 0; i < spec->groups->nelts && n < 256; i++) {
        groups[n++] = (gid_t)strtol(APR_ARRAY_IDX(spec->groups, i, const char *), NULL,
                                    10);
    }
    if (spec->uid <= 0 || spec->gid < 0 || setgroups((size_t)n, groups) < 0) {
        return -1;
    }
    setfsgid((gid_t)spec->gid);
    setfsuid((uid_t)spec->uid);
    return (uid_t)setfsuid((uid_t)-1) == (uid_t)spec->uid ? 0 : -1;
}

static int open_as_user(const errand *e)
{
    struct statfs fs;
    int fd;

    if (become(e->file->spec) < 0) {
        return fail(EPERM);
    }
    fd = only_regular(cgwm_beneath_open_plainly(e->file->path, e->flags, MODE));
    if (fd >= 0 && (fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC
                    || fs.f_type == FUSE_SUPER_MAGIC)) {
        close(fd);
        return fail(EPERM);
    }
    return fd;
}

static int run(const errand *e)
{
    int fd = -1;

    if (e->flags & O_APPEND) {
        fd = append_as_root(e);
    }
    if (fd < 0) {
        fd = open_as_user(e);
    }
    return e->flags & O_APPEND ? fd : copied(fd, e->max);
}

/* An errno, and the descriptor where that is 0. */
static void send_result(int out, int fd, int error)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary = {0};
    struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *c = &ancillary.align;
        hdr.msg_control = ancillary.bytes;
        hdr.msg_controllen = sizeof(ancillary.bytes);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    sendmsg(out, &hdr, MSG_NOSIGNAL);
}

_Noreturn static void child(const errand *e, int out)
{
    int fd = run(e);

    send_result(out, fd, fd < 0 ? errno : 0);
    _exit(0);
}

/* ---- in httpd's parent ------------------------------------------------------- */

/* -1: errno */
static int receive_result(int in)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary;
    int error = EIO, fd = -1;
    struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1,
                         .msg_control = ancillary.bytes,
                         .msg_controllen = sizeof(ancillary.bytes)};

    if (recvmsg(in, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(error) || error) {
        return fail(error ? error : EIO);
    }
    if (!CMSG_FIRSTHDR(&hdr)) {
        return fail(EIO);
    }
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&hdr)), sizeof(fd));
    return fd;
}

static bool is_there(int in)
{
    struct pollfd p = {.fd = in, .events = POLLIN};
    apr_time_t end = apr_time_now() + apr_time_from_msec(PATIENCE_MS);
    int n;

    do {
        int left = (int)apr_time_as_msec(end - apr_time_now());
        n = poll(&p, 1, left > 0 ? left : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* One that hangs in the kernel is left to whoever reaps it. */
static void end(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    kill(pid, SIGKILL); /* it has nothing more to do */
    if (pidfd >= 0) {
        is_there(pidfd);
        close(pidfd);
    }
    waitpid(pid, NULL, pidfd < 0 ? 0 : WNOHANG);
}

static int send_on(const errand *e)
{
    int pair[2], fd = -1, error;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        child(e, pair[1]);
    }
    error = errno;
    close(pair[1]);
    if (pid > 0) {
        fd = is_there(pair[0]) ? receive_result(pair[0]) : fail(ETIMEDOUT);
        error = errno;
        end(pid);
    }
    close(pair[0]);
    errno = error;
    return fd;
}

/* What root may open is opened here. */
static int open_file(cgwm_ownfile *file, int flags, apr_size_t max, apr_pool_t *p)
{
    cgwm_trail trail = {.dir = -1};
    const errand e = {.file = file, .trail = &trail, .flags = flags, .max = max};
    /* a pipe that root names for a log is waited for, as httpd does */
    int patient = flags & O_CREAT ? flags & ~O_NONBLOCK : flags;
    int fd, error;

    if (geteuid() == 0) {
        cgwm_trail_follow(&trail, file->path, file->spec);
    }
    if (trail.dir >= 0) {
        file->suspect = apr_pstrdup(p, trail.at);
        fd = send_on(&e);
    }
    else {
        file->suspect = NULL;
        fd = open(file->path, patient, MODE);
        fd = flags & O_APPEND ? fd : copied(only_regular(fd), max);
    }
    error = errno;
    cgwm_trail_close(&trail);
    errno = error;
    return fd;
}

apr_status_t cgwm_ownfile_read(cgwm_ownfile *file, char **bytes, apr_size_t *len,
                               apr_size_t max, apr_pool_t *p)
{
    int fd = open_file(file, READING, max, p);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    apr_status_t rv = errno;

    if (size >= 0) {
        *bytes = apr_palloc(p, (apr_size_t)size + 1);
        *len = (apr_size_t)size;
        rv = pread(fd, *bytes, (size_t)size, 0) == (ssize_t)size ? APR_SUCCESS : errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rv;
}

apr_status_t cgwm_ownfile_append(cgwm_ownfile *file, int may_create, int *fd,
                                 apr_pool_t *p)
{
    *fd = open_file(file, APPENDING | (may_create ? O_CREAT : 0), 0, p);
    return *fd < 0 ? errno : APR_SUCCESS;
}

const char *cgwm_ownfile_explain(const cgwm_ownfile *file, apr_status_t rv,
                                 apr_pool_t *p)
{
    char text[120];
    const char *what = rv == EINVAL      ? "it is not a regular file"
                       : rv == ENOSPC    ? "it is too long"
                       : rv == ETIMEDOUT ? "its file system does not answer"
                                         : apr_strerror(rv, text, sizeof(text));

    if (!file->suspect) {
        return apr_pstrdup(p, what);
    }
    return apr_psprintf(p, "%s. Not root alone may change what is in %s, so httpd "
                        "follows no link from there on but as the group's user, %s, and "
                        "writes to no file there that has another name", what,
                        file->suspect, file->spec->user ? file->spec->user : "(no name)");
}
