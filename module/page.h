/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_PAGE_H
#define CGWM_PAGE_H

#include "httpd.h"

#include "json_reader.h"

/* Sends the status page: one HTML file that needs no other and no JavaScript,
 * and renews itself where there is one. */
void cgwm_page_send(request_rec *r, const cgwm_json *status);
/* The groups in a few lines, for mod_status' page; is_short: for its ?auto. */
void cgwm_page_send_section(request_rec *r, const cgwm_json *status, int is_short);

#endif
