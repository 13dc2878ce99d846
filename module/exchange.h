/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_EXCHANGE_H
#define CGWM_EXCHANGE_H

/* One request to a group and its response: a connection to whichever worker
 * accepts it, both directions at once. */

#include "httpd.h"

#include "body.h"
#include "config.h"
#include "environ.h"

/* Sends the request, relays the response, logs what went wrong. Repeats a
 * request once that is safe to repeat (RFC 9110, 9.2.1: GET, HEAD, OPTIONS,
 * TRACE with its body at hand) when the worker died before it answered.
 * Returns what the handler returns to httpd. */
int cgwm_exchange_run(request_rec *r, const cgwm_group *group,
                      const cgwm_environ_args *args, cgwm_body *body);

#endif
