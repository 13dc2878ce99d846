/* SPDX-License-Identifier: Apache-2.0 */

#include "response.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_portable.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"

#include "cgw_closer.h"
#include "cgw_header.h"
#include "cgw_log.h"
#include "config.h"
#include "file.h"
#include "filters.h"
#include "head.h"
#include "queue.h"

APLOG_USE_MODULE(cgateway);

/* In the access log, where the client left before it could get a response; the
 * number that nginx made known. */
#define CLIENT_CLOSED_REQUEST 499

void cgwm_response_init(cgwm_response *res, request_rec *r, cgwm_inbox *inbox,
                        cgwm_outbox *outbox, const char *group)
{
    memset(res, 0, sizeof(*res));
    res->r = r;
    res->inbox = inbox;
    res->outbox = outbox;
    res->group = group;
    res->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    res->expected = CGW_LENGTH_UNKNOWN;
    res->head_only = r->header_only && !cgwm_filters_need_body(r);
}

static void fail(cgwm_response *res, int status)
{
    res->state = CGWM_RESPONSE_FAILED;
    res->status = status;
}

void cgwm_response_begin_again(cgwm_response *res)
{
    res->state = CGWM_RESPONSE_NONE;
    res->status = 0;
    res->returned = 0;
}

void cgwm_response_give_up(cgwm_response *res, int status)
{
    fail(res, status);
}

/* A worker that breaks the wire's rules costs its own request, nothing else. */
static void fail_protocol(cgwm_response *res, const char *what)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, res->r, CGW_LOGNO(0120)
                  "%s: a worker sent what is not of the wire's format (%s); "
                  "the request is given up. Something in the application wrote "
                  "to descriptors that are not its own, or module and worker "
                  "are of different versions", res->group, what);
    fail(res, HTTP_BAD_GATEWAY);
}

/* ---- head ---------------------------------------------------------------- */

static int may_have_body(const cgwm_response *res)
{
    return !cgw_status_bodiless((uint16_t)res->r->status);
}

/* Does httpd's own page take the place of the application's? */
static int is_overridden(const request_rec *r, int status)
{
    const cgwm_statuses *set = cgwm_dir_conf_get(r)->error_override;

    return set && cgwm_statuses_have(set, status);
}

static void take_head(cgwm_response *res, const uint8_t *payload, size_t len)
{
    request_rec *r = res->r;
    cgwm_head head;

    if (res->state != CGWM_RESPONSE_NONE
        || !cgwm_head_read(&head, payload, len, r->pool) || head.status < 200) {
        fail_protocol(res, "response head");
        return;
    }
    res->expected = head.length;
    res->state = CGWM_RESPONSE_STARTED;
    if (is_overridden(r, head.status)) {
        cgwm_head_apply_to_error(&head, r);
        res->override = head.status;
        return;
    }
    if (cgwm_sendfile_take(&res->named, &head, r)) {
        res->expected = CGW_LENGTH_UNKNOWN; /* its body is dropped */
        return;
    }
    cgwm_head_apply(&head, r);
    res->started = 1;
    res->flush_due = 1;
}

/* ---- body ---------------------------------------------------------------- */

/* Accounts for n more body bytes; 0 where they are of no use to httpd. */
static int count_body(cgwm_response *res, apr_uint64_t n)
{
    res->received += n;
    if (res->received > res->expected) {
        fail_protocol(res, "more body than Content-Length");
        return 0;
    }
    return res->started && may_have_body(res);
}

static void keep(cgwm_response *res, apr_bucket *b)
{
    apr_status_t rv = cgwm_outbox_put(res->outbox, b);

    res->flush_due = 1;
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, rv, res->r, CGW_LOGNO(0124)
                      "%s: a response cannot be spooled to a temporary file, "
                      "so its worker waits for the client; free the disk, or "
                      "set TMPDIR for httpd", res->group);
    }
}

static void take_body(cgwm_response *res, apr_bucket *b)
{
    if (res->state != CGWM_RESPONSE_STARTED) {
        apr_bucket_destroy(b);
        fail_protocol(res, "body before head");
    }
    else if (count_body(res, b->length) && !res->head_only) {
        keep(res, b);
    }
    else {
        apr_bucket_destroy(b);
    }
}

/* httpd knows how to answer conditional requests for a file: by what it sends
 * without it. */
