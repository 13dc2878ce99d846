/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_OUTBOX_H
#define CGWM_OUTBOX_H

/* What a worker has said and the client has not taken yet: in memory up to a
 * bound, then in a temporary file up to another, so that a worker is free as
 * soon as it has produced its response, however slowly the client reads. */

#include "httpd.h"
#include "util_filter.h"

typedef struct cgwm_outbox cgwm_outbox;

/* memory: bytes kept in memory; file_size: bytes kept in a file, 0: no file. */
cgwm_outbox *cgwm_outbox_create(request_rec *r, apr_off_t memory,
                                apr_off_t file_size);

/* Takes the bucket over. Metadata and files go in their place. Returns an
 * error where the temporary file cannot be written; the bucket is then kept in
 * memory. */
apr_status_t cgwm_outbox_put(cgwm_outbox *out, apr_bucket *b);

/* 1: something waits to be passed on. */
int cgwm_outbox_has_data(const cgwm_outbox *out);
/* 1: no more may be taken from the worker for now. */
int cgwm_outbox_is_full(const cgwm_outbox *out);

/* Moves the next part, a few ten kilobytes at most, to the end of bb. */
void cgwm_outbox_take(cgwm_outbox *out, apr_bucket_brigade *bb);
/* Moves everything. */
void cgwm_outbox_take_all(cgwm_outbox *out, apr_bucket_brigade *bb);

#endif
