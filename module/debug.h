/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_DEBUG_H
#define CGWM_DEBUG_H

/* CGatewayDebug: what failed is shown to the client, for developers. */

#include "httpd.h"

typedef struct cgwm_failure_note {
    const char *what;           /* NULL: nothing to show */
    const char *text;           /* the traceback, or what else is known */
    const char *surroundings;   /* process, interpreter, sys.path; may be "" */
} cgwm_failure_note;

int cgwm_debug_is_on(const request_rec *r);

/* Keeps what a FAIL frame said: text, a NUL, surroundings. */
void cgwm_debug_note(cgwm_failure_note *note, const char *what, const char *text,
                     size_t len, apr_pool_t *p);

/* Sends it as the response, with this status. Everything in it is escaped. */
void cgwm_debug_send(request_rec *r, int status, const char *group,
                     const cgwm_failure_note *note);

#endif