static void check_conditions(cgwm_response *res)
{
    int status = OK;

    if (res->received == 0 && res->started) {
        cgwm_head_offer_ranges(res->r);
        status = cgwm_head_meets_conditions(res->r);
    }

    if (status == OK) {
        return;
    }
    res->r->status_line = NULL;
    if (is_overridden(res->r, status)) {
        res->override = status;
        res->started = 0;
        return;
    }
    res->r->status = status;
    res->expected = CGW_LENGTH_UNKNOWN;
    res->is_unmet = 1;
}

/* For HEAD, too, since httpd cuts ranges from it, and then sends the head alone. */
static void keep_file(cgwm_response *res, int fd, apr_off_t offset,
                      apr_off_t length)
{
    cgwm_file_insert(res->bb, res->r, res->group, fd, offset, length);
    while (!APR_BRIGADE_EMPTY(res->bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(res->bb);
        APR_BUCKET_REMOVE(b);
        keep(res, b);
    }
}

/* The file that the application named is the response. */
static void send_named(cgwm_response *res)
{
    int fd;
    apr_off_t length;
    int status = cgwm_sendfile_open(&res->named, res->r, res->group, &fd, &length);

    if (status != OK) {
        fail(res, status);
        return;
    }
    res->started = 1;
    res->received = 0;
    check_conditions(res);
    if (res->started && !res->is_unmet && length > 0) {
        keep_file(res, fd, 0, length);
    }
    else {
        close(fd);
    }
}

static void take_file(cgwm_response *res, const uint8_t *payload, size_t len)
{
    int fd = cgwm_inbox_take_fd(res->inbox);
    struct stat st;
    uint64_t offset, length;

    if (fd < 0 && cgwm_inbox_is_narrow(res->inbox)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, EMFILE, res->r, CGW_LOGNO(0128)
                      "%s: this process of httpd has no descriptor left for the file "
                      "that a worker passes to it; raise the limit on descriptors "
                      "(LimitNOFILE=) of httpd's service", res->group);
        fail(res, cgwm_refuse(res->r));
        return;
    }
    if (fd < 0 || len != 16 || res->state != CGWM_RESPONSE_STARTED) {
        if (fd >= 0) {
            cgw_close_passed(fd);
        }
        fail_protocol(res, "file frame");
        return;
    }
    offset = cgw_get_u64(payload);
    length = cgw_get_u64(payload + 8);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)
        || offset > (uint64_t)st.st_size
        || length > (uint64_t)st.st_size - offset) {
        cgw_close_passed(fd);
        fail_protocol(res, "file frame beyond the end of its file");
        return;
    }
    check_conditions(res);
    if (count_body(res, length) && !res->is_unmet && length > 0) {
        keep_file(res, fd, (apr_off_t)offset, (apr_off_t)length);
    }
    else {
        close(fd);
    }
}

/* ---- the other frames ----------------------------------------------------- */

/* What a formatted text would end at is shown, so that nothing hides behind it. */
static const char *with_nul_shown(apr_pool_t *p, const char *text, size_t len)
{
    char *shown = apr_palloc(p, 4 * len + 1), *to = shown;

    for (size_t i = 0; i < len; i++) {
        if (text[i]) {
            *to++ = text[i];
        }
        else {
            memcpy(to, "\\x00", 4);
            to += 4;
        }
    }
    *to = '\0';
    return shown;
}

/* One entry per line, as an administrator reads it. */
void cgwm_log_lines(request_rec *r, int level, const char *group,
                      const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        if (n > 0 && memchr(text, '\0', n)) {
            ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %s", group,
                          with_nul_shown(r->pool, text, n));
        }
        else if (n > 0) {
            ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %.*s", group, (int)n,
                          text);
        }
        n += end ? 1 : 0;
        text += n;
        len -= n;
    }
}

/* A worker's word on itself. */
static void take_served(cgwm_response *res, const uint8_t *payload, size_t len)
{
    if (len != 16) {
        fail_protocol(res, "served frame");
        return;
    }
    res->worker_pid = cgw_get_u32(payload);
    res->generation = cgw_get_u32(payload + 4);
    res->queue_us = cgw_get_u64(payload + 8);
}

static void take_log(cgwm_response *res, const uint8_t *payload, size_t len)
{
    int level;

    if (len < 1 || payload[0] < CGW_LOG_CRIT || payload[0] > CGW_LOG_DEBUG) {
        fail_protocol(res, "log frame");
        return;
    }
    level = payload[0];
    cgwm_log_lines(res->r, level, res->group, (const char *)payload + 1, len - 1);
}

