/* SPDX-License-Identifier: Apache-2.0 */

#include "input.h"

/* The first piece of a read of unknown size; doubled as it fills. */
#define READ_PIECE ((size_t)64 << 10)
/* Up to here a read allocates what it was asked for in advance. */
#define READ_BOUNDED ((Py_ssize_t)1 << 20)

struct input {
    PyObject_HEAD
    struct cgww_request *request;
};

PyObject *cgww_input_new(struct cgww_request *r)
{
    struct input *in = PyObject_New(struct input, r->worker->input_type);

    if (in) {
        Py_INCREF((PyObject *)r);
        in->request = r;
    }
    return (PyObject *)in;
}

static void input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF((PyObject *)((struct input *)self)->request);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *raise_gone(struct cgww_request *r)
{
    PyErr_SetString(r->worker->gone_error,
                    "the client disconnected before the request body was "
                    "complete");
    return NULL;
}

/* The connection is this thread's to read, or NULL with an exception set. */
static struct cgww_connection *begin_reading(struct cgww_request *r)
{
    cgww_lock(&r->recv_lock);
    if (r->thread) {
        cgww_request_continue(r);
        return &r->thread->conn;
    }
    pthread_mutex_unlock(&r->recv_lock);
    PyErr_SetString(PyExc_ValueError,
                    "wsgi.input was used after the end of its request; read "
                    "the body before the response is complete");
    return NULL;
}

static void end_reading(struct cgww_request *r)
{
    pthread_mutex_unlock(&r->recv_lock);
}

/* Size argument: None or negative mean no limit. 0, or -1 with an exception. */
static int parse_size(PyObject *args, const char *format, Py_ssize_t *size)
{
    PyObject *arg = Py_None;

    *size = -1;
    if (!PyArg_ParseTuple(args, format, &arg)) {
        return -1;
    }
    if (arg == Py_None) {
        return 0;
    }
    *size = PyNumber_AsSsize_t(arg, PyExc_OverflowError);
    if (*size == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (*size < 0) {
        *size = -1;
    }
    return 0;
}

/* What a read can take from the buffer at once: bytes, or NULL without an
 * exception where it cannot. */
static PyObject *read_quickly(struct cgww_connection *conn, Py_ssize_t size)
{
    const uint8_t *bytes;

    if (size > 0 && cgww_body_is_direct(conn, (size_t)size)) {
        return NULL;
    }
    ssize_t have = cgww_body_peek(conn, &bytes, false);

    if (have == 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    bool all = conn->frame_last && have == (ssize_t)conn->frame_left;
    if (have < 0 || ((size < 0 || have < size) && !all)) {
        return NULL;
    }
    Py_ssize_t n = size < 0 || have < size ? (Py_ssize_t)have : size;
    PyObject *result = PyBytes_FromStringAndSize((const char *)bytes, n);
    if (result) {
        cgww_body_consume(conn, (size_t)n);
    }
    return result;
}

/* size bytes into `to`, fewer at the end of the body, -1: broken off. Gives the
 * interpreter lock up only where it has to wait. */
static ssize_t read_into(struct cgww_connection *conn, uint8_t *to, size_t size)
{
    ssize_t n = cgww_body_read(conn, to, size, false), rest = 0;

    if (n >= 0 && (size_t)n < size && conn->body == CGWW_BODY_MORE) {
        Py_BEGIN_ALLOW_THREADS
        rest = cgww_body_read(conn, to + n, size - (size_t)n, true);
        Py_END_ALLOW_THREADS
    }
    return rest < 0 ? -1 : n + rest;
}

/* size bytes, fewer at the end of the body. NULL: broken off, or memory is
 * short (exception set). */
static PyObject *read_bounded(struct cgww_connection *conn, Py_ssize_t size)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, size);
    uint8_t *to = result ? (uint8_t *)PyBytes_AsString(result) : NULL;
    ssize_t n;

    if (!result) {
        return NULL;
    }
    n = read_into(conn, to, (size_t)size);
    if (n == size) {
        return result;
    }
    PyObject *part = n < 0 ? NULL
                           : PyBytes_FromStringAndSize((const char *)to, n);
    Py_DECREF(result);
    return part;
}

/* Without the interpreter lock: into buf up to the limit. False: broken off. */
static bool collect(struct cgww_connection *conn, struct cgw_buf *buf,
                    size_t limit)
{
    ssize_t n = 1;

    while (n > 0 && buf->len < limit) {
        size_t step = buf->len < READ_PIECE ? READ_PIECE : buf->len;
        step = step < limit - buf->len ? step : limit - buf->len;
        uint8_t *to = cgw_buf_reserve(buf, step);
        n = to ? cgww_body_read(conn, to, step, true) : 0;
        buf->len += n > 0 ? (size_t)n : 0;
    }
    return n >= 0;
}

/* Everything up to a limit that is too large to allocate in advance. */
static PyObject *read_unbounded(struct cgww_connection *conn, size_t limit)
{
    struct cgw_buf buf = {0};
    PyObject *result = NULL;
    bool ok;

    Py_BEGIN_ALLOW_THREADS
    ok = collect(conn, &buf, limit);
    Py_END_ALLOW_THREADS
    if (buf.failed) {
        PyErr_NoMemory();
    }
    else if (ok) {
        result = PyBytes_FromStringAndSize((const char *)buf.data,
                                           (Py_ssize_t)buf.len);
    }
    cgw_buf_free(&buf);
    return result;
}

