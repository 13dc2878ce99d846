/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_closer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* An honest descriptor is closed in far less. */
#define PATIENCE_MS 20
/* Those that hang are ended beyond so many; what they closed is no longer open. */
#define CLOSERS_MAX 16
/* More messages than a socket holds. */
#define QUEUED_MAX 600

/* ---- closers -------------------------------------------------------------- */

/* pidfds of those that hang, the oldest first; httpd's children have many threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int closers[CLOSERS_MAX];
static int nclosers;

static void close_without_lingering(int fd)
{
    const struct linger none = {0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* or it is none */
    close(fd);
}

static int has_ended(int pidfd, int ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, ms) > 0;
}

/* Reaps it, unless the program's own reaper has. */
static void bury(int pidfd)
{
    siginfo_t info;

    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    close(pidfd);
}

static void forget(int at)
{
    bury(closers[at]);
    nclosers--;
    for (int i = at; i < nclosers; i++) {
        closers[i] = closers[i + 1];
    }
}

/* With the lock. */
static void forget_ended(void)
{
    for (int i = nclosers - 1; i >= 0; i--) {
        if (has_ended(closers[i], 0)) {
            forget(i);
        }
    }
    if (nclosers == CLOSERS_MAX) {
        syscall(SYS_pidfd_send_signal, closers[0], SIGKILL, NULL, 0);
        forget(0);
    }
}

/* pidfd -1: none that is new. */
static void keep(int pidfd)
{
    pthread_mutex_lock(&lock);
    forget_ended();
    if (pidfd >= 0) {
        closers[nclosers++] = pidfd;
    }
    pthread_mutex_unlock(&lock);
}

_Noreturn static void run_closer(int fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        close_without_lingering(fd);
    }
    _exit(0);
}

void cgw_close_passed(int fd)
{
    pid_t parent = getpid();
    int pidfd;
    pid_t pid;

    keep(-1);
    /* as fork(), but that the descriptors are one table */
    pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        run_closer(fd, parent);
    }
    if (pid < 0) {
        close_without_lingering(fd);
        return;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        return; /* it is closed all the same, and the program's reaper finds it */
    }
    if (has_ended(pidfd, PATIENCE_MS)) {
        bury(pidfd);
    }
    else {
        keep(pidfd);
    }
}

/* ---- sockets ------------------------------------------------------------ */

/* Where the sender's credentials come (SO_PASSCRED), they come first and need it. There
 * must be no more: descriptors would be received. */
static size_t room_for_credentials(int fd)
{
    int comes = 0;
    socklen_t size = sizeof(comes);

    getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &comes, &size);
    return comes ? CMSG_SPACE(sizeof(struct ucred)) : 0;
}

ssize_t cgw_receive_bytes(int fd, void *bytes, size_t size)
{
    char credentials[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = credentials,
                         .msg_controllen = room_for_credentials(fd)};
    ssize_t n = recvmsg(fd, &hdr, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n >= 0 && hdr.msg_flags & MSG_CTRUNC) {
        errno = EBADMSG;
        return -1;
    }
    /* no more than was seen: descriptors may have come meanwhile */
    return n < 0 ? n : recv(fd, bytes, (size_t)n, MSG_DONTWAIT);
}

/* Takes what has no descriptors with it; 1 where something has, or may have. */
static int drain(int fd)
{
    char bytes[4096];
    int type = SOCK_SEQPACKET;  /* of which an empty message looks like the end */
    socklen_t size = sizeof(type);
    ssize_t n = 1;

    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    for (int i = 0; i < QUEUED_MAX && (n > 0 || (n == 0 && type != SOCK_STREAM)); i++) {
        n = cgw_receive_bytes(fd, bytes, sizeof(bytes));
    }
    return n > 0 || (n < 0 && errno == EBADMSG);
}

void cgw_close_socket(int fd)
{
    shutdown(fd, SHUT_RDWR);    /* nothing more comes */
    if (drain(fd)) {
        cgw_close_passed(fd);
    }
    else {
        close(fd);
    }
}

void cgw_close_stream(int fd)
{
    char byte;

    shutdown(fd, SHUT_RDWR);
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        close(fd);
    }
    else {
        cgw_close_socket(fd);
    }
}