/* A site that does not start has one line a second, however many ask for it. */
static int is_worth_a_line(const cgwm_response *res, unsigned kind)
{
    return kind != CGW_FAIL_UNAVAILABLE || !res->tally
           || cgwm_tally_count(res->tally, CGWM_TALLY_UNAVAILABLE) > 0;
}

static void take_fail(cgwm_response *res, const uint8_t *payload, size_t len)
{
    unsigned kind = len > 0 ? payload[0] : 0;
    const char *text = len > 1 ? (const char *)payload + 1 : "";
    size_t text_len = len > 1 ? len - 1 : 0;

    if ((kind == CGW_FAIL_LATE || kind == CGW_FAIL_RETURNED)
        && res->state == CGWM_RESPONSE_NONE) {
        res->late = kind == CGW_FAIL_LATE;
        res->returned = kind == CGW_FAIL_RETURNED;
        fail(res, cgw_fail_status(kind));
        return;
    }
    /* What a client brings about must not fill the log. */
    int level = res->body_broken || kind == CGW_FAIL_ABORTED ? APLOG_INFO
                                                             : APLOG_ERR;

    if (kind == CGW_FAIL_UNAVAILABLE) {
        apr_table_setn(res->r->err_headers_out, "Retry-After",
                       CGWM_RETRY_AFTER);
    }
    if (is_worth_a_line(res, kind)) {
        ap_log_rerror(APLOG_MARK, level, 0, res->r, CGW_LOGNO(0121)
                      "%s: %s: \"%s\"", res->group, cgw_fail_name(kind),
                      res->r->the_request);
        if (text_len > 0) {
            cgwm_log_lines(res->r, level, res->group, text,
                           strnlen(text, text_len));
        }
    }
    if (text_len > 0) {
        cgwm_debug_note(&res->note, cgw_fail_name(kind), text, text_len,
                        res->r->pool);
    }
    fail(res, cgw_fail_status(kind));
    res->client_gone |= kind == CGW_FAIL_ABORTED && !res->body_broken;
}

static void take_interim(cgwm_response *res, const uint8_t *payload, size_t len)
{
    cgwm_head head;

    if (res->state != CGWM_RESPONSE_NONE
        || !cgwm_head_read(&head, payload, len, res->r->pool)
        || !cgw_status_interim((uint16_t)head.status)) {
        fail_protocol(res, "interim response");
        return;
    }
    cgwm_head_send_interim(&head, res->r);
    res->client_gone = res->client_gone || res->r->connection->aborted;
}

static void take_end(cgwm_response *res)
{
    request_rec *r = res->r;

    if (res->state != CGWM_RESPONSE_STARTED) {
        fail_protocol(res, "end before head");
        return;
    }
    if (res->expected != CGW_LENGTH_UNKNOWN && res->received < res->expected
        && !res->head_only && may_have_body(res)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0122)
                      "%s: the application announced %" APR_UINT64_T_FMT
                      " bytes and sent %" APR_UINT64_T_FMT, res->group,
                      res->expected, res->received);
        fail(res, HTTP_BAD_GATEWAY);
        return;
    }
    res->state = CGWM_RESPONSE_COMPLETE;
    if (res->named.path) {
        send_named(res);
    }
}

static void take_frame(cgwm_response *res, const struct cgw_frame *frame,
                       const uint8_t *payload, apr_bucket *body)
{
    switch (frame->type) {
    case CGW_FRAME_HEAD:
        take_head(res, payload, frame->length);
        break;
    case CGW_FRAME_BODY:
        if (body) {
            take_body(res, body);
        }
        break;
    case CGW_FRAME_FILE:
        take_file(res, payload, frame->length);
        break;
    case CGW_FRAME_SERVED:
        take_served(res, payload, frame->length);
        break;
    case CGW_FRAME_LOG:
        take_log(res, payload, frame->length);
        break;
    case CGW_FRAME_FAIL:
        take_fail(res, payload, frame->length);
        return;
    case CGW_FRAME_INTERIM:
        take_interim(res, payload, frame->length);
        break;
    default:
        break;
    }
    if ((frame->type == CGW_FRAME_END || (frame->flags & CGW_FRAME_LAST))
        && res->state != CGWM_RESPONSE_FAILED) {
        take_end(res);
    }
}

