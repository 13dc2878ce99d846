/* SPDX-License-Identifier: Apache-2.0 */

#include "failure.h"

#include "cgw_log.h"

#define FAIL_LONGEST (((size_t)1 << 18) - 1)

bool cgww_fail(struct cgww_request *r, enum cgw_fail_kind kind,
               const char *text, size_t len)
{
    struct cgw_buf *out = &r->thread->out;
    uint8_t byte = (uint8_t)kind;

    if (r->response.state == CGWW_RESPONSE_COMPLETE || r->response.broken) {
        return false;
    }
    if (len > FAIL_LONGEST) { /* the end of a traceback says most */
        text += len - FAIL_LONGEST;
        len = FAIL_LONGEST;
    }
    cgww_slot_failed(r->thread->slot, kind);
    out->len = 0; /* a response that is not out yet is void */
    cgww_request_put_served(r);
    size_t start = cgw_frame_open(out, CGW_FRAME_FAIL, 0);
    cgw_buf_put(out, &byte, 1);
    cgw_buf_put(out, text, len);
    cgw_frame_close(out, start);
    bool sent = cgww_request_send(r, NULL, 0, -1);
    r->response.state = CGWW_RESPONSE_COMPLETE;
    return sent;
}

/* The exception as text: bytes, never NULL without an error set. */
static PyObject *describe(struct cgww_request *r, PyObject *type,
                          PyObject *value, PyObject *traceback)
{
    int debug = r->wire.flags & CGW_REQUEST_DEBUG;

    return PyObject_CallFunctionObjArgs(
        r->worker->report, r->response.invalid && value ? Py_None : type,
        value ? value : Py_None, traceback ? traceback : Py_None,
        debug ? r->worker->group : Py_None, NULL);
}

/* An exception that no FAIL can tell: the response is out, or httpd gone. */
static void tell_stderr(struct cgww_request *r, const char *told)
{
    PyObject *text = PyUnicode_FromFormat(
        CGW_LOGNO(0403) "group '%U': the application raised an exception "
        "%s; the client is not affected, but the work was not finished. "
        "Mend the application:\n",
        r->worker->group,
        r->response.broken ? "after the client had gone"
                           : "after its response was complete");
    if (text) {
        cgww_stderr_write(text);
        Py_DECREF(text);
    }
    cgww_stderr_bytes(told, strlen(told));
    cgww_stderr_bytes("\n", 1); /* or the supervisor waits for the line's end */
}

static void report(struct cgww_request *r, PyObject *type, PyObject *value,
                   PyObject *traceback, bool gone)
{
    PyObject *bytes = describe(r, type, value, traceback);
    enum cgw_fail_kind kind = r->response.invalid ? CGW_FAIL_RESPONSE
                              : gone              ? CGW_FAIL_ABORTED
                                                  : CGW_FAIL_EXCEPTION;
    char *text = "an exception that cannot be printed";
    Py_ssize_t len = (Py_ssize_t)strlen(text);

    if (bytes && PyBytes_AsStringAndSize(bytes, &text, &len) != 0) {
        bytes = cgww_drop(bytes);
    }
    PyErr_Clear();
    if (!cgww_fail(r, kind, text, (size_t)len) && bytes && !gone) {
        tell_stderr(r, text);
    }
    Py_XDECREF(bytes);
    PyErr_Clear();
}

void cgww_fail_exception(struct cgww_request *r)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (!type) {
        return;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    bool gone = PyErr_GivenExceptionMatches(type, r->worker->gone_error);
    report(r, type, value, traceback, gone);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    PyErr_Clear();
}
