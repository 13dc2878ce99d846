/* SPDX-License-Identifier: Apache-2.0 */

#include "errors.h"

struct errors {
    PyObject_HEAD
    struct cgww_request *request;
};

PyObject *cgww_errors_new(struct cgww_request *r)
{
    struct errors *e = PyObject_New(struct errors, r->worker->errors_type);

    if (e) {
        Py_INCREF((PyObject *)r);
        e->request = r;
    }
    return (PyObject *)e;
}

static void errors_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF((PyObject *)((struct errors *)self)->request);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* One line without its end. */
static void emit(struct cgww_request *r, const char *line, size_t len)
{
    if (!cgww_request_log(r, CGW_LOG_ERR, line, len)) {
        cgww_stderr_bytes(line, len);
        cgww_stderr_bytes("\n", 1);
    }
}

/* The line so far plus its end. The buffer is taken over first: sending lets
 * other threads run, which may write to it. */
static void emit_line(struct cgww_request *r, const char *rest, size_t len)
{
    if (r->line.len == 0) {
        emit(r, rest, len);
        return;
    }
    struct cgw_buf line = r->line;
    memset(&r->line, 0, sizeof(r->line));
    cgw_buf_put(&line, rest, len);
    emit(r, (const char *)line.data, line.len);
    cgw_buf_free(&line);
}

static void write_lines(struct cgww_request *r, const char *text, size_t len)
{
    const char *end;

    while ((end = memchr(text, '\n', len))) {
        size_t n = (size_t)(end - text);
        emit_line(r, text, n);
        text += n + 1;
        len -= n + 1;
    }
    cgw_buf_put(&r->line, text, len);
}

void cgww_errors_finish(struct cgww_request *r)
{
    if (r->line.len > 0) {
        emit_line(r, "", 0);
    }
}

static int write_text(struct cgww_request *r, PyObject *text)
{
    char *bytes;
    Py_ssize_t len;

    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError,
                     "wsgi.errors takes str, not %R; decode it first",
                     (PyObject *)Py_TYPE(text));
        return -1;
    }
    if (!r->thread) {
        cgww_stderr_write(text);
        return 0;
    }
    PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8",
                                                  "backslashreplace");
    if (!encoded || PyBytes_AsStringAndSize(encoded, &bytes, &len) != 0) {
        Py_XDECREF(encoded);
        return -1;
    }
    write_lines(r, bytes, (size_t)len);
    Py_DECREF(encoded);
    return 0;
}

static PyObject *errors_write(PyObject *self, PyObject *text)
{
    if (write_text(((struct errors *)self)->request, text) != 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(PyUnicode_GetLength(text));
}

static PyObject *errors_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines);
    PyObject *line;

    if (!iterator) {
        return NULL;
    }
    while ((line = PyIter_Next(iterator))) {
        int rv = write_text(((struct errors *)self)->request, line);
        Py_DECREF(line);
        if (rv != 0) {
            break;
        }
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *errors_flush(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE; /* lines are sent as they end */
}

static PyMethodDef errors_methods[] = {
    {"write", errors_write, METH_O, "write(text: str) -> int"},
    {"writelines", errors_writelines, METH_O, "writelines(lines)"},
    {"flush", errors_flush, METH_NOARGS, "flush(): lines are sent at once"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot errors_slots[] = {
    {Py_tp_doc, "The error log of a request (PEP 3333, wsgi.errors)."},
    {Py_tp_new, cgww_type_refuse},
    {Py_tp_dealloc, errors_dealloc},
    {Py_tp_methods, errors_methods},
    {0, NULL}};

PyType_Spec cgww_errors_spec = {.name = "_cgateway.Errors",
                                .basicsize = sizeof(struct errors),
                                .flags = Py_TPFLAGS_DEFAULT,
                                .slots = errors_slots};
