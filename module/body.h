/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_BODY_H
#define CGWM_BODY_H

/* The request body on its way from the client: read ahead up to
 * CGatewayBodyBuffer before a worker is asked for, streamed beyond. */

#include "httpd.h"
#include "util_filter.h"

typedef struct cgwm_body {
    request_rec *r;
    apr_bucket_brigade *bb;     /* read, not yet sent */
    apr_bucket_brigade *kept;   /* sent, kept for a repeated attempt */
    apr_off_t read_ahead;       /* bytes that cgwm_body_read_ahead read */
    int present;                /* the request has a body */
    int eof;                    /* nothing more comes from the client */
    int whole;                  /* eof was reached by reading ahead */
} cgwm_body;

/* Reads up to limit bytes, waiting for the client as httpd's Timeout and
 * mod_reqtimeout allow. Returns OK or the HTTP status to answer with. */
int cgwm_body_read_ahead(cgwm_body *body, request_rec *r, apr_off_t limit);

/* The next bytes for the worker; they stay valid until cgwm_body_consume.
 * *len = 0: the body ended. May read from the client: without waiting, or
 * waiting where block is set. APR_EAGAIN: nothing yet. Another error: the
 * client has gone or broke the protocol; *status is what httpd answers. */
apr_status_t cgwm_body_peek(cgwm_body *body, const char **data, apr_size_t *len,
                            int block, int *status);
void cgwm_body_consume(cgwm_body *body);

/* Start again from the first byte; only where body->whole (or no body). */
void cgwm_body_rewind(cgwm_body *body);

#endif
