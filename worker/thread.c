/* SPDX-License-Identifier: Apache-2.0 */

#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "cgw_clock.h"
#include "cgw_control.h"
#include "request.h"

#define REQUEST_WAIT_MS 10000       /* httpd sends it along with connect */
#define BUFFER_KEEP ((size_t)256 << 10)
#define SIGNAL_STACK ((size_t)64 << 10) /* of which a handler touches what it needs */

/* What the wait for a request ends with; the frame is valid for SERVE. */
struct arrival {
    struct cgw_frame frame;
    const uint8_t *payload;
    struct cgw_request request;
    uint64_t received;              /* cgw_clock_us() */
    int error;                      /* ECANCELED: the worker drains */
};

static void pass_place(struct cgww_worker *worker, struct cgww_thread *t)
{
    if (t->leading) {
        t->leading = false;
        t->passed = cgww_dispatch_pass(&worker->dispatch,
                                       CGW_SLOT_GET(t->slot, tid));
    }
}

/* Send what the last request left, hang up. */
static void end_connection(struct cgww_thread *t)
{
    if (t->conn.fd >= 0 && t->out.len > 0) {
        struct cgww_output out = {.iov = {{t->out.data, t->out.len}},
                                  .file = -1};
        cgww_connection_send(&t->conn, &out, 0);
    }
    cgww_connection_close(&t->conn);
    if (t->conn.cut) {
        cgww_slot_failed(t->slot, CGW_FAIL_TIMEOUT);
        t->conn.cut = false;
    }
    cgww_slot_finished(t->slot, t->body_bytes);
    t->body_bytes = 0;
    t->out.len = 0;
    if (t->out.cap > BUFFER_KEEP || t->out.failed) {
        cgw_buf_free(&t->out);
    }
    if (t->head.cap > BUFFER_KEEP || t->head.failed) {
        cgw_buf_free(&t->head);
    }
}

static void refuse_request(struct cgww_thread *t, enum cgw_fail_kind why,
                           const char *text)
{
    size_t start = cgw_frame_open(&t->out, CGW_FRAME_FAIL, 0);
    uint8_t kind = (uint8_t)why;

    cgw_buf_put(&t->out, &kind, 1);
    cgw_buf_put(&t->out, text, strlen(text));
    cgw_frame_close(&t->out, start);
    cgww_slot_failed(t->slot, why);
}

/* Looked at after it was read: httpd, which looks at the same clock, has it that
 * what is unread by then never runs. */
static bool is_late(const struct arrival *a)
{
    return a->request.queue_ms
           && a->received >= a->request.sent_us
                                 + (uint64_t)a->request.queue_ms * 1000;
}

/* What httpd has given up while it waited is not run. */
static bool may_run(struct cgww_thread *t, struct arrival *a)
{
    uint8_t taken[CGW_FRAME_HEADER_SIZE];
    struct cgww_output out = {.iov = {{taken, sizeof(taken)}}, .file = -1};

    a->received = cgw_clock_us();
    if (is_late(a)) {
        refuse_request(t, CGW_FAIL_LATE, "");
        return false;
    }
    if (!(a->request.flags & CGW_REQUEST_TELL)) {
        return true;
    }
    cgw_frame_encode(taken, CGW_FRAME_TAKEN, 0, 0);
    return cgww_connection_send(&t->conn, &out, 0) == 0;
}

/* Read the REQUEST frame of an accepted connection; a peer that is slow with
 * it does not keep the place. Whether the client went away while the request
 * waited is asked before anything is read: httpd tells at once of a client
 * that merely ended its direction when it sees that all was read. Nobody but
 * httpd may send, which is known with the first bytes. */
static bool receive_request(struct cgww_worker *worker, struct cgww_thread *t,
                            struct arrival *a)
{
    enum cgw_wire_status why;
    enum cgww_receive got;

    if (cgww_dispatch_is_late(&worker->dispatch)
        && cgww_connection_gone(&t->conn)) {
        refuse_request(t, CGW_FAIL_ABORTED, "no worker was free before; the "
                       "application did not run");
        return false;
    }
    got = cgww_connection_request(&t->conn, 0, &a->frame, &a->payload, &why);
    if (!cgww_dispatch_trusts(&worker->dispatch, t->conn.fd,
                              t->conn.peer_known ? &t->conn.peer : NULL)) {
        return false;
    }
    if (got == CGWW_RECEIVE_AGAIN) {
        pass_place(worker, t);
        got = cgww_connection_request(&t->conn, REQUEST_WAIT_MS, &a->frame,
                                      &a->payload, &why);
    }
    if (got == CGWW_RECEIVED) {
        why = cgw_request_decode(&a->request, a->payload, a->frame.length);
        got = why == CGW_WIRE_OK ? CGWW_RECEIVED : CGWW_RECEIVE_INVALID;
    }
    if (got == CGWW_RECEIVE_INVALID) {
        refuse_request(t, CGW_FAIL_PROTOCOL, cgw_wire_strerror(why));
    }
    return got == CGWW_RECEIVED && may_run(t, a);
}

