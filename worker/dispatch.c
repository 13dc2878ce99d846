/* SPDX-License-Identifier: Apache-2.0 */

#include "dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cgw_clock.h"
#include "cgw_log.h"

#define OUT_OF_RESOURCES_WAIT_MS 100
/* Waiting for longer than this is noticed: of a client that ends its direction
 * httpd tells after 100 ms (module/exchange.c). */
#define LATE_US 5000
/* epoll_wait that took longer than this has waited. */
#define WAITED_US 20
/* At most so often other processes are let go first. */
#define STEP_BACK_US 1000

static int watch(int epoll_fd, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int cgww_dispatch_open(struct cgww_dispatch *d, int listen_fd, uid_t owner)
{
    int flags = fcntl(listen_fd, F_GETFL);
    int on = 1;
    int rv;

    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return errno;
    }
    /* who sends comes with what is sent; connections inherit it */
    setsockopt(listen_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    d->listen_fd = listen_fd;
    d->empty_at = 0;
    d->busy = true; /* what came while there was no worker is there already */
    d->stepped_back_at = 0;
    atomic_init(&d->serving, 0);
    d->owner = owner;
    d->complained = 0;
    atomic_init(&d->draining, false);
    cgww_place_init(&d->place);
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->epoll_fd < 0 || d->event_fd < 0) {
        rv = errno;
    }
    else if ((rv = watch(d->epoll_fd, listen_fd, EPOLLIN | EPOLLEXCLUSIVE))
             == 0) {
        rv = watch(d->epoll_fd, d->event_fd, EPOLLIN);
    }
    if (rv != 0) {
        cgww_dispatch_close(d);
    }
    return rv;
}

void cgww_dispatch_close(struct cgww_dispatch *d)
{
    if (d->epoll_fd >= 0) {
        close(d->epoll_fd);
    }
    if (d->event_fd >= 0) {
        close(d->event_fd);
    }
    d->epoll_fd = d->event_fd = d->listen_fd = -1;
    atomic_store(&d->draining, true);
}

/* The message is due at most once a second. */
static bool may_complain(struct cgww_dispatch *d)
{
    time_t now = time(NULL);
    bool due = now != d->complained;

    d->complained = now;
    return due;
}

bool cgww_dispatch_trusts(struct cgww_dispatch *d, int fd,
                          const struct ucred *said)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (said) {
        peer = *said;
    }
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return false;
    }
    if (peer.uid == 0 || peer.uid == d->owner || peer.uid == geteuid()) {
        return true;
    }
    if (may_complain(d)) {
        dprintf(STDERR_FILENO,
                CGW_LOGNO(0401) "a connection from pid %d of uid %ld was "
                "refused: only httpd's user (uid %ld) and root may send "
                "requests; look at who can reach the group's socket, whose "
                "owner must be httpd's User\n",
                (int)peer.pid, (long)peer.uid, (long)d->owner);
    }
    return false;
}

/* Descriptors or memory are short: wait for better times or for the drain. */
static void wait_for_resources(struct cgww_dispatch *d, int error)
{
    struct pollfd p = {.fd = d->event_fd, .events = POLLIN};

    if (may_complain(d)) {
        dprintf(STDERR_FILENO,
                CGW_LOGNO(0402) "no request can be accepted at the moment: "
                "%s; requests wait. Raise the limit on open files of this "
                "group, or find what the application leaves open\n",
                strerror(error));
    }
    poll(&p, 1, OUT_OF_RESOURCES_WAIT_MS);
}

/* 0 with *fd, EAGAIN: look again, else the listening socket's error. */
static int accept_one(struct cgww_dispatch *d, int *fd)
{
    *fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (*fd >= 0) {
        return 0;
    }
    switch (errno) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
        return EAGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        wait_for_resources(d, errno);
        return EAGAIN;
    default:
        return errno;
    }
}

/* Of the processes that wait the kernel wakes the one that has been registered
 * for the longest time. One whose interpreter is in use goes to the end of that
 * row: an idle one, if there is one, serves sooner. */
static void step_back(struct cgww_dispatch *d, uint64_t now)
{
    if (now - d->stepped_back_at > STEP_BACK_US) {
        d->stepped_back_at = now;
        epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, d->listen_fd, NULL);
        watch(d->epoll_fd, d->listen_fd, EPOLLIN | EPOLLEXCLUSIVE);
    }
}

/* A connection that woke this process is taken even when it drains: the kernel
 * has woken nobody else for it (EPOLLEXCLUSIVE). */
static int wait_and_accept(struct cgww_dispatch *d, int *fd)
{
    struct epoll_event events[2];
    uint64_t since = cgw_clock_us(), now;
    int n;

    if (atomic_load(&d->serving) > 0) {
        step_back(d, since);
    }
    n = epoll_wait(d->epoll_fd, events, 2, -1);
    if (n < 0) {
        return errno == EINTR ? EAGAIN : errno;
    }
    now = cgw_clock_us();
    d->busy = now - since < WAITED_US;
    if (!d->busy) {
        d->empty_at = now;
    }
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == d->listen_fd) {
            return accept_one(d, fd);
        }
    }
    return EAGAIN;
}

/* Where requests come faster than they are served there is no need to wait. */
static int accept_next(struct cgww_dispatch *d, int *fd)
{
    int rv = EAGAIN;

    if (d->busy && atomic_load(&d->serving) == 0) {
        rv = accept_one(d, fd);
    }
    if (rv == EAGAIN) {
        rv = wait_and_accept(d, fd);
    }
    return rv;
}

int cgww_dispatch_next(struct cgww_dispatch *d, int *fd)
{
    int rv = EAGAIN;

    if (atomic_load(&d->draining)) {
        return ECANCELED; /* nor is the place free in a forked child */
    }
    if (!cgww_place_take(&d->place)) {
        return ECANCELED;
    }
    while (rv == EAGAIN && !atomic_load(&d->draining)) {
        rv = accept_next(d, fd);
    }
    if (rv != 0) {
        cgww_place_pass(&d->place, 0);
    }
    return rv == EAGAIN ? ECANCELED : rv;
}

struct cgww_pass cgww_dispatch_pass(struct cgww_dispatch *d, int32_t tid)
{
    return cgww_place_pass(&d->place, tid);
}

void cgww_dispatch_begin(struct cgww_dispatch *d)
{
    atomic_fetch_add(&d->serving, 1);
}

void cgww_dispatch_end(struct cgww_dispatch *d, struct cgww_pass passed)
{
    atomic_fetch_sub(&d->serving, 1);
    cgww_place_compare(&d->place, passed);
}

bool cgww_dispatch_is_late(const struct cgww_dispatch *d)
{
    return cgw_clock_us() - d->empty_at > LATE_US;
}

void cgww_dispatch_drain(struct cgww_dispatch *d)
{
    uint64_t one = 1;

    atomic_store(&d->draining, true);
    cgww_place_close(&d->place);
    if (write(d->event_fd, &one, sizeof(one)) < 0) {
        /* full: it is readable, which is all that matters */
    }
    cgww_place_await_free(&d->place);
}
