/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SENDFILE_H
#define CGWM_SENDFILE_H

/* X-Sendfile: the application names a file, httpd sends it in place of the
 * application's body, as its own user (CGatewaySendfileRoot). */

#include "httpd.h"

#include "head.h"

typedef struct cgwm_named_file {
    const char *path;           /* NULL: the application named none */
    cgwm_head head;             /* of the application's response */
} cgwm_named_file;

/* May the application of this location name files? */
int cgwm_sendfile_allowed(const request_rec *r);

/* Takes over a head that names a file, where that is allowed. 0: it is another
 * head, or its status has no body. */
int cgwm_sendfile_take(cgwm_named_file *named, const cgwm_head *head,
                       const request_rec *r);

/* Opens the file and makes the head that of r's response, with ETag and
 * Last-Modified of the file where the application gave none. OK: *fd is the
 * caller's, of a regular file of *length bytes; else a status, and the reason is
 * in the log. */
int cgwm_sendfile_open(const cgwm_named_file *named, request_rec *r,
                       const char *group, int *fd, apr_off_t *length);

#endif
