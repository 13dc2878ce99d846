/* SPDX-License-Identifier: Apache-2.0 */

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "apr_getopt.h"
#include "apr_strings.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"

#include "config.h"

APLOG_USE_MODULE(cgateway);

/* Longest command line that is looked at. */
#define COMMAND_MAX 65536

static void say(cgwm_report *report, int level, const char *format, va_list args)
{
    if (report->quiet) {
        return;
    }
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

/* The words that this program was started with: httpd takes -k from its own. */
static apr_array_header_t *command_line(apr_pool_t *p)
{
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(const char *));
    char *bytes = apr_pcalloc(p, COMMAND_MAX + 1);
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = 0, n = 1;

    while (fd >= 0 && len < COMMAND_MAX && n > 0) {
        n = read(fd, bytes + len, (size_t)(COMMAND_MAX - len));
        len += n > 0 ? n : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    for (char *word = bytes; word < bytes + len; word += strlen(word) + 1) {
        APR_ARRAY_PUSH(words, const char *) = word;
    }
    return words;
}

/* "httpd -k graceful" and "-k restart" are for one that runs. */
static int is_for_running_httpd(apr_pool_t *p)
{
    apr_array_header_t *words = command_line(p);
    apr_getopt_t *options;
    const char *value;
    char option;
    int found = 0;

    apr_getopt_init(&options, p, words->nelts, (const char *const *)words->elts);
    options->errfn = NULL;
    while (apr_getopt(options, "k:" AP_SERVER_BASEARGS, &option, &value) == APR_SUCCESS) {
        if (option == 'k') {
            found = !strcmp(value, "graceful") || !strcmp(value, "restart");
        }
    }
    return found;
}

int cgwm_report_is_test(apr_pool_t *p)
{
    /* the configuration is read in another state later, also at a start */
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG
           && (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
               || is_for_running_httpd(p));
}

int cgwm_report_absent(cgwm_report *report, const char *format, ...)
{
    int goes_on = !cgwm_report_is_test(report->p);
    va_list args;

    va_start(args, format);
    say(report, APLOG_ERR, format, args);
    va_end(args);
    report->errors += !goes_on;
    return goes_on;
}

void cgwm_report_warning(cgwm_report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(report, APLOG_WARNING, format, args);
    va_end(args);
}
