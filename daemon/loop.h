/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_LOOP_H
#define CGWD_LOOP_H

/* One event loop: descriptors through epoll, timers in a heap. Nothing that it
 * calls may block. */

#include <stdint.h>

typedef struct cgwd_loop cgwd_loop;

/* A descriptor that is watched for reading. Embedded in its owner; handle may
 * unwatch it, close the descriptor and free the owner. */
typedef struct cgwd_watch {
    int fd;
    void (*handle)(struct cgwd_watch *watch);
    void *owner;
} cgwd_watch;

/* A deadline, one at a time. Embedded in its owner. Zeroed when new. */
typedef struct cgwd_timer {
    int64_t at;             /* cgwd_now() at which it is due */
    unsigned slot;          /* position in the heap + 1, 0: not set */
    void (*handle)(struct cgwd_timer *timer);
    void *owner;
} cgwd_timer;

/* milliseconds of a clock that does not jump */
int64_t cgwd_now(void);

cgwd_loop *cgwd_loop_create(void);          /* NULL: errno tells why */
void cgwd_loop_destroy(cgwd_loop *loop);
void cgwd_loop_run(cgwd_loop *loop);        /* until cgwd_loop_stop */
void cgwd_loop_stop(cgwd_loop *loop);

/* 0 or an errno. An event that the kernel had already reported when a watch
 * was removed is not delivered. */
int cgwd_watch_add(cgwd_loop *loop, cgwd_watch *watch);
void cgwd_watch_remove(cgwd_loop *loop, cgwd_watch *watch);
/* Removes the watch and closes its descriptor; a no-op where that is -1, which it
 * is then. */
void cgwd_watch_close(cgwd_loop *loop, cgwd_watch *watch);
/* From now on the watch is one for writing. 0 or an errno. */
int cgwd_watch_await_writing(cgwd_loop *loop, cgwd_watch *watch);

/* Set, or move, to so many milliseconds from now. Without memory
 * the supervisor ends, and httpd's parent starts another. */
void cgwd_timer_set(cgwd_loop *loop, cgwd_timer *timer, int64_t ms);
void cgwd_timer_clear(cgwd_loop *loop, cgwd_timer *timer);

#endif
