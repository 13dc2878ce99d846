/* SPDX-License-Identifier: Apache-2.0 */

#include "ask.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "apr_strings.h"
#include "http_log.h"

#include "cgw_clock.h"
#include "cgw_closer.h"
#include "cgw_log.h"
#include "cgw_wire.h"
#include "environ.h"
#include "queue.h"
#include "response.h"

APLOG_USE_MODULE(cgateway);

/* An answer is a word, or the names of a user's groups. */
#define LONGEST_ANSWER ((size_t)256 << 10)

typedef struct exchange {
    request_rec *r;
    const char *group;
    int fd;
    uint64_t until;             /* cgw_clock_us() */
    struct cgw_buf in;
    size_t pos;                 /* of the next frame in in */
    struct cgw_buf body;
    int status;                 /* of the answer; 0: none yet */
    int complete;
    const char *failure;        /* why there is none */
} exchange;

/* 0: fd is ready; else what is wrong */
static const char *wait_for(const exchange *x, short events)
{
    struct pollfd pfd = {.fd = x->fd, .events = events};
    int rv;

    do {
        uint64_t now = cgw_clock_us();
        if (now >= x->until) {
            return "no answer within Timeout";
        }
        rv = poll(&pfd, 1, (int)((x->until - now) / 1000) + 1);
    } while (rv == 0 || (rv < 0 && errno == EINTR));
    return rv < 0 ? strerror(errno) : NULL;
}

static void send_all(exchange *x, const struct cgw_buf *out)
{
    for (size_t at = 0; at < out->len && !x->failure;) {
        ssize_t n = send(x->fd, out->data + at, out->len - at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            at += (size_t)n;
        }
        else if (errno == EAGAIN) {
            x->failure = wait_for(x, POLLOUT);
        }
        else if (errno != EINTR) {
            return;             /* what it said before it closed is read */
        }
    }
}

static void take_text(exchange *x, const uint8_t *payload, size_t len, int level)
{
    cgwm_log_lines(x->r, level, x->group, (const char *)payload, len);
}

static void take_fail(exchange *x, const uint8_t *payload, size_t len)
{
    x->failure = len ? cgw_fail_name(payload[0]) : "an empty FAIL";
    if (len > 1) {
        take_text(x, payload + 1, len - 1, APLOG_ERR);
    }
}

static void take_frame(exchange *x, const struct cgw_frame *frame,
                       const uint8_t *payload)
{
    struct cgw_head head;

    switch (frame->type) {
    case CGW_FRAME_HEAD:
        if (cgw_head_decode(&head, payload, frame->length) != CGW_WIRE_OK) {
            x->failure = "a malformed head";
            return;
        }
        x->status = head.status;
        break;
    case CGW_FRAME_BODY:
        cgw_buf_put(&x->body, payload, frame->length);
        break;
    case CGW_FRAME_LOG:
        if (frame->length > 1 && payload[0] >= APLOG_CRIT) {
            take_text(x, payload + 1, frame->length - 1, payload[0]);
        }
        return;
    case CGW_FRAME_FAIL:
        take_fail(x, payload, frame->length);
        return;
    case CGW_FRAME_FILE:
        x->failure = "a file";
        return;
    default:
        break;
    }
    x->complete = x->status && ((frame->flags & CGW_FRAME_LAST)
                                || frame->type == CGW_FRAME_END);
}

/* Takes every whole frame that has arrived. */
static void take_frames(exchange *x)
{
    struct cgw_frame frame;

    while (!x->complete && !x->failure) {
        const uint8_t *at = x->in.data + x->pos;
        size_t unread = x->in.len - x->pos;
        enum cgw_wire_status st =
            unread ? cgw_frame_decode(&frame, at, unread, CGW_FROM_WORKER)
                   : CGW_WIRE_MORE;
        if (st == CGW_WIRE_MORE
            || (st == CGW_WIRE_OK
                && unread - CGW_FRAME_HEADER_SIZE < frame.length)) {
            return;
        }
        if (st != CGW_WIRE_OK) {
            x->failure = cgw_wire_strerror(st);
            return;
        }
        x->pos += CGW_FRAME_HEADER_SIZE + frame.length;
        take_frame(x, &frame, at + CGW_FRAME_HEADER_SIZE);
    }
}

static void receive_some(exchange *x)
{
    uint8_t *room = cgw_buf_reserve(&x->in, 8192);
    ssize_t n;

    if (!room || x->in.len > LONGEST_ANSWER) {
        x->failure = "too long an answer";
        return;
    }
    n = cgw_receive_bytes(x->fd, room, 8192);
    if (n > 0) {
        x->in.len += (size_t)n;
        take_frames(x);
    }
    else if (n == 0) {
        x->failure = "the worker ended before it answered";
    }
    else if (errno == EAGAIN) {
        x->failure = wait_for(x, POLLIN);
    }
    else if (errno != EINTR) {
        x->failure = strerror(errno);
    }
}

/* The password goes as the body: values of the environ are kept for the next
 * request by the worker. */
static void put_question(struct cgw_buf *out, request_rec *r,
                         const cgwm_group *group, const cgwm_question *question)
{
    size_t len = question->password ? strlen(question->password) : 0;
    cgwm_environ_args args = {
        .script_name = "", .path_info = r->uri, .question = question,
        .has_body = question->password != NULL, .body_is_whole = 1,
        .body_length = (apr_off_t)len, .sent_us = cgw_clock_us(),
        .queue_ms = (uint32_t)group->spec->queue_timeout,
    };

    cgwm_environ_put(out, r, &args);
    if (question->password) {
        size_t frame = cgw_frame_open(out, CGW_FRAME_BODY, CGW_FRAME_LAST);
        cgw_buf_put(out, question->password, len);
        cgw_frame_close(out, frame);
    }
}

static void run(exchange *x, const cgwm_group *group,
                const cgwm_question *question)
{
    struct cgw_buf out = {0};
    int err = cgwm_queue_join(group, &x->fd);

    if (err) {
        x->failure = err == EAGAIN ? "its queue is full" : strerror(err);
        return;
    }
    put_question(&out, x->r, group, question);
    if (out.failed) {
        x->failure = "the question is too long";
    }
    else {
        send_all(x, &out);
    }
    if (out.data) {
        memset(out.data, 0, out.cap); /* the password */
    }
    cgw_buf_free(&out);
    while (!x->complete && !x->failure) {
        receive_some(x);
    }
    cgw_close_stream(x->fd);
}

int cgwm_ask(request_rec *r, const cgwm_group *group,
             const cgwm_question *question, const char **text)
{
    exchange x = {.r = r, .group = group->spec->name, .fd = -1,
                  .until = cgw_clock_us() + (uint64_t)r->server->timeout};

    run(&x, group, question);
    if (!x.failure && x.body.failed) {
        x.failure = "no memory";
    }
    if (x.failure) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0136)
                      "%s: cannot ask %s about user '%s': %s. Nobody is let in "
                      "meanwhile", x.group, question->function, question->user,
                      x.failure);
        x.status = 0;
    }
    *text = apr_pstrmemdup(r->pool, x.body.data ? (char *)x.body.data : "",
                           x.body.len);
    cgw_buf_free(&x.in);
    cgw_buf_free(&x.body);
    return x.status;
}
