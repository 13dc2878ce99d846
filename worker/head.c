/* SPDX-License-Identifier: Apache-2.0 */

#include "head.h"

#include "cgw_header.h"

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
static int take_content_length(struct cgww_head *head, PyObject *name,
                               PyObject *text, const char *value, size_t len)
{
    uint64_t length = 0;
    const char *fault = cgw_content_length_parse(value, len, &length);

    if (!fault && head->length != CGW_LENGTH_UNKNOWN
        && head->length != length) {
        fault = "contradicts an earlier Content-Length; send one";
    }
    if (fault) {
        return raise_header(name, text, "value", fault);
    }
    head->length = length;
    return 0;
}

static int put_header(struct cgww_head *head, PyObject *item, PyObject *name,
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
    const char *fault = cgw_header_name_check(n, (size_t)nlen);
    if (fault) {
        return raise_header(name_text, value_text, "name", fault);
    }
    fault = cgw_header_value_check(v, (size_t)vlen);
    if (fault) {
        return raise_header(name_text, value_text, "value", fault);
    }
    if (cgw_header_is(n, (size_t)nlen, "Content-Length")) {
        return take_content_length(head, name_text, value_text, v, (size_t)vlen);
    }
    head->names_file |= cgw_header_is(n, (size_t)nlen, "X-Sendfile");
    cgw_put_pair(head->buf, CGW_KEY_LITERAL, n, (size_t)nlen, v,
                 (size_t)vlen);
    return 0;
}

static int take_header(struct cgww_head *head, PyObject *item)
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
    int rv = value ? put_header(head, item, name, value) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return rv;
}

static int take_headers(struct cgww_head *head, PyObject *headers)
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
        int rv = item ? take_header(head, item) : -1;
        Py_XDECREF(item);
        if (rv != 0) {
            return -1;
        }
    }
    return 0;
}

static int take_status(struct cgww_head *head, PyObject *status)
{
    char *text;
    Py_ssize_t len;
    PyObject *bytes = latin1(status, "the response status");

    if (!bytes || PyBytes_AsStringAndSize(bytes, &text, &len) != 0) {
        Py_XDECREF(bytes);
        return -1;
    }
    const char *fault = cgw_status_check(text, (size_t)len, &head->status);
    if (!fault && len - 4 > UINT16_MAX / 2) {
        fault = "is too long";
    }
    if (!fault && len > 4) {
        head->reason_len = (size_t)len - 4;
        cgw_buf_put(head->buf, text + 4, (size_t)len - 4);
    }
    Py_DECREF(bytes);
    if (fault) {
        PyErr_Format(PyExc_ValueError, "response status %R %s", status, fault);
        return -1;
    }
    return 0;
}

static int check_size(const struct cgww_head *head)
{
    uint32_t longest = cgw_frame_longest(head->type);

    if (head->buf->failed || head->buf->len > longest - CGW_HEAD_FIXED) {
        PyErr_Format(PyExc_ValueError,
                     "the response headers are larger than %u KiB",
                     (unsigned)(longest >> 10));
        return -1;
    }
    return 0;
}

int cgww_head_take(struct cgww_head *head, PyObject *status,
                   PyObject *headers)
{
    head->buf->len = 0;
    head->length = CGW_LENGTH_UNKNOWN;
    head->names_file = false;
    if (take_status(head, status) != 0 || take_headers(head, headers) != 0) {
        return -1;
    }
    return check_size(head);
}

void cgww_head_put(const struct cgww_head *head, struct cgw_buf *out,
                   uint8_t flags)
{
    const struct cgw_buf *kept = head->buf;
    struct cgw_head wire = {.status = head->status,
                            .reason = (const char *)kept->data,
                            .reason_len = head->reason_len,
                            .content_length = head->length};
    size_t start = cgw_frame_open(out, (uint8_t)head->type, flags);

    cgw_put_head(out, &wire);
    cgw_buf_put(out, kept->data + head->reason_len,
                kept->len - head->reason_len);
    cgw_frame_close(out, start);
}