/* Without the interpreter lock: end the last request, wait for the next. */
static void await_arrival(struct cgww_worker *worker, struct cgww_thread *t,
                          struct arrival *a)
{
    int fd = -1;

    end_connection(t);
    while ((a->error = cgww_dispatch_next(&worker->dispatch, &fd)) == 0) {
        t->leading = true;
        cgww_connection_open(&t->conn, fd);
        cgww_slot_accepted(t->slot);
        if (receive_request(worker, t, a)) {
            t->conn.repeatable = a->request.flags & CGW_REQUEST_REPEATABLE;
            cgww_slot_received(t->slot, &a->request, a->received);
            cgww_watchdog_note(&worker->watchdog, a->request.deadline_ms);
            return;
        }
        pass_place(worker, t);
        end_connection(t);
    }
}

/* A thread that has used up its stack, by recursion in C code, cannot run the handler
 * that tells where Python was: faulthandler gives such a stack to the main thread
 * alone. */
static void give_signal_stack(struct cgww_thread *t)
{
    stack_t mine = {.ss_size = SIGNAL_STACK}, other;

    if (sigaltstack(NULL, &other) < 0 || !(other.ss_flags & SS_DISABLE)) {
        return; /* a sanitizer's */
    }
    mine.ss_sp = malloc(SIGNAL_STACK);
    if (mine.ss_sp && sigaltstack(&mine, NULL) < 0) {
        free(mine.ss_sp);
        return;
    }
    t->signal_stack = mine.ss_sp;
}

static void take_signal_stack(struct cgww_thread *t)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    if (t->signal_stack) {
        sigaltstack(&none, NULL);
        free(t->signal_stack);
    }
}

static void thread_enlist(struct cgww_worker *worker, struct cgww_thread *t)
{
    unsigned n = atomic_fetch_add(&worker->nthreads, 1);

    t->slot = cgw_scoreboard_slot(worker->board, n);
    t->conn.slot = t->slot;
    t->number = n;
    cgww_watchdog_enlist(&worker->watchdog, n, &t->conn);
    cgww_slot_begin(t->slot);
    t->next = worker->threads;
    worker->threads = t;
}

static void thread_free(struct cgww_worker *worker, struct cgww_thread *t)
{
    struct cgww_thread **at = &worker->threads;

    while (*at && *at != t) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = t->next;
    }
    cgww_watchdog_enlist(&worker->watchdog, t->number, NULL);
    cgww_slot_end(t->slot);
    cgww_connection_destroy(&t->conn);
    cgw_buf_free(&t->out);
    cgw_buf_free(&t->head);
    take_signal_stack(t);
    free(t);
}

/* The supervisor replaces a worker that has served its share; this one goes on
 * until it is told to drain. One message a process, so it never waits. */
static void count_request(struct cgww_worker *worker)
{
    if (atomic_fetch_add(&worker->served, 1) + 1 == worker->max_requests) {
        cgw_message_send(CGW_CONTROL_FD, CGW_MSG_WORN, 0, NULL, 0);
    }
}

PyObject *cgww_thread_run(struct cgww_worker *worker)
{
    struct cgww_thread *t = calloc(1, sizeof(*t));
    struct arrival arrival;

    if (atomic_load(&worker->nthreads) >= worker->board_threads) {
        free(t);
        PyErr_SetString(PyExc_RuntimeError, "run() was called too often");
        return NULL;
    }
    if (!t || cgww_connection_init(&t->conn) != 0) {
        free(t);
        return PyErr_NoMemory();
    }
    thread_enlist(worker, t);
    give_signal_stack(t);
    for (;;) {
        Py_BEGIN_ALLOW_THREADS
        await_arrival(worker, t, &arrival);
        Py_END_ALLOW_THREADS
        if (arrival.error != 0) {
            pass_place(worker, t);
            break;
        }
        cgww_dispatch_begin(&worker->dispatch);
        pass_place(worker, t);
        cgww_slot_running(t->slot);
        if (cgww_connection_claim(&t->conn)) {
            cgww_request_serve(worker, t, &arrival.request, arrival.payload,
                               arrival.frame.length);
            count_request(worker);
        }
        else if (!t->conn.cut) {
            cgww_slot_failed(t->slot, CGW_FAIL_RETURNED);
        }
        cgww_dispatch_end(&worker->dispatch, t->passed);
    }
    thread_free(worker, t);
    if (arrival.error != ECANCELED) {
        errno = arrival.error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

void cgww_threads_forget(struct cgww_worker *worker)
{
    for (struct cgww_thread *t = worker->threads; t; t = t->next) {
        cgww_connection_forget(&t->conn);
    }
    cgww_watchdog_forget(&worker->watchdog);
    cgww_dispatch_close(&worker->dispatch);
    cgw_scoreboard_detach(worker->board, worker->board_threads);
}
