/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ASK_H
#define CGWM_ASK_H

/* A question to a group's workers that is not a request of the client: it calls
 * a function of the site in place of the application (CGW_REQUEST_ASK). */

#include "httpd.h"

#include "config.h"

/* Asks, and waits for the answer, for Timeout at most. *text: the body of the
 * answer, from r->pool. Returns the status that it has, or 0 where there was no
 * answer, which is logged. */
int cgwm_ask(request_rec *r, const cgwm_group *group,
             const cgwm_question *question, const char **text);

#endif
