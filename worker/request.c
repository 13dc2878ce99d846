/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"

#include <errno.h>
#include <sys/socket.h>

#include "environ.h"
#include "errors.h"
#include "failure.h"
#include "iterate.h"
#include "response.h"
#include "starter.h"

/* More than this is not sent while the interpreter lock is held. */
#define QUICK_SEND ((size_t)64 << 10)
#define LOG_LONGEST (((size_t)1 << 16) - 1)

void cgww_lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_trylock(mutex) != 0) {
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(mutex);
        Py_END_ALLOW_THREADS
    }
}

/* With send_lock. The usual small piece goes out without giving up the
 * interpreter lock, since getting it back may take long. */
static int send_locked(struct cgww_request *r, struct cgww_output *out)
{
    struct cgww_connection *conn = &r->thread->conn;
    size_t total = out->iov[0].iov_len + out->iov[1].iov_len;
    int rv = EAGAIN;

    if (total <= QUICK_SEND) {
        rv = cgww_connection_send(conn, out, MSG_DONTWAIT);
    }
    if (rv == EAGAIN) {
        Py_BEGIN_ALLOW_THREADS
        rv = cgww_connection_send(conn, out, 0);
        Py_END_ALLOW_THREADS
    }
    return rv;
}

/* Send bytes; false: the request has ended or httpd has hung up. */
static bool send_bytes(struct cgww_request *r, struct cgww_output *out)
{
    bool ok = false;

    cgww_lock(&r->send_lock);
    if (r->thread && !r->response.broken) {
        ok = send_locked(r, out) == 0;
        r->response.broken = !ok;
    }
    pthread_mutex_unlock(&r->send_lock);
    return ok;
}

bool cgww_request_send(struct cgww_request *r, const char *more, size_t len,
                       int file)
{
    struct cgw_buf *buf = &r->thread->out;
    struct cgww_output out = {
        .iov = {{buf->data, buf->len}, {(void *)more, len}}, .file = file};
    bool ok = !buf->failed && send_bytes(r, &out);

    buf->len = 0;
    return ok;
}

void cgww_request_put_served(struct cgww_request *r)
{
    struct cgw_buf *out = &r->thread->out;
    size_t start = cgw_frame_open(out, CGW_FRAME_SERVED, 0);
    uint64_t since = CGW_SLOT_GET(r->thread->slot, started);

    cgw_put_u32(out, r->worker->pid);
    cgw_put_u32(out, r->worker->generation);
    cgw_put_u64(out, r->wire.sent_us && since > r->wire.sent_us
                         ? since - r->wire.sent_us : 0);
    cgw_frame_close(out, start);
}

bool cgww_request_log(struct cgww_request *r, enum cgw_log_level level,
                      const char *text, size_t len)
{
    struct cgw_buf buf = {0};
    uint8_t byte = (uint8_t)level;
    bool ok = false;

    if (!r->thread || r->response.state == CGWW_RESPONSE_COMPLETE) {
        return false;
    }
    size_t start = cgw_frame_open(&buf, CGW_FRAME_LOG, 0);
    cgw_buf_put(&buf, &byte, 1);
    cgw_buf_put(&buf, text, len < LOG_LONGEST ? len : LOG_LONGEST);
    cgw_frame_close(&buf, start);
    if (!buf.failed) {
        struct cgww_output out = {.iov = {{buf.data, buf.len}}, .file = -1};
        ok = send_bytes(r, &out);
    }
    cgw_buf_free(&buf);
    return ok;
}

/* With send_lock: nobody else can send the head meanwhile. */
static enum cgww_interim send_interim_locked(struct cgww_request *r,
                                             struct cgww_output *out)
{
    if (!r->thread || r->response.state >= CGWW_RESPONSE_SENT) {
        return CGWW_INTERIM_LATE;
    }
    r->response.broken = r->response.broken || send_locked(r, out) != 0;
    return r->response.broken ? CGWW_INTERIM_GONE : CGWW_INTERIM_SENT;
}

enum cgww_interim cgww_request_interim(struct cgww_request *r,
                                       const struct cgww_head *head)
{
    struct cgw_buf buf = {0};
    enum cgww_interim rv = CGWW_INTERIM_NO_MEMORY;

    cgww_head_put(head, &buf, 0);
    if (!buf.failed) {
        struct cgww_output out = {.iov = {{buf.data, buf.len}}, .file = -1};
        cgww_lock(&r->send_lock);
        rv = send_interim_locked(r, &out);
        pthread_mutex_unlock(&r->send_lock);
    }
    cgw_buf_free(&buf);
    return rv;
}

