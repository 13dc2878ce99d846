/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SPOOL_H
#define CGWM_SPOOL_H

/* A temporary file without a name: nothing is left of it, whoever kills httpd.
 * Calls wait for the disk. */

#include "apr_buckets.h"
#include "apr_pools.h"

typedef struct cgwm_spool {
    int fd;
    apr_off_t written;          /* its length */
} cgwm_spool;

/* In httpd's directory for temporary files; closed with the pool. */
apr_status_t cgwm_spool_open(cgwm_spool **out, apr_pool_t *p);
/* All of data or nothing: after an error (APR_ENOSPC) the length is what it
 * was. */
apr_status_t cgwm_spool_append(cgwm_spool *spool, const char *data,
                               apr_size_t len);
/* The same with the data of a bucket, which may block; it is still the caller's. */
apr_status_t cgwm_spool_append_bucket(cgwm_spool *spool, apr_bucket *b);
/* Up to len bytes from a position on; *n: how many, 0 at the end. */
apr_status_t cgwm_spool_read(const cgwm_spool *spool, apr_off_t from, char *to,
                             apr_size_t len, apr_size_t *n);
/* What follows a position, at the end of bb as buckets over the file, which p keeps
 * open. flags: APR_SENDFILE_ENABLED or 0. */
void cgwm_spool_refer(const cgwm_spool *spool, apr_bucket_brigade *bb, apr_off_t from,
                      apr_int32_t flags, apr_pool_t *p);

#endif
