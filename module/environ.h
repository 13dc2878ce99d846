/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ENVIRON_H
#define CGWM_ENVIRON_H

/* The REQUEST frame: what the worker makes the WSGI environ from. */

#include "httpd.h"

#include "cgw_wire.h"

typedef struct cgwm_environ_args {
    const char *script_name;    /* the mount's prefix, not decoded again */
    apr_size_t script_name_len;
    const char *path_info;      /* what follows the prefix in r->uri */
    const char *script_filename; /* the .wsgi file, or NULL */
    int has_body;
    int body_is_whole;          /* body_length is final */
    int has_length;             /* and to be told */
    int body_is_changed;        /* filters may make another length of it */
    apr_off_t body_length;
    int pass_authorization;
    uint64_t sent_us;           /* cgw_clock_us() */
    uint32_t queue_ms;          /* it may wait so long for a worker; 0: any time */
    const struct cgwm_question *question; /* NULL: a request for the application */
    uint32_t deadline_ms;       /* it may have a thread so long; 0: any time */
    int repeatable;             /* the worker may return it if it does not run */
    int tell;                   /* the worker is to say that it took it */
} cgwm_environ_args;

/* Appends the whole frame. buf->failed is set where it is longer than a frame
 * may be (or memory is short).
 *
 * Later pairs of one name replace earlier ones: the variables that httpd's
 * modules set come first, so that none of them can forge a CGI variable. */
void cgwm_environ_put(struct cgw_buf *buf, request_rec *r,
                      const cgwm_environ_args *args);

#endif
