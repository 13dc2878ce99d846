/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_FILE_H
#define CGWM_FILE_H

/* A part of a file whose descriptor a worker passed on, as a bucket.
 *
 * It is not a FILE bucket of APR, which trusts its file: there, a file that
 * becomes shorter while it is sent shifts whatever follows on the connection, or
 * ends httpd's process (SIGBUS, where it is mapped), and a worker that moves the
 * position of the descriptor that it shares mixes up the bytes. */

#include "httpd.h"
#include "util_filter.h"

/* Buckets for length bytes from offset on, at the end of bb. They own fd, which
 * is that of a regular file, and close it. Reading them gives exactly so many
 * bytes, or an error and a line in the log. */
void cgwm_file_insert(apr_bucket_brigade *bb, request_rec *r, const char *group,
                      int fd, apr_off_t offset, apr_off_t length);

int cgwm_file_is(const apr_bucket *b);

/* A FILE bucket of APR in the place of b, which must be one of these: for who
 * sends it without the thread that ran the request, and does not mind how long it
 * turns out to be. Good until p ends. */
apr_status_t cgwm_file_make_plain(apr_bucket **b, apr_pool_t *p);

/* The connection filter that lets httpd send files without a thread. */
void cgwm_file_register_filter(void);

#endif
