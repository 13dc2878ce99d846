/* SPDX-License-Identifier: Apache-2.0 */

#include "callable.h"

#include "cgw_header.h"

struct callable {
    PyObject_HEAD
    struct cgww_request *request;
    const struct cgww_function *function;
};

PyObject *cgww_callable_new(struct cgww_request *r,
                            const struct cgww_function *function)
{
    struct callable *c = PyObject_New(struct callable,
                                      r->worker->callable_type);

    if (c) {
        Py_INCREF((PyObject *)r);
        c->request = r;
        c->function = function;
    }
    return (PyObject *)c;
}

static void callable_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF((PyObject *)((struct callable *)self)->request);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *callable_call(PyObject *self, PyObject *args, PyObject *kw)
{
    struct callable *c = (struct callable *)self;

    return c->function->call(c->request, args, kw);
}

static PyObject *callable_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<function cgateway.%s of a request>",
                                ((struct callable *)self)->function->name);
}

static PyType_Slot callable_slots[] = {
    {Py_tp_doc, "A function of one request; docs/applications.md of "
                "mod_cgateway describes each."},
    {Py_tp_new, cgww_type_refuse},
    {Py_tp_dealloc, callable_dealloc},
    {Py_tp_call, callable_call},
    {Py_tp_repr, callable_repr},
    {0, NULL}};

PyType_Spec cgww_callable_spec = {.name = "_cgateway.Function",
                                  .basicsize = sizeof(struct callable),
                                  .flags = Py_TPFLAGS_DEFAULT,
                                  .slots = callable_slots};

/* ---- client_disconnected ------------------------------------------------ */

static PyObject *client_disconnected(struct cgww_request *r, PyObject *args,
                                     PyObject *kw)
{
    static char *names[] = {NULL};

    if (!PyArg_ParseTupleAndKeywords(args, kw, ":client_disconnected", names)) {
        return NULL;
    }
    return PyBool_FromLong(cgww_request_gone(r));
}

const struct cgww_function cgww_client_disconnected = {
    .name = "client_disconnected", .call = client_disconnected};

/* ---- send_interim ------------------------------------------------------- */

static int check_interim(const struct cgww_head *head, PyObject *status)
{
    if (!cgw_status_interim(head->status)) {
        PyErr_Format(PyExc_ValueError,
                     "interim status %R must be 100 to 199, and not 101, which "
                     "a WSGI application cannot honour; '103 Early Hints' is "
                     "the usual one", status);
        return -1;
    }
    if (head->length != CGW_LENGTH_UNKNOWN) {
        PyErr_SetString(PyExc_ValueError,
                        "an interim response has no body: leave Content-Length "
                        "out of its headers");
        return -1;
    }
    return 0;
}

static PyObject *send_head(struct cgww_request *r, const struct cgww_head *head)
{
    switch (cgww_request_interim(r, head)) {
    case CGWW_INTERIM_SENT:
        Py_RETURN_NONE;
    case CGWW_INTERIM_LATE:
        PyErr_SetString(PyExc_RuntimeError,
                        "cgateway.send_interim was called after the response "
                        "had begun; call it before the first part of the body "
                        "is yielded or written");
        return NULL;
    case CGWW_INTERIM_GONE:
        PyErr_SetString(r->worker->gone_error,
                        "the client disconnected before the interim response "
                        "was sent");
        return NULL;
    default:
        return PyErr_NoMemory();
    }
}

static PyObject *send_interim(struct cgww_request *r, PyObject *args,
                              PyObject *kw)
{
    static char *names[] = {"status", "headers", NULL};
    PyObject *status, *headers, *result = NULL;
    struct cgw_buf buf = {0};
    struct cgww_head head = {.type = CGW_FRAME_INTERIM, .buf = &buf};

    if (!PyArg_ParseTupleAndKeywords(args, kw, "OO:send_interim", names,
                                     &status, &headers)) {
        return NULL;
    }
    if (cgww_head_take(&head, status, headers) == 0
        && check_interim(&head, status) == 0) {
        result = send_head(r, &head);
    }
    cgw_buf_free(&buf);
    return result;
}

const struct cgww_function cgww_send_interim = {.name = "send_interim",
                                                .call = send_interim};
