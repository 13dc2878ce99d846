/* SPDX-License-Identifier: Apache-2.0 */

#include "starter.h"

#include "header.h"
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

/* ---- arguments ---------------------------------------------------------- */

/* A str as Latin-1 bytes: new reference, or NULL with an exception that names
 * `what`. */
static PyObject *latin1(PyObject *text, const char *what)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what,
                     (PyObject *)Py_TYPE(text));
        return NULL;
    }
    PyObject *bytes = PyUnicode_AsLatin1String(text);
    if (!bytes && PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        PyErr_Format(PyExc_ValueError,
                     "%s %R has characters outside of latin-1; encode them "
                     "first (RFC 8187, percent-encoding)", what, text);
    }
    return bytes;
}

static int raise_header(PyObject *name, PyObject *value, const char *part,
                        const char *fault)
{
    PyErr_Format(PyExc_ValueError, "response header %R: %R: its %s %s", name,
                 value, part, fault);
    return -1;
}

/* Content-Length goes into a field of its own; repeated it must be equal. */
static int take_content_length(struct cgww_request *r, PyObject *name,
                               PyObject *text, const char *value, size_t len)
{
    uint64_t length = 0;
    const char *fault = cgww_content_length_parse(value, len, &length);

    if (!fault && r->response.length != CGW_LENGTH_UNKNOWN
        && r->response.length != length) {
        fault = "contradicts an earlier Content-Length; send one";
    }
    if (fault) {
        return raise_header(name, text, "value", fault);
    }
    r->response.length = length;
    return 0;
}

static int put_header(struct cgww_request *r, PyObject *item, PyObject *name,
                      PyObject *value)
{
    char *n, *v;
    Py_ssize_t nlen, vlen;
    PyObject *name_text = PyTuple_GetItem(item, 0);
    PyObject *value_text = PyTuple_GetItem(item, 1);

    if (PyBytes_AsStringAndSize(name, &n, &nlen) != 0
        || PyBytes_AsStringAndSize(value, &v, &vlen) != 0) {
        return -1;
    }
    const char *fault = cgww_header_name_check(n, (size_t)nlen);
    if (fault) {
        return raise_header(name_text, value_text, "name", fault);
    }
    fault = cgww_header_value_check(v, (size_t)vlen);
    if (fault) {
        return raise_header(name_text, value_text, "value", fault);
    }
    if (cgww_header_is_content_length(n, (size_t)nlen)) {
        return take_content_length(r, name_text, value_text, v, (size_t)vlen);
    }
    cgw_put_pair(&r->thread->head, CGW_KEY_LITERAL, n, (size_t)nlen, v,
                 (size_t)vlen);
    return 0;
}

static int take_header(struct cgww_request *r, PyObject *item)
{
    if (!PyTuple_Check(item) || PyTuple_Size(item) != 2) {
        PyErr_Format(PyExc_TypeError,
                     "response headers must be (name, value) tuples, not %R",
                     item);
        return -1;
    }
    PyObject *name = latin1(PyTuple_GetItem(item, 0),
                            "the name of a response header");
    PyObject *value = name ? latin1(PyTuple_GetItem(item, 1),
                                    "the value of a response header")
                           : NULL;
    int rv = value ? put_header(r, item, name, value) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return rv;
}

static int take_headers(struct cgww_request *r, PyObject *headers)
{
    if (!PyList_Check(headers)) {
        PyErr_Format(PyExc_TypeError,
                     "response headers must be a list of (name, value) "
                     "tuples, not %R; use list(...)",
                     (PyObject *)Py_TYPE(headers));
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(headers); i++) {
        PyObject *item = PyList_GetItem(headers, i);
        Py_XINCREF(item);
        int rv = item ? take_header(r, item) : -1;
        Py_XDECREF(item);
        if (rv != 0) {
            return -1;
        }
    }
    return 0;
}

static int take_status(struct cgww_request *r, PyObject *status)
{
    char *text;
    Py_ssize_t len;
    PyObject *bytes = latin1(status, "the response status");

    if (!bytes || PyBytes_AsStringAndSize(bytes, &text, &len) != 0) {
        Py_XDECREF(bytes);
        return -1;
    }
    const char *fault = cgww_status_check(text, (size_t)len,
                                          &r->response.status);
    if (!fault && len - 4 > UINT16_MAX / 2) {
        fault = "is too long";
    }
    if (!fault) {
        r->response.reason_len = (size_t)len - 4;
        cgw_buf_put(&r->thread->head, text + 4, (size_t)len - 4);
    }
    Py_DECREF(bytes);
    if (fault) {
        PyErr_Format(PyExc_ValueError, "response status %R %s", status, fault);
        return -1;
    }
    return 0;
}

/* Take status and headers over; they count only when all are valid. */
static int set_response(struct cgww_request *r, PyObject *status,
                        PyObject *headers)
{
    struct cgww_response *res = &r->response;

    res->state = CGWW_RESPONSE_NONE;
    res->length = CGW_LENGTH_UNKNOWN;
    r->thread->head.len = 0;
    if (take_status(r, status) != 0 || take_headers(r, headers) != 0) {
        return -1;
    }
    if (r->thread->head.failed
        || r->thread->head.len > ((size_t)1 << 20) - CGW_HEAD_FIXED) {
        PyErr_SetString(PyExc_ValueError,
                        "the response headers are larger than 1 MiB");
        return -1;
    }
    res->bodiless = cgww_status_bodiless(res->status)
                    || (r->wire.flags & CGW_REQUEST_HEAD_ONLY);
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
