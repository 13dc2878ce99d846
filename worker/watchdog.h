/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_WATCHDOG_H
#define CGWW_WATCHDOG_H

/*
 * A thread that never takes the interpreter lock and looks after those that
 * do: requests beyond their deadline (CGatewayRequestTimeout) are ended for
 * httpd, with the Python stack of their thread; those that wait for the lock in
 * vain are returned to httpd, which gives them to another worker; an interpreter
 * whose lock nobody gets (CGatewayDeadlockTimeout) is reported, with the stacks
 * of all threads.
 * The supervisor replaces the process, which it tells with OVERDUE, DEADLOCKED.
 *
 * Time passes for it only while it runs itself: neither a process that was
 * stopped and continued nor a machine that stalls makes a request late; nor is
 * a process deadlocked that has no processor. It sleeps while nothing runs.
 *
 * Knows nothing of Python.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "delay.h"
#include "stack.h"

struct cgww_watched;

struct cgww_watchdog {
    pthread_t thread;
    bool runs;                  /* the thread is to be joined */
    pthread_mutex_t lock;       /* guards what follows */
    pthread_cond_t wake;        /* of the watchdog */
    pthread_cond_t question;    /* of the one that answers */
    bool ending;
    struct cgww_watched *watched; /* one per request thread */
    unsigned size;
    struct cgww_stack stack;
    char group[80];             /* its name */
    char *text;                 /* being composed */

    /* is there somebody who gets the interpreter lock? */
    uint64_t deadlock_us;       /* 0: not asked */
    _Atomic uint64_t asked, answered; /* questions */
    uint64_t unanswered_us, quiet_us; /* since it was asked, or answered */
    uint64_t work;              /* what it had done by then */
    struct cgww_delay delay;    /* since then, too */
    bool reported;

    uint64_t calm_us;           /* since something ran */
    atomic_bool asleep;
    _Atomic uint64_t shortest_us; /* the shortest time it has to measure */
};

struct cgww_watchdog_options {
    unsigned threads;           /* request threads */
    uint64_t deadlock_us;       /* 0: do not ask */
    struct cgww_stack stack;
    const char *group;          /* its name */
};

/* Starts the thread. 0 or an errno. */
int cgww_watchdog_start(struct cgww_watchdog *w,
                        const struct cgww_watchdog_options *options);
/* Ends it, and the one that answers; a no-op where it was not started. */
void cgww_watchdog_stop(struct cgww_watchdog *w);
/* In a child that the application forked there is none. */
void cgww_watchdog_forget(struct cgww_watchdog *w);

/* Thread n (of `threads`) has begun, with that connection; NULL: has ended. */
void cgww_watchdog_enlist(struct cgww_watchdog *w, unsigned n,
                          struct cgww_connection *conn);
/* A request was received, and is in the slot; deadline_ms is its own, 0: it has
 * none. Wakes the watchdog where it sleeps. */
void cgww_watchdog_note(struct cgww_watchdog *w, uint32_t deadline_ms);

/* Waits, without the interpreter lock, for a question; once the caller has got
 * the lock it answers. False: the watchdog ends. */
bool cgww_watchdog_await_question(struct cgww_watchdog *w);
void cgww_watchdog_answer(struct cgww_watchdog *w);

#endif
