/* SPDX-License-Identifier: Apache-2.0 */

#include "drain.h"

#include "http_protocol.h"
#include "util_filter.h"

#include "cgw_clock.h"

#define FILTER "CGATEWAY_DRAIN"
/* How much is asked from the client at once. */
#define CHUNK (64 * 1024)
/* Where the client is to get its answer soon: so often nothing may come, and the
 * pause in between; and how long something may, from one that sends steadily. */
#define VAIN_MAX 50
#define VAIN_PAUSE apr_time_from_msec(20)
#define BRIEFLY_US 2000000

static ap_filter_rec_t *drain_filter;

/* Nothing has come yet. */
static int is_nothing(apr_status_t rv, const apr_bucket_brigade *bb)
{
    return APR_STATUS_IS_EAGAIN(rv) || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb));
}

/* A client that waits for 100 Continue has sent nothing, and need not. */
static void drain(request_rec *r, int briefly)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;
    int ended = r->expecting_100 ? 1 : 0, vain = 0;
    uint64_t until = briefly ? cgw_clock_us() + BRIEFLY_US : UINT64_MAX;

    while (!ended && vain < VAIN_MAX && !r->connection->aborted
           && cgw_clock_us() < until) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES,
                            briefly ? APR_NONBLOCK_READ : APR_BLOCK_READ, CHUNK);
        if (briefly && is_nothing(rv, bb)) {
            vain++;
            apr_sleep(VAIN_PAUSE);
            continue;
        }
        vain = 0;
        ended = rv != APR_SUCCESS || APR_BRIGADE_EMPTY(bb)
                || APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
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

/* All of an answer of httpd's own but its end: who sends steadily sees it before the
 * stream is reset. */
static apr_status_t pass_before_end(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket *end = APR_BRIGADE_LAST(bb);
    apr_status_t rv;

    APR_BUCKET_REMOVE(end);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(bb->bucket_alloc));
    rv = ap_pass_brigade(f->next, bb);
    apr_brigade_cleanup(bb);
    APR_BRIGADE_INSERT_TAIL(bb, end);
    return rv;
}

/* The last part of the response waits: a curl that has all of it sends no more
 * and waits for a reset. What the application sent before it was over does not. */
static apr_status_t drain_before_end(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_status_t rv = APR_SUCCESS;

    if (ends_well(bb)) {
        if (f->ctx) {
            rv = pass_before_end(f, bb);
        }
        if (rv == APR_SUCCESS) {
            drain(f->r, f->ctx != NULL);
        }
        ap_remove_output_filter(f);
    }
    return rv != APR_SUCCESS ? rv : ap_pass_brigade(f->next, bb);
}

void cgwm_drain_register(void)
{
    drain_filter = ap_register_output_filter(FILTER, drain_before_end, NULL,
                                             AP_FTYPE_CONNECTION - 1);
}

void cgwm_drain_before_end(request_rec *r)
{
    if (r->connection->master) {
        ap_add_output_filter(FILTER, NULL, r, r->connection);
    }
}

void cgwm_drain_briefly(request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f; f = f->next) {
        if (f->frec == drain_filter) {
            f->ctx = f; /* anything */
        }
    }
}
