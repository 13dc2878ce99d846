/* SPDX-License-Identifier: Apache-2.0 */

#include "report.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"

#include "config.h"

APLOG_USE_MODULE(cgateway);

static void say(cgwm_report *report, int level, const char *format, va_list args)
{
    ap_log_error(APLOG_MARK, level, 0, report->main_server, "%s",
                 apr_pvsprintf(report->p, format, args));
}

void cgwm_report_error(cgwm_report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(report, APLOG_ERR, format, args);
    va_end(args);
    report->errors++;
}

/* At start, and for configtest, httpd reads its configuration in another state first. */
int cgwm_report_httpd_runs(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG;
}

int cgwm_report_absent(cgwm_report *report, const char *format, ...)
{
    int runs = cgwm_report_httpd_runs();
    va_list args;

    va_start(args, format);
    say(report, APLOG_ERR, format, args);
    va_end(args);
    report->errors += !runs;
    return runs;
}

void cgwm_report_warning(cgwm_report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(report, APLOG_WARNING, format, args);
    va_end(args);
}
