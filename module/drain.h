/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_DRAIN_H
#define CGWM_DRAIN_H

/* What the client still sends of its body once its response is known.
 *
 * For HTTP/1 httpd reads that itself. On an HTTP/2 stream it does not
 * (ap_discard_request_body leaves a connection alone that will not be kept, and
 * a stream's never is), and mod_http2 resets a stream whose body was not read.
 * RFC 9113, 8.1 allows that and forbids clients to drop the response for it, but
 * curl 7.88 does so, also for a file of httpd's own. */

#include "httpd.h"

void cgwm_drain_register(void);

/* Before the end of r's response goes out, whoever makes it (the application, or
 * httpd for an error): read the body to its end, for as long as httpd's Timeout
 * and LimitRequestBody allow. Does nothing where httpd does it. */
void cgwm_drain_before_end(request_rec *r);
/* But no longer than the client goes on sending: its answer must not wait for a body
 * that may never come. */
void cgwm_drain_briefly(request_rec *r);

#endif
