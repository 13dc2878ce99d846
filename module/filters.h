/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_FILTERS_H
#define CGWM_FILTERS_H

/* What httpd's filters around the handler ask of it. Known once the handler
 * runs (httpd's insert_filter hooks have run then). */

#include "httpd.h"

/* 1: an input filter may change the body (mod_deflate), so that the request's
 * Content-Length says nothing about what will be read. */
int cgwm_filters_change_body(const request_rec *r);

/* 1: a HEAD request whose response goes through an output filter that makes
 * headers from the body (mod_deflate, mod_include): the application runs as
 * for GET, so that the head is the one that GET would have. */
int cgwm_filters_need_body(const request_rec *r);

#endif
