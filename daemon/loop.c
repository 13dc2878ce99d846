/* SPDX-License-Identifier: Apache-2.0 */

#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "want.h"

#define EVENTS 64

struct cgwd_loop {
    int epoll;
    int running;
    cgwd_timer **heap;
    unsigned count, room;
    struct epoll_event events[EVENTS];
    int pending;            /* events still to be delivered in this turn */
};

int64_t cgwd_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

cgwd_loop *cgwd_loop_create(void)
{
    cgwd_loop *loop = calloc(1, sizeof(*loop));

    if (!loop) {
        return NULL;
    }
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

void cgwd_loop_destroy(cgwd_loop *loop)
{
    close(loop->epoll);
    free(loop->heap);
    free(loop);
}

int cgwd_watch_add(cgwd_loop *loop, cgwd_watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? errno : 0;
}

int cgwd_watch_await_writing(cgwd_loop *loop, cgwd_watch *watch)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = watch};

    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? errno : 0;
}

void cgwd_watch_remove(cgwd_loop *loop, cgwd_watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = 0; i < loop->pending; i++) {
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

void cgwd_watch_close(cgwd_loop *loop, cgwd_watch *watch)
{
    if (watch->fd >= 0) {
        cgwd_watch_remove(loop, watch);
        close(watch->fd);
        watch->fd = -1;
    }
}

/* ---- timers: a binary heap, each timer knows its slot -------------------- */

static void place(cgwd_loop *loop, unsigned i, cgwd_timer *timer)
{
    loop->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift(cgwd_loop *loop, unsigned i)
{
    cgwd_timer *timer = loop->heap[i];

    while (i > 0 && loop->heap[(i - 1) / 2]->at > timer->at) {
        place(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child + 1 < loop->count
            && loop->heap[child + 1]->at < loop->heap[child]->at) {
            child++;
        }
        if (child >= loop->count || loop->heap[child]->at >= timer->at) {
            break;
        }
        place(loop, i, loop->heap[child]);
        i = child;
    }
    place(loop, i, timer);
}

void cgwd_timer_set(cgwd_loop *loop, cgwd_timer *timer, int64_t ms)
{
    timer->at = cgwd_now() + ms;
    if (!timer->slot) {
        if (loop->count == loop->room) {
            unsigned room = loop->room ? 2 * loop->room : 64;
            cgwd_timer **heap = realloc(loop->heap, room * sizeof(*heap));
            if (!heap) {
                cgwd_want_end(ENOMEM);
            }
            loop->heap = heap;
            loop->room = room;
        }
        place(loop, loop->count++, timer);
    }
    sift(loop, timer->slot - 1);
}

void cgwd_timer_clear(cgwd_loop *loop, cgwd_timer *timer)
{
    unsigned i = timer->slot - 1;

    if (!timer->slot) {
        return;
    }
    timer->slot = 0;
    loop->count--;
    if (i < loop->count) {
        place(loop, i, loop->heap[loop->count]);
        sift(loop, i);
    }
}

static void run_timers(cgwd_loop *loop)
{
    int64_t now = cgwd_now();

    while (loop->count && loop->heap[0]->at <= now) {
        cgwd_timer *timer = loop->heap[0];
        cgwd_timer_clear(loop, timer);
        timer->handle(timer);
    }
}

static int wait_limit(const cgwd_loop *loop)
{
    int64_t left;

    if (!loop->count) {
        return -1;
    }
    left = loop->heap[0]->at - cgwd_now();
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* ---- turn ----------------------------------------------------------------- */

void cgwd_loop_run(cgwd_loop *loop)
{
    loop->running = 1;
    while (loop->running) {
        int n = epoll_wait(loop->epoll, loop->events, EVENTS, wait_limit(loop));
        loop->pending = n > 0 ? n : 0;
        for (int i = 0; i < loop->pending; i++) {
            cgwd_watch *watch = loop->events[i].data.ptr;
            if (watch) {
                watch->handle(watch);
            }
        }
        loop->pending = 0;
        run_timers(loop);
    }
}

void cgwd_loop_stop(cgwd_loop *loop)
{
    loop->running = 0;
}
