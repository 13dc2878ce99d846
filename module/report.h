/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_REPORT_H
#define CGWM_REPORT_H

/* What is wrong with a configuration: every problem is said, not only the
 * first, where `apachectl configtest` shows it. */

#include "apr_hash.h"
#include "httpd.h"

#include "cgw_log.h"

typedef struct cgwm_report {
    server_rec *main_server;
    apr_pool_t *p;              /* for the texts */
    int errors;
    apr_hash_t *accounts;       /* user.c's: what it has looked up */
    int mounts_tried, mounts_error; /* sandbox.c's: what making one came to */
} cgwm_report;

/* The format begins with CGW_LOGNO(nnnn). An error makes httpd refuse the
 * configuration, a warning does not. */
void cgwm_report_error(cgwm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cgwm_report_warning(cgwm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
