/* SPDX-License-Identifier: Apache-2.0 */

#include "iterate.h"

#include <unistd.h>

#include "file_wrapper.h"
#include "response.h"

static int send_chunk(struct cgww_request *r, PyObject *chunk, bool flush)
{
    char *bytes;
    Py_ssize_t len;

    if (!PyBytes_Check(chunk)) {
        return cgww_response_invalid(
            r, "the application's iterable yielded %R; every part of a body "
               "must be bytes (encode text, wrap one bytes object in a list)",
            (PyObject *)Py_TYPE(chunk));
    }
    if (PyBytes_AsStringAndSize(chunk, &bytes, &len) != 0) {
        return -1;
    }
    return cgww_response_body(r, bytes, (size_t)len, flush);
}

/* ---- lists and tuples: all is there, so it leaves in one piece ---------- */

static Py_ssize_t total_length(PyObject *parts)
{
    Py_ssize_t total = 0;

    for (Py_ssize_t i = 0; i < PyTuple_Size(parts); i++) {
        PyObject *part = PyTuple_GetItem(parts, i);
        if (!PyBytes_Check(part)) {
            return -1;
        }
        total += PyBytes_Size(part);
    }
    return total;
}

static int send_parts(struct cgww_request *r, PyObject *parts)
{
    Py_ssize_t total = total_length(parts);
    int rv = 0;

    if (total >= 0) {
        cgww_response_length(r, (uint64_t)total);
    }
    for (Py_ssize_t i = 0; rv == 0 && i < PyTuple_Size(parts); i++) {
        rv = send_chunk(r, PyTuple_GetItem(parts, i), false);
        if (cgww_response_settled(r)) {
            break;
        }
    }
    return rv == 0 ? cgww_response_end(r, false) : rv;
}

static int send_sequence(struct cgww_request *r, PyObject *result)
{
    PyObject *parts = PySequence_Tuple(result);
    int rv = parts ? send_parts(r, parts) : -1;

    Py_XDECREF(parts);
    return rv;
}

/* ---- any other iterable: each chunk leaves as it comes ------------------ */

/* An iterable of one chunk that says so: its length is that of the body. */
static bool is_single(struct cgww_request *r, PyObject *result)
{
    if (r->response.state != CGWW_RESPONSE_SET
        || r->response.head.length != CGW_LENGTH_UNKNOWN) {
        return false;
    }
    Py_ssize_t n = PyObject_Size(result);
    if (n < 0) {
        PyErr_Clear();
    }
    return n == 1;
}

static int send_chunks(struct cgww_request *r, PyObject *iterator, bool single)
{
    PyObject *chunk;
    int rv = 0;

    while (rv == 0 && !cgww_response_settled(r)
           && (chunk = PyIter_Next(iterator))) {
        if (single && PyBytes_Check(chunk)) {
            cgww_response_length(r, (uint64_t)PyBytes_Size(chunk));
        }
        single = false;
        rv = send_chunk(r, chunk, true);
        Py_DECREF(chunk);
    }
    return PyErr_Occurred() ? -1 : rv;
}

static int send_iterable(struct cgww_request *r, PyObject *result)
{
    PyObject *iterator = PyObject_GetIter(result);

    if (!iterator) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            cgww_response_invalid(
                r, "the application returned %R, which cannot be iterated; "
                   "return an iterable of bytes, as [body]",
                (PyObject *)Py_TYPE(result));
        }
        return -1;
    }
    int rv = send_chunks(r, iterator, is_single(r, result));
    Py_DECREF(iterator);
    return rv == 0 ? cgww_response_end(r, true) : rv;
}

/* ---- files -------------------------------------------------------------- */

static int send_file(struct cgww_request *r, PyObject *wrapper)
{
    struct cgww_file file;

    if (!(r->wire.flags & CGW_REQUEST_SENDFILE)
        || r->response.state != CGWW_RESPONSE_SET) {
        return send_iterable(r, wrapper); /* write() came first, or nothing */
    }
    int rv = cgww_file_wrapper_open(r->worker, wrapper, &file);
    if (rv <= 0) {
        return rv < 0 ? -1 : send_iterable(r, wrapper);
    }
    rv = cgww_response_file(r, file.fd, file.offset, file.length);
    close(file.fd);
    return rv == 0 ? cgww_response_end(r, true) : rv;
}

/* ---- close() ------------------------------------------------------------ */

/* Keeps an exception that is set: it came first. */
static int call_close(struct cgww_request *r, PyObject *result)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyObject *method = PyObject_GetAttr(result, r->worker->name_close);
    if (!method && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
        return 0;
    }
    PyObject *answer = method ? PyObject_CallObject(method, NULL) : NULL;
    int rv = answer ? 0 : -1;
    Py_XDECREF(method);
    Py_XDECREF(answer);
    if (!type) {
        return rv;
    }
    if (rv != 0) {
        PyErr_WriteUnraisable(result);
    }
    PyErr_Restore(type, value, traceback);
    return 0;
}

int cgww_send_result(struct cgww_request *r, PyObject *result)
{
    int rv;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        rv = send_sequence(r, result);
        return rv < 0 ? -1 : 0;
    }
    if (Py_TYPE(result) == r->worker->file_wrapper_type) {
        rv = send_file(r, result);
    }
    else {
        rv = send_iterable(r, result);
    }
    if (call_close(r, result) != 0) {
        return -1;
    }
    return rv < 0 ? -1 : 0;
}
