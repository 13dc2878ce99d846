/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SPOOL_H
#define CGWM_SPOOL_H

/* A temporary file without a name: nothing is left of it, whoever kills httpd.
 * Calls wait for the disk. */

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
/* Up to len bytes from a position on; *n: how many, 0 at the end. */
apr_status_t cgwm_spool_read(const cgwm_spool *spool, apr_off_t from, char *to,
                             apr_size_t len, apr_size_t *n);

#endif
