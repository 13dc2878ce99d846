/* SPDX-License-Identifier: Apache-2.0 */

#include "response.h"

#include <stdio.h>

#include "cgw_header.h"
#include "cgw_log.h"

#define PIECE_LONGEST ((size_t)1 << 20)     /* of a BODY frame */
#define COPY_LONGEST ((size_t)16 << 10)     /* longer ones are not copied */
#define HOLD_LONGEST ((size_t)64 << 10)     /* more does not wait in out */

int cgww_response_invalid(struct cgww_request *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    PyObject *text = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (text) {
        PyErr_SetObject(PyExc_ValueError, text);
        Py_DECREF(text);
        r->response.invalid = true;
    }
    return -1;
}

bool cgww_response_settled(const struct cgww_request *r)
{
    return r->response.broken
           || (r->response.bodiless
               && r->response.state == CGWW_RESPONSE_COMPLETE);
}

/* ---- frames ------------------------------------------------------------- */

static int flush_out(struct cgww_request *r, const char *more, size_t len,
                     int file)
{
    if (r->thread->out.failed) {
        PyErr_NoMemory();
        return -1;
    }
    return cgww_request_send(r, more, len, file) ? 0 : CGWW_GONE;
}

static void put_head(struct cgww_request *r, uint8_t flags)
{
    struct cgww_response *res = &r->response;

    cgww_request_put_served(r);
    cgww_head_put(&res->head, &r->thread->out, flags);
    res->state = flags ? CGWW_RESPONSE_COMPLETE : CGWW_RESPONSE_SENT;
}

static void put_empty_frame(struct cgww_request *r, uint8_t type)
{
    cgw_frame_close(&r->thread->out, cgw_frame_open(&r->thread->out, type, 0));
}

static void tell_excess(struct cgww_request *r)
{
    char text[320];
    int n = snprintf(text, sizeof(text),
                     CGW_LOGNO(0404) "the application sent more than the %llu "
                     "bytes of its Content-Length; the rest was dropped. Make "
                     "the header agree with the body, or leave it out",
                     (unsigned long long)r->response.head.length);

    if (!cgww_request_log(r, CGW_LOG_WARNING, text, (size_t)n)) {
        text[n] = '\n';
        cgww_stderr_bytes(text, (size_t)n + 1);
    }
}

/* One BODY frame; small ones are gathered in out, longer ones go at once. */
static int put_piece(struct cgww_request *r, const char *bytes, size_t len)
{
    struct cgww_response *res = &r->response;
    struct cgw_buf *out = &r->thread->out;
    bool last = res->sent + len == res->head.length;
    uint8_t header[CGW_FRAME_HEADER_SIZE];

    res->sent += len;
    cgw_frame_encode(header, CGW_FRAME_BODY, last ? CGW_FRAME_LAST : 0,
                     (uint32_t)len);
    cgw_buf_put(out, header, sizeof(header));
    if (last) {
        res->state = CGWW_RESPONSE_COMPLETE;
    }
    if (len > COPY_LONGEST) {
        return flush_out(r, bytes, len, -1);
    }
    cgw_buf_put(out, bytes, len);
    return out->len > HOLD_LONGEST ? flush_out(r, NULL, 0, -1) : 0;
}

/* How much of len bytes Content-Length lets through. */
static size_t clip(struct cgww_request *r, size_t len)
{
    struct cgww_response *res = &r->response;
    uint64_t left = res->head.length - res->sent;

    if (res->head.length == CGW_LENGTH_UNKNOWN || len <= left) {
        return len;
    }
    tell_excess(r);
    return (size_t)left;
}

