/* SPDX-License-Identifier: Apache-2.0 */

#include "report.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_log.h"

#include "config.h"

APLOG_USE_MODULE(cgateway);

void cgwm_report_error(cgwm_report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, report->main_server, "%s",
                 apr_pvsprintf(report->p, format, args));
    va_end(args);
    report->errors++;
}

void cgwm_report_warning(cgwm_report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, report->main_server, "%s",
                 apr_pvsprintf(report->p, format, args));
    va_end(args);
}
