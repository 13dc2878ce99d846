/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_WORKER_H
#define CGWW_WORKER_H

/* The state of module _cgateway: one worker. Everything else hangs on it; C
 * globals hold no state. The interpreter lock guards it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cgw_scoreboard.h"
#include "dispatch.h"
#include "watchdog.h"

/* X(field, text): strings made once. */
#define CGWW_NAMES(X)                                                         \
    X(close, "close") X(read, "read") X(write, "write")                       \
    X(input, "wsgi.input") X(errors, "wsgi.errors")                           \
    X(url_scheme, "wsgi.url_scheme") X(https, "https") X(empty, "")           \
    X(raw_uri, "RAW_URI")                                                     \
    X(client_disconnected, "cgateway.client_disconnected")                    \
    X(send_interim, "cgateway.send_interim")

struct cgww_worker {
    PyObject *module;           /* borrowed: the module owns this struct */
    PyTypeObject *request_type, *input_type, *errors_type, *starter_type,
        *file_wrapper_type, *callable_type;
#define X(field, text) PyObject *name_##field;
    CGWW_NAMES(X)
#undef X
    /* from configure(); NULL before */
    PyObject *application;      /* the application callable */
    PyObject *answer;           /* the same, for CGW_REQUEST_ASK */
    PyObject *report;           /* _report.describe */
    PyObject *sendable;         /* file -> (fd, offset, length) or None */
    PyObject *gone_error;       /* class cgateway.ClientDisconnected */
    PyObject *group;            /* its name, str */
    struct cgww_environ *environ;
    struct cgww_dispatch dispatch;
    struct cgww_thread *threads; /* list of those that run */
    uint32_t pid, generation;   /* for logs */
    unsigned long long max_requests; /* after so many it is worn, 0: never */
    atomic_ullong served;       /* requests */
    struct cgww_watchdog watchdog;
    struct cgw_scoreboard *board;
    unsigned board_threads;     /* slots that it has */
    atomic_uint nthreads;       /* slots that were taken */
};

/* The worker of a module object; never NULL. */
struct cgww_worker *cgww_worker_of(PyObject *module);

/* tp_new of the types that only this extension makes: raises TypeError. */
PyObject *cgww_type_refuse(PyTypeObject *type, PyObject *args, PyObject *kw);

/* Give a reference (or NULL) up; NULL, to be assigned or returned. */
static inline PyObject *cgww_drop(PyObject *object)
{
    Py_XDECREF(object);
    return NULL;
}

/* Write a str, or bytes as UTF-8, to sys.stderr; failures are ignored. */
void cgww_stderr_write(PyObject *text);
void cgww_stderr_bytes(const char *bytes, size_t len);

#endif
