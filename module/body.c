/* SPDX-License-Identifier: Apache-2.0 */

#include "body.h"

#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"

#include "cgw_log.h"

APLOG_USE_MODULE(cgateway);

/* How much is asked from the client at once while a body is read ahead, and how
 * much while it is streamed. */
#define CHUNK (64 * 1024)
#define STREAM_CHUNK (256 * 1024)
/* To send a smaller bucket by itself costs more than to copy it. */
#define BUCKET_SMALL (16 * 1024)
/* Less than this of a buffer that may have 8,000 bytes is copied out of it. */
#define BUCKET_TINY 2048

/* Reads what the client sends next to the end of body->live.
 * NOLINTNEXTLINE(readability-function-size): the blocks are APR's macros' */
static apr_status_t read_more(cgwm_body *body, apr_read_type_e mode, apr_off_t most)
{
    request_rec *r = body->r;
    apr_bucket_brigade *in = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    apr_status_t rv = ap_get_brigade(r->input_filters, in, AP_MODE_READBYTES,
                                     mode, most);

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(in)) {
        rv = mode == APR_NONBLOCK_READ ? APR_EAGAIN : APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_CONCAT(body->live, in);
    }
    apr_brigade_destroy(in);
    return rv;
}

/* The first data bucket of live; empty and metadata buckets before it are
 * removed, EOS sets eof. NULL where nothing is left. */
static apr_bucket *first_live(cgwm_body *body)
{
    while (!APR_BRIGADE_EMPTY(body->live)) {
        apr_bucket *b = APR_BRIGADE_FIRST(body->live);
        if (APR_BUCKET_IS_EOS(b)) {
            body->eof = 1;
            apr_brigade_cleanup(body->live);
            return NULL;
        }
        if (!APR_BUCKET_IS_METADATA(b) && b->length != 0) {
            return b;
        }
        apr_bucket_delete(b);
    }
    return NULL;
}

/* ---- reading ahead ------------------------------------------------------- */

/* A client that sends byte by byte fills a buffer of 8,000 with each. */
static apr_status_t copy_to_memory(cgwm_body *body, apr_bucket *b)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

    if (rv == APR_SUCCESS) {
        rv = apr_brigade_write(body->memory, NULL, NULL, data, len);
    }
    if (rv == APR_SUCCESS) {
        body->read_ahead += (apr_off_t)len;
        apr_bucket_delete(b);
    }
    return rv;
}

/* Transient buckets (mod_ssl's) do not survive the next read. */
static apr_status_t keep_in_memory(cgwm_body *body, apr_bucket *b)
{
    apr_status_t rv;

    if (b->length < BUCKET_TINY) {
        return copy_to_memory(body, b);
    }
    rv = apr_bucket_setaside(b, body->r->pool);
    if (rv != APR_SUCCESS && rv != APR_ENOTIMPL) {
        return rv;
    }
    body->read_ahead += (apr_off_t)b->length;
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(body->memory, b);
    return APR_SUCCESS;
}

static apr_status_t append_to_spool(cgwm_body *body, apr_bucket *b)
{
    apr_status_t rv = body->spool ? APR_SUCCESS
                                  : cgwm_spool_open(&body->spool, body->r->pool);

    if (rv == APR_SUCCESS) {
        rv = cgwm_spool_append_bucket(body->spool, b);
    }
    if (rv == APR_SUCCESS) {
        body->read_ahead += (apr_off_t)b->length;
        apr_bucket_delete(b);
    }
    return rv;
}

/* A file that cannot be written ends reading ahead: the rest is streamed. */
static void keep_in_file(cgwm_body *body, apr_bucket *b)
{
    apr_status_t rv = append_to_spool(body, b);

    if (rv != APR_SUCCESS) {
        body->spool_failed = 1;
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, rv, body->r, CGW_LOGNO(0135)
                      "a request body cannot be kept in a temporary file and is "
                      "streamed, which holds a worker for as long as the client "
                      "sends; make room in httpd's directory for temporary files "
                      "(TMPDIR)");
    }
}

static int has_room(const cgwm_body *body, const cgwm_bounds *limit)
{
    return !body->spool_failed && body->read_ahead < limit->memory + limit->file;
}

/* Keeps what came, as far as there is room. */
static apr_status_t keep_live(cgwm_body *body, const cgwm_bounds *limit)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *b;

    while (rv == APR_SUCCESS && (b = first_live(body)) && has_room(body, limit)) {
        if (body->read_ahead < limit->memory) {
            rv = keep_in_memory(body, b);
        }
        else {
            keep_in_file(body, b);
        }
    }
    return rv;
}

/* httpd looks at LimitRequestBody when the body is read: too late where nothing
 * is read before the application runs. */
static int is_over_limit(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t limit = ap_get_limit_req_body(r);

    if (!length || limit <= 0 || apr_atoi64(length) <= limit) {
        return 0;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "the request body of %s bytes is larger than LimitRequestBody",
                  length);
    return 1;
}

/* httpd undoes "chunked" alone, and the application, which gets no chunks, would
 * not know of another coding (RFC 9112, 6.1). */
static int is_coded(request_rec *r)
{
    const char *codings = apr_table_get(r->headers_in, "Transfer-Encoding");
    const char *coding;

    while (codings && (coding = ap_get_list_item(r->pool, &codings)) != NULL) {
        if (strcmp(coding, "chunked") != 0 && strcmp(coding, "identity") != 0) {
            ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                          "nobody here decodes a body in the transfer coding %s", coding);
            return 1;
        }
    }
    return 0;
}

/* A subrequest leaves the body to its main request; before an ErrorDocument is
 * asked for, as GET, httpd has thrown it away. */
