/* SPDX-License-Identifier: Apache-2.0 */

#include "drain.h"

#include "http_protocol.h"
#include "util_filter.h"

#define FILTER "CGATEWAY_DRAIN"
/* How much is asked from the client at once. */
#define CHUNK (64 * 1024)

/* A client that waits for 100 Continue has sent nothing, and need not. */
static void drain(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;
    int ended = r->expecting_100 ? 1 : 0;

    while (rv == APR_SUCCESS && !ended && !r->connection->aborted) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES,
                            APR_BLOCK_READ, CHUNK);
        ended = APR_BRIGADE_EMPTY(bb) || APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
}

static int ends_well(const apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (AP_BUCKET_IS_ERROR(b)) {
            return 0;
        }
    }
    return !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
}

/* The last part of the response waits: a curl that has all of it sends no more
 * and waits for a reset. What the application sent before it was over does not. */
static apr_status_t drain_before_end(ap_filter_t *f, apr_bucket_brigade *bb)
{
    if (ends_well(bb)) {
        drain(f->r);
        ap_remove_output_filter(f);
    }
    return ap_pass_brigade(f->next, bb);
}

void cgwm_drain_register(void)
{
    ap_register_output_filter(FILTER, drain_before_end, NULL, AP_FTYPE_CONNECTION - 1);
}

void cgwm_drain_before_end(request_rec *r)
{
    if (r->connection->master) {
        ap_add_output_filter(FILTER, NULL, r, r->connection);
    }
}
