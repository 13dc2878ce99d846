/* SPDX-License-Identifier: Apache-2.0 */

#include "starter.h"

#include "cgw_header.h"
#include "response.h"

struct starter {
    PyObject_HEAD
    struct cgww_request *request;
};

PyObject *cgww_starter_new(struct cgww_request *r)
{
    struct starter *s = PyObject_New(struct starter, r->worker->starter_type);

    if (s) {
        Py_INCREF((PyObject *)r);
        s->request = r;
    }
    return (PyObject *)s;
}

static void starter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF((PyObject *)((struct starter *)self)->request);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- the response ------------------------------------------------------- */

/* Take status and headers over; they count only when all are valid. */
static int set_response(struct cgww_request *r, PyObject *status,
                        PyObject *headers)
{
    struct cgww_response *res = &r->response;

    res->state = CGWW_RESPONSE_NONE;
    res->head.type = CGW_FRAME_HEAD;
    res->head.buf = &r->thread->head;
    if (cgww_head_take(&res->head, status, headers) != 0) {
        return -1;
    }
    if (res->head.status < 200) {
        PyErr_Format(PyExc_ValueError,
                     "response status %R must be a final status, 200 to 999",
                     status);
        return -1;
    }
    res->bodiless = cgw_status_bodiless(res->head.status)
                    || (r->wire.flags & CGW_REQUEST_HEAD_ONLY)
                    || (res->head.names_file
                        && (r->wire.flags & CGW_REQUEST_OFFLOAD));
    res->state = CGWW_RESPONSE_SET;
    return 0;
}

/* ---- write() ------------------------------------------------------------ */

static int write_allowed(struct cgww_request *r, PyObject *data)
{
    if (!r->thread) {
        PyErr_SetString(PyExc_ValueError,
                        "write() was called after the end of its request");
        return -1;
    }
    if (!PyBytes_Check(data)) {
        PyErr_Format(PyExc_TypeError,
                     "write() takes bytes, not %R; encode text first",
                     (PyObject *)Py_TYPE(data));
        return -1;
    }
    return 0;
}

static PyObject *starter_write(PyObject *self, PyObject *data)
{
    struct cgww_request *r = (struct cgww_request *)self;
    char *bytes;
    Py_ssize_t len;

    if (write_allowed(r, data) != 0
        || PyBytes_AsStringAndSize(data, &bytes, &len) != 0) {
        return NULL;
    }
    int rv = cgww_response_body(r, bytes, (size_t)len, true);
    if (rv == CGWW_GONE) {
        PyErr_SetString(r->worker->gone_error,
                        "the client disconnected before the response was "
                        "complete");
    }
    if (rv != 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef write_def = {
    "write", starter_write, METH_O,
    "write(data: bytes): send part of the body (PEP 3333, legacy)"};

/* ---- start_response ----------------------------------------------------- */

/* exc_info after the headers are out: raise it again, as PEP 3333 has it. */
static void raise_again(PyObject *exc_info)
{
    PyObject *part[3];

    for (int i = 0; i < 3; i++) {
        part[i] = PyTuple_GetItem(exc_info, i);
        Py_XINCREF(part[i]);
    }
    if (part[2] == Py_None) {
        part[2] = cgww_drop(part[2]);
    }
    PyErr_Restore(part[0], part[1], part[2]);
}

static int check_exc_info(PyObject *exc_info)
{
    if (PyTuple_Check(exc_info) && PyTuple_Size(exc_info) == 3
        && PyExceptionClass_Check(PyTuple_GetItem(exc_info, 0))
        && PyExceptionInstance_Check(PyTuple_GetItem(exc_info, 1))) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError,
                    "exc_info must be what sys.exc_info() returned while an "
                    "exception was handled");
    return -1;
}

/* May start_response be called now? */
static int check_order(struct cgww_request *r, PyObject *exc_info)
{
    if (!r->thread) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response was called after the end of its "
                        "request");
        return -1;
    }
    if (exc_info != Py_None) {
        if (check_exc_info(exc_info) != 0) {
            return -1;
        }
        if (r->response.state >= CGWW_RESPONSE_SENT) {
            raise_again(exc_info);
            return -1;
        }
    }
    else if (r->response.state != CGWW_RESPONSE_NONE) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response was called a second time without "
                        "exc_info; pass sys.exc_info() to replace a response");
        return -1;
    }
    return 0;
}

static PyObject *starter_call(PyObject *self, PyObject *args, PyObject *kw)
{
    static char *names[] = {"status", "headers", "exc_info", NULL};
    struct cgww_request *r = ((struct starter *)self)->request;
    PyObject *status, *headers, *exc_info = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kw, "OO|O:start_response", names,
                                     &status, &headers, &exc_info)
        || check_order(r, exc_info) != 0
        || set_response(r, status, headers) != 0) {
        return NULL;
    }
    return PyCFunction_NewEx(&write_def, (PyObject *)r, NULL);
}

static PyType_Slot starter_slots[] = {
    {Py_tp_doc, "start_response(status, headers, exc_info=None) -> write"},
    {Py_tp_new, cgww_type_refuse},
    {Py_tp_dealloc, starter_dealloc},
    {Py_tp_call, starter_call},
    {0, NULL}};

PyType_Spec cgww_starter_spec = {.name = "_cgateway.StartResponse",
                                 .basicsize = sizeof(struct starter),
                                 .flags = Py_TPFLAGS_DEFAULT,
                                 .slots = starter_slots};
