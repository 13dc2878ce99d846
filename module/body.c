/* SPDX-License-Identifier: Apache-2.0 */

#include "body.h"

#include "ap_mmn.h"
#include "http_protocol.h"

/* How much is asked from the client at once. */
#define CHUNK (64 * 1024)

/* NOLINTNEXTLINE(readability-function-size): the blocks are APR's macros' */
static apr_status_t read_more(cgwm_body *body, apr_read_type_e mode)
{
    request_rec *r = body->r;
    apr_bucket_brigade *in = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    apr_status_t rv = ap_get_brigade(r->input_filters, in, AP_MODE_READBYTES,
                                     mode, CHUNK);

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(in)) {
        rv = mode == APR_NONBLOCK_READ ? APR_EAGAIN : APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_CONCAT(body->bb, in);
    }
    apr_brigade_destroy(in);
    return rv;
}

/* The first data bucket; empty and metadata buckets before it are removed,
 * EOS sets eof. NULL where nothing is left. */
static apr_bucket *first_data(cgwm_body *body)
{
    while (!APR_BRIGADE_EMPTY(body->bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(body->bb);
        if (APR_BUCKET_IS_EOS(b)) {
            body->eof = 1;
            apr_brigade_cleanup(body->bb);
            return NULL;
        }
        if (!APR_BUCKET_IS_METADATA(b) && b->length != 0) {
            return b;
        }
        apr_bucket_delete(b);
    }
    return NULL;
}

static int has_eos(apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_EOS(b)) {
            return 1;
        }
    }
    return 0;
}

/* Transient buckets (mod_ssl's) do not survive the next read. */
static apr_status_t set_aside(cgwm_body *body)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(body->bb);
         b != APR_BRIGADE_SENTINEL(body->bb); b = APR_BUCKET_NEXT(b)) {
        apr_status_t rv = apr_bucket_setaside(b, body->r->pool);
        if (rv != APR_SUCCESS && rv != APR_ENOTIMPL) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

int cgwm_body_read_ahead(cgwm_body *body, request_rec *r, apr_off_t limit)
{
    apr_status_t rv = APR_SUCCESS;

    body->r = r;
    body->present = !r->main && ap_request_has_body(r);
    if (!body->present) {
        body->eof = body->whole = 1;
        return OK;
    }
    body->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    body->kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (rv == APR_SUCCESS && !body->whole && body->read_ahead < limit) {
        rv = read_more(body, APR_BLOCK_READ);
        if (rv == APR_SUCCESS) {
            rv = set_aside(body);
        }
        if (rv == APR_SUCCESS) {
            rv = apr_brigade_length(body->bb, 1, &body->read_ahead);
        }
        body->whole = rv == APR_SUCCESS && has_eos(body->bb);
    }
    return rv == APR_SUCCESS ? OK
                             : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
}

apr_status_t cgwm_body_peek(cgwm_body *body, const char **data, apr_size_t *len,
                            int block, int *status)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *b = NULL;

    *len = 0;
    while (rv == APR_SUCCESS && !body->eof && !(b = first_data(body))
           && !body->eof) {
        rv = read_more(body, block ? APR_BLOCK_READ : APR_NONBLOCK_READ);
    }
    if (rv == APR_SUCCESS && b) {
        rv = apr_bucket_read(b, data, len, APR_BLOCK_READ);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
        *status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    }
    return rv;
}

void cgwm_body_consume(cgwm_body *body)
{
    apr_bucket *b = APR_BRIGADE_FIRST(body->bb);

    if (body->whole) {
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(body->kept, b);
    }
    else {
        apr_bucket_delete(b);
    }
}

/* NOLINTNEXTLINE(readability-function-size): the blocks are APR's macros' */
void cgwm_body_rewind(cgwm_body *body)
{
    if (body->present) {
        APR_BRIGADE_PREPEND(body->bb, body->kept);
        if (body->eof) {
            apr_bucket *eos = apr_bucket_eos_create(body->bb->bucket_alloc);
            APR_BRIGADE_INSERT_TAIL(body->bb, eos);
            body->eof = 0;
        }
    }
}
