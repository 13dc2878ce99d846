/* SPDX-License-Identifier: Apache-2.0 */

#include "debug.h"

#include <string.h>

#include "apr_strings.h"
#include "http_protocol.h"

#include "config.h"

#define PAGE                                                                      \
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"           \
    "<title>%s</title>\n<style>body{font-family:sans-serif;margin:2em}"           \
    "pre{background:#eee;padding:1em;overflow:auto}</style></head>\n"             \
    "<body><h1>%s</h1>\n<p>Group <b>%s</b>: %s, at <code>%s</code></p>\n"         \
    "<pre>%s</pre>\n<pre>%s</pre>\n"                                              \
    "<p>This page is shown since CGatewayDebug is On. Turn it off where others "  \
    "than developers come.</p>\n</body></html>\n"

int cgwm_debug_is_on(const request_rec *r)
{
    return cgwm_dir_conf_get(r)->debug == 1;
}

void cgwm_debug_note(cgwm_failure_note *note, const char *what, const char *text,
                     size_t len, apr_pool_t *p)
{
    size_t shown = strnlen(text, len);

    note->what = what;
    note->text = apr_pstrmemdup(p, text, shown);
    note->surroundings = shown < len ? apr_pstrmemdup(p, text + shown + 1,
                                                      len - shown - 1)
                                     : "";
}

/* Of a traceback that is the exception. */
static const char *last_line(const char *text)
{
    const char *newline = strrchr(text, '\n');

    return newline ? newline + 1 : text;
}

void cgwm_debug_send(request_rec *r, int status, const char *group,
                     const cgwm_failure_note *note)
{
    apr_pool_t *p = r->pool;
    const char *line = ap_escape_html(p, *note->text ? last_line(note->text)
                                                     : note->what);
    const char *page = apr_psprintf(p, PAGE, line, line, ap_escape_html(p, group),
                                    ap_escape_html(p, note->what),
                                    ap_escape_html(p, r->the_request),
                                    ap_escape_html(p, note->text),
                                    ap_escape_html(p, note->surroundings));

    r->status = status;
    r->status_line = NULL;
    ap_set_content_type(r, "text/html; charset=utf-8");
    ap_set_content_length(r, (apr_off_t)strlen(page));
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_rputs(page, r);
}
