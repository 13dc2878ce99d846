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
    int quiet;                  /* said already: nothing is said again */
    apr_hash_t *accounts;       /* user.c's: what it has looked up */
    int mounts_tried, mounts_error; /* sandbox.c's: what making one came to */
} cgwm_report;

/* The format begins with CGW_LOGNO(nnnn). An error makes httpd refuse the
 * configuration, a warning does not. */
void cgwm_report_error(cgwm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether the administrator asks what is missing of the sites: "httpd -t", and "httpd -k
 * graceful" or "restart", which read the configuration before they signal. An httpd that
 * starts, or that runs and reads it again, serves the other sites. */
int cgwm_report_is_test(apr_pool_t *p);
/* Of a site's own files, which its owner may remove at any time. An error in such a test
 * alone: else the other sites are served, and of this one the processes that there are,
 * since new ones do not start (CGW0230, CGW0231). Whether it is no error. */
int cgwm_report_absent(cgwm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cgwm_report_warning(cgwm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
