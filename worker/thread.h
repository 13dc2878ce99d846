/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_THREAD_H
#define CGWW_THREAD_H

/* A request thread: accepts, serves, accepts again until the worker drains. */

#include "connection.h"
#include "slot.h"
#include "worker.h"

struct cgww_thread {
    struct cgww_connection conn;
    struct cgw_buf out;         /* frames not sent yet */
    struct cgw_buf head;        /* reason and pairs of the response */
    bool leading;               /* holds the place of the dispatch */
    struct cgww_pass passed;    /* when it gave the place up */
    struct cgw_slot *slot;      /* its own, of the scoreboard */
    struct cgww_request *request; /* that it serves, NULL: none */
    unsigned number;            /* of the slot */
    uint64_t body_bytes;        /* sent by the last request */
    void *signal_stack;         /* NULL: none of ours */
    struct cgww_thread *next;
};

/* The loop. Returns None when the worker drains; raises OSError where the
 * listening socket cannot be used. */
PyObject *cgww_thread_run(struct cgww_worker *worker);

/* In a child process that the application forked: close every descriptor that
 * belongs to the worker, so that nobody waits for the child by mistake. */
void cgww_threads_forget(struct cgww_worker *worker);

#endif
