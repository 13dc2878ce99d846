/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_HEAD_H
#define CGWM_HEAD_H

/* The head of a response on its way from a worker to the client. */

#include "httpd.h"

#include "parse_head.h"

/* Makes it the head of r's response. An ErrorDocument that says 200 leaves the
 * error's status, as a file that is one does. */
void cgwm_head_apply(const cgwm_head *head, request_rec *r);

/* Of a file whose ranges httpd cuts: says so, where the application did not. */
void cgwm_head_offer_ranges(request_rec *r);

/* Is a response of 200 what the client asked for by If-None-Match and its like,
 * going by ETag and Last-Modified of the head that was applied? OK, or 304 or
 * 412, which is then the answer. */
int cgwm_head_meets_conditions(request_rec *r);

/* Makes httpd's page for this status, which is an error, carry what says how
 * to go on, and nothing that is about the application's page. */
void cgwm_head_apply_to_error(const cgwm_head *head, request_rec *r);

/* Sends it to the client as an interim response at once. */
void cgwm_head_send_interim(const cgwm_head *head, request_rec *r);

#endif