int cgww_response_body(struct cgww_request *r, const char *bytes, size_t len,
                       bool flush)
{
    struct cgww_response *res = &r->response;
    int rv = 0;

    if (len == 0) {
        return 0;
    }
    if (res->state == CGWW_RESPONSE_NONE) {
        return cgww_response_invalid(
            r, "the application sent a body before it called start_response; "
               "call start_response(status, headers) first");
    }
    if (res->broken) {
        return CGWW_GONE;
    }
    if (res->bodiless && res->state == CGWW_RESPONSE_SET) {
        put_head(r, CGW_FRAME_LAST);
    }
    else if (!res->bodiless) {
        len = clip(r, len);
        if (res->state == CGWW_RESPONSE_SET) {
            put_head(r, len == 0 ? CGW_FRAME_LAST : 0);
        }
        for (size_t n; len > 0 && rv == 0; bytes += n, len -= n) {
            n = len < PIECE_LONGEST ? len : PIECE_LONGEST;
            rv = put_piece(r, bytes, n);
        }
    }
    if (rv == 0 && flush && r->thread->out.len > 0) {
        rv = flush_out(r, NULL, 0, -1);
    }
    return rv;
}

void cgww_response_length(struct cgww_request *r, uint64_t length)
{
    struct cgww_response *res = &r->response;

    if (res->state == CGWW_RESPONSE_SET && res->head.length == CGW_LENGTH_UNKNOWN
        && !cgw_status_bodiless(res->head.status)) {
        res->head.length = length;
    }
}

static int raise_short(struct cgww_request *r)
{
    return cgww_response_invalid(
        r, "the application sent %llu of the %llu bytes of its "
           "Content-Length; make the header agree with the body, or leave it "
           "out",
        (unsigned long long)r->response.sent,
        (unsigned long long)r->response.head.length);
}

/* HEAD with LAST, or END. */
static void put_end(struct cgww_request *r)
{
    if (r->response.state == CGWW_RESPONSE_SET) {
        put_head(r, CGW_FRAME_LAST);
        return;
    }
    put_empty_frame(r, CGW_FRAME_END);
    r->response.state = CGWW_RESPONSE_COMPLETE;
}

/* Did the application send less than it promised? */
static bool is_short(const struct cgww_response *res)
{
    return !res->bodiless && res->head.length != CGW_LENGTH_UNKNOWN
           && res->sent < res->head.length;
}

int cgww_response_end(struct cgww_request *r, bool flush)
{
    struct cgww_response *res = &r->response;

    if (res->state == CGWW_RESPONSE_NONE) {
        return cgww_response_invalid(
            r, "the application returned without calling start_response; "
               "call start_response(status, headers) before returning");
    }
    if (res->state != CGWW_RESPONSE_COMPLETE) {
        if (!res->bodiless) {
            cgww_response_length(r, 0);
        }
        if (is_short(res)) {
            return raise_short(r);
        }
        put_end(r);
    }
    return flush && r->thread->out.len > 0 ? flush_out(r, NULL, 0, -1) : 0;
}

/* After a HEAD a file goes to nobody, but httpd answers conditions and ranges by
 * it. */
static bool wants_file(const struct cgww_request *r)
{
    const struct cgww_response *res = &r->response;

    return res->state == CGWW_RESPONSE_SET
           && (!res->bodiless
               || ((r->wire.flags & CGW_REQUEST_HEAD_ONLY)
                   && !cgw_status_bodiless(res->head.status)));
}

int cgww_response_file(struct cgww_request *r, int fd, uint64_t offset,
                       uint64_t length)
{
    struct cgww_response *res = &r->response;
    struct cgw_buf *out = &r->thread->out;

    cgww_response_length(r, length);
    if (!wants_file(r)) {
        return 0; /* cgww_response_end() says the rest */
    }
    length = length < res->head.length ? length : res->head.length;
    /* Head and file in one piece: httpd's byte ranges need the whole response
     * before its head goes out. */
    put_head(r, 0);
    bool last = length == res->head.length;
    size_t start = cgw_frame_open(out, CGW_FRAME_FILE,
                                  last ? CGW_FRAME_LAST : 0);
    cgw_put_u64(out, length ? offset : 0); /* it may lie beyond the end */
    cgw_put_u64(out, length);
    cgw_frame_close(out, start);
    res->sent += length;
    if (last) {
        res->state = CGWW_RESPONSE_COMPLETE;
    }
    return flush_out(r, NULL, 0, fd);
}