void cgww_request_continue(struct cgww_request *r)
{
    static char reason[] = "Continue";
    struct cgw_buf text = {.data = (uint8_t *)reason, .len = sizeof(reason) - 1};
    const struct cgww_head head = {.type = CGW_FRAME_INTERIM, .buf = &text,
                                   .status = 100, .reason_len = text.len,
                                   .length = CGW_LENGTH_UNKNOWN};

    if (r->wire.flags & CGW_REQUEST_CONTINUE) {
        r->wire.flags &= (uint16_t)~CGW_REQUEST_CONTINUE;
        cgww_request_interim(r, &head); /* failed: the read finds out */
    }
}

bool cgww_request_gone(struct cgww_request *r)
{
    bool gone = true;

    if (r->thread && !r->response.broken) {
        cgww_lock(&r->recv_lock);
        gone = !r->thread || cgww_connection_gone(&r->thread->conn);
        pthread_mutex_unlock(&r->recv_lock);
    }
    return gone;
}

/* ---- life --------------------------------------------------------------- */

static struct cgww_request *request_new(struct cgww_worker *worker,
                                        struct cgww_thread *thread)
{
    struct cgww_request *r = PyObject_New(struct cgww_request,
                                          worker->request_type);

    if (!r) {
        return NULL;
    }
    r->worker = worker;
    r->module = worker->module;
    Py_INCREF(r->module);
    r->thread = thread;
    memset(&r->wire, 0, sizeof(r->wire));
    memset(&r->response, 0, sizeof(r->response));
    r->response.head.length = CGW_LENGTH_UNKNOWN;
    memset(&r->line, 0, sizeof(r->line));
    pthread_mutex_init(&r->recv_lock, NULL);
    pthread_mutex_init(&r->send_lock, NULL);
    return r;
}

static void request_dealloc(PyObject *self)
{
    struct cgww_request *r = (struct cgww_request *)self;
    PyTypeObject *type = Py_TYPE(self);

    pthread_mutex_destroy(&r->recv_lock);
    pthread_mutex_destroy(&r->send_lock);
    cgw_buf_free(&r->line);
    Py_DECREF(r->module);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot request_slots[] = {
    {Py_tp_new, cgww_type_refuse},
    {Py_tp_dealloc, request_dealloc},
    {0, NULL}};

PyType_Spec cgww_request_spec = {.name = "_cgateway.Request",
                                 .basicsize = sizeof(struct cgww_request),
                                 .flags = Py_TPFLAGS_DEFAULT,
                                 .slots = request_slots};

/* Threads of the application may be in the middle of a read or a log line:
 * wait until they are out, so that the connection is ours alone. */
static void take_connection_back(struct cgww_request *r)
{
    if (pthread_mutex_trylock(&r->recv_lock) != 0) {
        shutdown(r->thread->conn.fd, SHUT_RD);
        cgww_lock(&r->recv_lock);
    }
    cgww_lock(&r->send_lock);
    if (r->response.broken) {
        r->thread->out.len = 0;
    }
    r->thread->body_bytes = r->response.sent;
    r->thread = NULL;
    pthread_mutex_unlock(&r->send_lock);
    pthread_mutex_unlock(&r->recv_lock);
}

/* Call the application and send what it returns. */
static int run_application(struct cgww_request *r, const uint8_t *payload,
                           size_t len)
{
    struct cgww_worker *worker = r->worker;
    PyObject *environ = cgww_environ_build(r, payload, len);
    PyObject *starter = environ ? cgww_starter_new(r) : NULL;
    PyObject *application = r->wire.flags & CGW_REQUEST_ASK ? worker->answer
                                                            : worker->application;
    PyObject *result = NULL;
    int rv = -1;

    if (starter) {
        result = PyObject_CallFunctionObjArgs(application, environ, starter, NULL);
    }
    if (result) {
        rv = cgww_send_result(r, result);
        Py_DECREF(result);
    }
    Py_XDECREF(starter);
    Py_XDECREF(environ);
    return rv;
}

void cgww_request_serve(struct cgww_worker *worker, struct cgww_thread *thread,
                        const struct cgw_request *wire, const uint8_t *payload,
                        size_t len)
{
    struct cgww_request *r = request_new(worker, thread);

    thread->out.len = 0;
    if (!r) {
        PyErr_Clear(); /* httpd sees the connection end */
        return;
    }
    r->wire = *wire;
    thread->request = r;
    if (run_application(r, payload, len) != 0) {
        cgww_fail_exception(r);
    }
    cgww_errors_finish(r);
    thread->request = NULL;
    take_connection_back(r);
    Py_DECREF((PyObject *)r);
}
