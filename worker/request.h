/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_REQUEST_H
#define CGWW_REQUEST_H

/*
 * One request from its REQUEST frame to the end of its response. The objects
 * that the application gets (input, errors, start_response) hold it, and may
 * outlive the request: `thread` is NULL from its end on.
 */

#include <pthread.h>
#include <stdbool.h>

#include "head.h"
#include "thread.h"
#include "worker.h"

enum cgww_response_state {
    CGWW_RESPONSE_NONE,         /* start_response was not called */
    CGWW_RESPONSE_SET,          /* called, HEAD not sent: may be replaced */
    CGWW_RESPONSE_SENT,         /* HEAD sent */
    CGWW_RESPONSE_COMPLETE      /* END or FAIL sent: nothing more may follow */
};

struct cgww_response {
    enum cgww_response_state state;
    struct cgww_head head;      /* in thread->head, from SET on */
    uint64_t sent;
    bool bodiless;              /* HEAD, 204, 304, or X-Sendfile */
    bool broken;                /* httpd has hung up: send nothing more */
    bool invalid;               /* the exception set is our own finding */
};

struct cgww_request {
    PyObject_HEAD
    struct cgww_worker *worker;
    PyObject *module;           /* keeps worker alive */
    struct cgww_thread *thread; /* NULL: the request has ended */
    struct cgw_request wire;
    pthread_mutex_t recv_lock, send_lock; /* of thread->conn, see lock() */
    struct cgww_response response;
    struct cgw_buf line;        /* of wsgi.errors, not ended yet */
};

extern PyType_Spec cgww_request_spec;

/* Serve a request up to its end; what is left in thread->out is for the
 * caller to send. Never leaves an exception set. */
void cgww_request_serve(struct cgww_worker *worker, struct cgww_thread *thread,
                        const struct cgw_request *wire, const uint8_t *payload,
                        size_t len);

/* A mutex that other threads hold while they wait without the interpreter
 * lock. Called with the interpreter lock, which may be given up meanwhile. */
void cgww_lock(pthread_mutex_t *mutex);

/* Send thread->out and then `more` (may be NULL, 0), with file if >= 0. Gives
 * up the interpreter lock where it would wait. False: httpd has hung up. */
bool cgww_request_send(struct cgww_request *r, const char *more, size_t len,
                       int file);
/* Who serves it, for httpd's access log: in front of HEAD or FAIL. */
void cgww_request_put_served(struct cgww_request *r);
/* Send a LOG frame at once. False: not possible (any more). */
bool cgww_request_log(struct cgww_request *r, enum cgw_log_level level,
                      const char *text, size_t len);

/* The application wants the body: tell a client that holds it back (RFC 9110,
 * 10.1.1). Once, and not any more when the response has begun. */
void cgww_request_continue(struct cgww_request *r);

enum cgww_interim {
    CGWW_INTERIM_SENT,
    CGWW_INTERIM_LATE,          /* the response has begun, or ended */
    CGWW_INTERIM_GONE,          /* httpd has hung up */
    CGWW_INTERIM_NO_MEMORY
};

/* Send an INTERIM frame at once. From any thread. */
enum cgww_interim cgww_request_interim(struct cgww_request *r,
                                       const struct cgww_head *head);

/* Has the client gone? Never waits; true after the end of the request, too. */
bool cgww_request_gone(struct cgww_request *r);

#endif