void cgwm_response_take(cgwm_response *res)
{
    struct cgw_frame frame;
    const uint8_t *payload;
    apr_bucket *body;

    while (res->state < CGWM_RESPONSE_COMPLETE) {
        enum cgw_wire_status status = cgwm_inbox_next(res->inbox, &frame,
                                                      &payload, &body);
        if (status == CGW_WIRE_MORE) {
            return;
        }
        if (status != CGW_WIRE_OK) {
            fail_protocol(res, cgw_wire_strerror(status));
            return;
        }
        take_frame(res, &frame, payload, body);
    }
}

/* ---- to the client -------------------------------------------------------- */

static void pass(cgwm_response *res)
{
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(res->bb)) {
        return;
    }
    rv = ap_pass_brigade(res->r->output_filters, res->bb);
    apr_brigade_cleanup(res->bb);
    if (rv == APR_SUCCESS && !res->r->connection->aborted) {
        return;
    }
    if (res->r->connection->aborted || APR_STATUS_IS_ECONNABORTED(rv)
        || rv == AP_FILTER_ERROR) {
        res->client_gone = 1;
    }
    else {
        fail(res, HTTP_BAD_GATEWAY); /* what was to be sent cannot be read */
    }
}

int cgwm_response_is_due(const cgwm_response *res)
{
    return res->started
           && (res->flush_due || cgwm_outbox_has_data(res->outbox));
}

void cgwm_response_pass(cgwm_response *res, int paused)
{
    if (!cgwm_response_is_due(res)) {
        return;
    }
    cgwm_outbox_take(res->outbox, res->bb);
    if (paused && !cgwm_outbox_has_data(res->outbox)) {
        APR_BRIGADE_INSERT_TAIL(
            res->bb, apr_bucket_flush_create(res->bb->bucket_alloc));
        res->flush_due = 0;
    }
    pass(res);
}

/* Without a length or chunks only a reset tells the client that the response
 * is not complete (RFC 9112, 8). Otherwise it gets what there was, and can go on
 * from there. */
static int is_end_ambiguous(const request_rec *r)
{
    return !r->chunked && !apr_table_get(r->headers_out, "Content-Length");
}

static void reset_on_close(request_rec *r)
{
    apr_socket_t *socket = ap_get_conn_socket(r->connection);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    apr_os_sock_t fd;

    if (!r->connection->master && socket
        && apr_os_sock_get(&fd, socket) == APR_SUCCESS) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
}

static void break_off(cgwm_response *res)
{
    request_rec *r = res->r;
    apr_bucket_alloc_t *alloc = res->bb->bucket_alloc;

    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0123)
                  "%s: truncated response: the connection is broken off after "
                  "%" APR_UINT64_T_FMT " bytes of the body, so that the client "
                  "does not take it for complete", res->group, res->received);
    if (!r->connection->aborted) {
        cgwm_outbox_take_all(res->outbox, res->bb);
        APR_BRIGADE_INSERT_TAIL(res->bb, apr_bucket_flush_create(alloc));
        pass(res);
    }
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(
        res->bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(res->bb, apr_bucket_eos_create(alloc));
    pass(res);
    if (is_end_ambiguous(r)) {
        reset_on_close(r);
        r->connection->aborted = !r->connection->master;
    }
}

int cgwm_response_finish(cgwm_response *res)
{
    if (res->client_gone) {
        if (!res->started) {
            res->r->status = CLIENT_CLOSED_REQUEST;
        }
        res->r->connection->aborted = 1;
        return OK;
    }
    if (res->state == CGWM_RESPONSE_COMPLETE && res->started) {
        cgwm_outbox_take_all(res->outbox, res->bb);
        APR_BRIGADE_INSERT_TAIL(res->bb,
                                apr_bucket_eos_create(res->bb->bucket_alloc));
        pass(res);
    }
    if (res->started) {
        if (res->state != CGWM_RESPONSE_COMPLETE) {
            break_off(res);
        }
        return OK;
    }
    if (res->override) {
        return res->override; /* even if the rest of what it replaces is missing */
    }
    if (res->note.what && cgwm_debug_is_on(res->r)) {
        cgwm_debug_send(res->r, res->status, res->group, &res->note);
        return OK;
    }
    return res->status ? res->status : HTTP_BAD_GATEWAY;
}
