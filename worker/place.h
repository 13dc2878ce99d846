/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_PLACE_H
#define CGWW_PLACE_H

/*
 * The leader's place: one thread of a process at a time has it. Knows neither
 * sockets nor Python.
 *
 * Whoever passes the place wakes nobody as long as requests are short: it is
 * back for the next one before another thread would run, and waking that one
 * costs as much as a trivial request. One of those who wait, the sentinel,
 * looks after it every now and then: where the place has lain free for too
 * long, since the thread that passed it sleeps in the application, the sentinel
 * takes it, and for a while every pass wakes a successor at once. A thread that
 * computes keeps the interpreter lock, with which nobody else could serve
 * either: the sentinel leaves what comes to the other processes of the group a
 * little longer.
 *
 * Every pass either wakes somebody or happens under the eyes of a sentinel.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cgww_place {
    _Atomic uint32_t state;     /* taken, closed, number of passes */
    _Atomic uint32_t calls;     /* futex: how often somebody was woken */
    atomic_int waiting;         /* threads, the sentinel too */
    atomic_bool watched;        /* a sentinel is on duty */
    atomic_int eager;           /* for so many requests more passes wake */
    _Atomic int32_t passer;     /* tid of who passed it last */
    atomic_int look_us;         /* the sentinel's next look, after so long */
};

void cgww_place_init(struct cgww_place *place);

/* Waits for it. False: it is closed, and not taken. */
bool cgww_place_take(struct cgww_place *place);

/* What was so when the place was given up. */
struct cgww_pass {
    uint32_t state;
    long sleeps;                /* of the thread so far; -1: not asked */
};

/* Give it up. tid: the caller's. The result is for cgww_place_compare(). */
struct cgww_pass cgww_place_pass(struct cgww_place *place, int32_t tid);

/* Back from the application: has this thread slept in it, and another one served
 * meanwhile? Then waking others pays. */
void cgww_place_compare(struct cgww_place *place, struct cgww_pass passed);

/* From now on it cannot be taken; all who wait are told. */
void cgww_place_close(struct cgww_place *place);
/* Waits until nobody has it. */
void cgww_place_await_free(struct cgww_place *place);

#endif
