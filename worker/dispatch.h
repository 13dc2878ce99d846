/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_DISPATCH_H
#define CGWW_DISPATCH_H

/*
 * Who accepts the next request of this process. One thread at a time, the
 * leader, waits for the group's listening socket; it passes the place on once
 * it can run Python, so that a process whose interpreter lock is busy attracts
 * no further requests (docs/architecture.md, dispatch). Knows nothing of
 * Python: every call may wait and is made without the interpreter lock.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "place.h"

struct cgww_dispatch {
    int listen_fd, epoll_fd, event_fd;
    struct cgww_place place;    /* who has it may touch: */
    uint64_t empty_at;          /* when nothing waited, cgw_clock_us() */
    bool busy;                  /* the next one probably waits already */
    uint64_t stepped_back_at;   /* cgw_clock_us() */
    atomic_int serving;         /* threads in the application */
    atomic_bool draining;
    uid_t owner;                /* of the socket file: httpd's user */
    time_t complained;          /* last report of a failed accept */
};

/* listen_fd is shared by the group, is made non-blocking and stays the
 * caller's; owner is the user who may send requests. 0 or an errno. */
int cgww_dispatch_open(struct cgww_dispatch *d, int listen_fd, uid_t owner);

/* Become the leader and wait for a connection. 0: *fd is one and the caller
 * holds the place, which cgww_dispatch_pass() gives up. ECANCELED: draining;
 * another errno: the listening socket is unusable. */
int cgww_dispatch_next(struct cgww_dispatch *d, int *fd);
/* tid: the caller's. */
struct cgww_pass cgww_dispatch_pass(struct cgww_dispatch *d, int32_t tid);

/* Around the application, with the interpreter lock; passed is what the pass
 * returned. A process whose threads serve takes less of what comes. */
void cgww_dispatch_begin(struct cgww_dispatch *d);
void cgww_dispatch_end(struct cgww_dispatch *d, struct cgww_pass passed);

/* As the leader: may the connection just accepted have waited for longer than
 * a moment? */
bool cgww_dispatch_is_late(const struct cgww_dispatch *d);

/* Is the other end httpd? Asks the kernel where the peer has not said anything
 * yet (NULL). Complains, at most once a second. */
bool cgww_dispatch_trusts(struct cgww_dispatch *d, int fd,
                          const struct ucred *peer);

/* From now on cgww_dispatch_next() answers ECANCELED, to all. Returns when the
 * last connection that this process will ever accept is accepted. */
void cgww_dispatch_drain(struct cgww_dispatch *d);
/* Closes what open made; no thread may be in it. Also for a child process
 * that the application forked. */
void cgww_dispatch_close(struct cgww_dispatch *d);

#endif
