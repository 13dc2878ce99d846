/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_BODY_H
#define CGWM_BODY_H

/* The request body on its way from the client: read ahead up to
 * CGatewayBodyBuffer before a worker is asked for, into memory and then a
 * temporary file, streamed beyond. */

#include "httpd.h"
#include "util_filter.h"

#include "config.h"
#include "spool.h"

/* Longest piece that cgwm_body_peek gives. */
#define CGWM_BODY_PIECE (256 * 1024)

typedef struct cgwm_body {
    request_rec *r;
    apr_bucket_brigade *memory; /* read ahead, in memory */
    cgwm_spool *spool;          /* read ahead, behind memory; NULL: nothing */
    apr_off_t spool_taken;      /* position in the spool */
    int spool_failed;           /* nothing more can be kept there */
    char *piece;                /* of the spool, or gathered from live */
    apr_size_t piece_len;       /* peeked at, not consumed */
    apr_bucket_brigade *live;   /* from the client, behind what was read ahead */
    apr_bucket_brigade *kept;   /* of memory: consumed, for a repetition */
    apr_off_t read_ahead;       /* bytes that cgwm_body_read_ahead read */
    int present;                /* the request has a body */
    int has_length;             /* or says that it has none (Content-Length: 0) */
    apr_status_t broken;        /* what the client's direction ended with */
    int eof;                    /* nothing more comes from the client */
    int whole;                  /* eof was reached by reading ahead */
} cgwm_body;

/* Reads up to limit->memory bytes, and beyond them up to limit->file into a
 * temporary file, waiting for the client as httpd's Timeout and mod_reqtimeout
 * allow. Returns OK or the HTTP status to answer with. */
int cgwm_body_read_ahead(cgwm_body *body, request_rec *r,
                         const cgwm_bounds *limit);

/* The next bytes for the worker; they stay valid until cgwm_body_consume,
 * which takes all of them. *len = 0: the body ended. May read from the client,
 * but never waits for it. APR_EAGAIN: nothing yet. Another error: the client
 * has gone or broke the protocol; *status is what httpd answers. */
apr_status_t cgwm_body_peek(cgwm_body *body, const char **data, apr_size_t *len,
                            int *status);
void cgwm_body_consume(cgwm_body *body);

/* Start again from the first byte; only where body->whole (or no body). */
void cgwm_body_rewind(cgwm_body *body);

#endif