static int owns_body(const request_rec *r)
{
    return !r->main && !ap_is_HTTP_ERROR(r->status);
}

int cgwm_body_read_ahead(cgwm_body *body, request_rec *r,
                         const cgwm_bounds *limit)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_status_t rv = APR_SUCCESS;

    body->r = r;
    body->present = owns_body(r) && ap_request_has_body(r);
    body->has_length = body->present
                       || (owns_body(r)
                           && apr_table_get(r->headers_in, "Content-Length"));
    if (!body->present) {
        body->eof = body->whole = 1;
        return OK;
    }
    if (is_coded(r)) {
        return HTTP_NOT_IMPLEMENTED;
    }
    if (is_over_limit(r)) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    body->memory = apr_brigade_create(r->pool, alloc);
    body->live = apr_brigade_create(r->pool, alloc);
    body->kept = apr_brigade_create(r->pool, alloc);
    while (rv == APR_SUCCESS && !body->eof && has_room(body, limit)) {
        rv = read_more(body, APR_BLOCK_READ, CHUNK);
        if (rv == APR_SUCCESS) {
            rv = keep_live(body, limit);
        }
    }
    body->whole = body->eof;
    return rv == APR_SUCCESS ? OK
                             : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
}

/* ---- passing on ---------------------------------------------------------- */

static apr_status_t peek_bucket(apr_bucket *b, const char **data, apr_size_t *len)
{
    if (b->length > CGWM_BODY_PIECE) {
        apr_bucket_split(b, CGWM_BODY_PIECE);
    }
    return apr_bucket_read(b, data, len, APR_BLOCK_READ);
}

static void allocate_piece(cgwm_body *body)
{
    if (!body->piece) {
        body->piece = apr_palloc(body->r->pool, CHUNK);
    }
}

static apr_status_t peek_spool(cgwm_body *body, const char **data,
                               apr_size_t *len)
{
    apr_status_t rv = APR_SUCCESS;

    allocate_piece(body);
    if (!body->piece_len) {
        rv = cgwm_spool_read(body->spool, body->spool_taken, body->piece, CHUNK,
                             &body->piece_len);
    }
    *data = body->piece;
    *len = body->piece_len;
    return rv;
}

/* The first bucket of what the client has sent, NULL at the end or with an
 * error. Never waits. */
static apr_bucket *next_live(cgwm_body *body, apr_status_t *rv)
{
    apr_bucket *b = NULL;

    *rv = body->broken;
    while (*rv == APR_SUCCESS && !body->eof && !(b = first_live(body))
           && !body->eof) {
        *rv = read_more(body, APR_NONBLOCK_READ, STREAM_CHUNK);
    }
    if (!APR_STATUS_IS_EAGAIN(*rv)) {
        body->broken = *rv; /* a filter need not say it twice */
    }
    return *rv == APR_SUCCESS ? b : NULL;
}

/* Moves a bucket, or as much as there is room for, to the end of the piece. */
static apr_status_t gather(cgwm_body *body, apr_bucket *b)
{
    apr_size_t room = CHUNK - body->piece_len, len;
    const char *data;
    apr_status_t rv;

    if (b->length > room) {
        apr_bucket_split(b, room);
    }
    rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
    if (rv == APR_SUCCESS) {
        memcpy(body->piece + body->piece_len, data, len);
        body->piece_len += len;
        apr_bucket_delete(b);
    }
    return rv;
}

/* A large bucket by itself, small ones copied together. */
static apr_status_t peek_live(cgwm_body *body, const char **data, apr_size_t *len)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *b;

    if (body->piece_len == 0) {
        b = next_live(body, &rv);
        if (!b || b->length >= BUCKET_SMALL) {
            return b ? peek_bucket(b, data, len) : rv;
        }
        allocate_piece(body);
        while (b && b->length < BUCKET_SMALL && rv == APR_SUCCESS
               && body->piece_len < CHUNK) {
            rv = gather(body, b);
            b = rv == APR_SUCCESS && body->piece_len < CHUNK
                    ? next_live(body, &rv) : NULL;
        }
    }
    *data = body->piece;
    *len = body->piece_len;
    return body->piece_len > 0 ? APR_SUCCESS : rv;
}

static int has_memory(const cgwm_body *body)
{
    return body->memory && !APR_BRIGADE_EMPTY(body->memory);
}

static int has_spool(const cgwm_body *body)
{
    return body->spool && body->spool_taken < body->spool->written;
}

apr_status_t cgwm_body_peek(cgwm_body *body, const char **data, apr_size_t *len,
                            int *status)
{
    apr_status_t rv;

    *len = 0;
    rv = has_memory(body) ? peek_bucket(APR_BRIGADE_FIRST(body->memory), data, len)
         : has_spool(body) ? peek_spool(body, data, len)
                           : peek_live(body, data, len);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
        *status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    }
    return rv;
}

void cgwm_body_consume(cgwm_body *body)
{
    if (has_memory(body)) {
        apr_bucket *b = APR_BRIGADE_FIRST(body->memory);
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(body->kept, b);
    }
    else if (has_spool(body)) {
        body->spool_taken += (apr_off_t)body->piece_len;
        body->piece_len = 0;
    }
    else if (body->piece_len > 0) {
        body->piece_len = 0;
    }
    else {
        apr_bucket_delete(APR_BRIGADE_FIRST(body->live));
    }
}

/* NOLINTNEXTLINE(readability-function-size): the blocks are APR's macros' */
void cgwm_body_rewind(cgwm_body *body)
{
    if (body->present) {
        APR_BRIGADE_PREPEND(body->memory, body->kept);
        body->spool_taken = 0;
        body->piece_len = 0;
    }
}