static PyObject *read_slowly(struct cgww_connection *conn, Py_ssize_t size)
{
    if (size > 0 && size <= READ_BOUNDED) {
        return read_bounded(conn, size);
    }
    return read_unbounded(conn, size < 0 ? SIZE_MAX : (size_t)size);
}

static PyObject *input_read(PyObject *self, PyObject *args)
{
    struct cgww_request *r = ((struct input *)self)->request;
    Py_ssize_t size;

    if (parse_size(args, "|O:read", &size) != 0) {
        return NULL;
    }
    if (size == 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    struct cgww_connection *conn = begin_reading(r);
    if (!conn) {
        return NULL;
    }
    PyObject *result = read_quickly(conn, size);
    if (!result && !PyErr_Occurred()) {
        result = read_slowly(conn, size);
    }
    end_reading(r);
    if (!result && !PyErr_Occurred()) {
        return raise_gone(r);
    }
    return result;
}

/* Take bytes up to a line end or the limit into buf. 1: more may follow, 0:
 * the line or the body has ended, -1: broken off. */
static int take_line_part(struct cgww_connection *conn, struct cgw_buf *buf,
                          size_t limit, bool wait)
{
    const uint8_t *bytes;
    ssize_t have = cgww_body_peek(conn, &bytes, wait);

    if (have <= 0) {
        return (int)have;
    }
    size_t n = limit - buf->len < (size_t)have ? limit - buf->len
                                               : (size_t)have;
    const uint8_t *end = memchr(bytes, '\n', n);
    if (end) {
        n = (size_t)(end - bytes) + 1;
    }
    cgw_buf_put(buf, bytes, n);
    cgww_body_consume(conn, n);
    return !end && buf->len < limit && !buf->failed;
}

static int await_line_part(struct cgww_connection *conn, struct cgw_buf *buf,
                           size_t limit)
{
    int more;

    Py_BEGIN_ALLOW_THREADS
    more = take_line_part(conn, buf, limit, true);
    Py_END_ALLOW_THREADS
    return more;
}

/* 0, or -1: broken off. */
static int collect_line(struct cgww_connection *conn, struct cgw_buf *buf,
                        size_t limit)
{
    int more;

    do {
        more = take_line_part(conn, buf, limit, false);
        if (more == -2) {
            more = await_line_part(conn, buf, limit);
        }
    } while (more > 0);
    return more;
}

static PyObject *read_line(struct cgww_request *r, Py_ssize_t size)
{
    struct cgw_buf buf = {0};
    PyObject *result = NULL;

    if (size == 0) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    struct cgww_connection *conn = begin_reading(r);
    if (!conn) {
        return NULL;
    }
    int rv = collect_line(conn, &buf, size < 0 ? SIZE_MAX : (size_t)size);
    end_reading(r);
    if (buf.failed) {
        PyErr_NoMemory();
    }
    else if (rv == 0) {
        result = PyBytes_FromStringAndSize((const char *)buf.data,
                                           (Py_ssize_t)buf.len);
    }
    else {
        raise_gone(r);
    }
    cgw_buf_free(&buf);
    return result;
}

static PyObject *input_readline(PyObject *self, PyObject *args)
{
    Py_ssize_t size;

    if (parse_size(args, "|O:readline", &size) != 0) {
        return NULL;
    }
    return read_line(((struct input *)self)->request, size);
}

static PyObject *input_next(PyObject *self)
{
    PyObject *line = read_line(((struct input *)self)->request, -1);

    if (line && PyBytes_Size(line) > 0) {
        return line;
    }
    return cgww_drop(line); /* without an exception: the iteration ends */
}

static PyObject *input_readlines(PyObject *self, PyObject *args)
{
    Py_ssize_t hint, total = 0;
    PyObject *lines, *line = NULL;

    if (parse_size(args, "|O:readlines", &hint) != 0
        || !(lines = PyList_New(0))) {
        return NULL;
    }
    while ((hint <= 0 || total < hint) && (line = input_next(self))) {
        total += PyBytes_Size(line);
        int rv = PyList_Append(lines, line);
        Py_DECREF(line);
        if (rv != 0) {
            break;
        }
    }
    return PyErr_Occurred() ? cgww_drop(lines) : lines;
}

static PyMethodDef input_methods[] = {
    {"read", input_read, METH_VARARGS,
     "read(size=-1) -> bytes; shorter than size only at the end"},
    {"readline", input_readline, METH_VARARGS, "readline(size=-1) -> bytes"},
    {"readlines", input_readlines, METH_VARARGS,
     "readlines(hint=-1) -> list of bytes"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot input_slots[] = {
    {Py_tp_doc, "The body of a request (PEP 3333, wsgi.input)."},
    {Py_tp_new, cgww_type_refuse},
    {Py_tp_dealloc, input_dealloc},
    {Py_tp_methods, input_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, input_next},
    {0, NULL}};

PyType_Spec cgww_input_spec = {.name = "_cgateway.Input",
                               .basicsize = sizeof(struct input),
                               .flags = Py_TPFLAGS_DEFAULT,
                               .slots = input_slots};
