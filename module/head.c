/* SPDX-License-Identifier: Apache-2.0 */

#include "head.h"

#include "apr_date.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_protocol.h"
#include "http_request.h"

#include "cgw_wire.h"

/* ---- applying ------------------------------------------------------------ */

static int add_header(void *table, const char *name, const char *value)
{
    apr_table_addn(table, name, value);
    return 1;
}

/* Is it the page of an error, which has no status of its own to tell? */
static int is_error_page(const cgwm_head *head, const request_rec *r)
{
    return ap_is_HTTP_ERROR(r->status) && head->status == HTTP_OK;
}

void cgwm_head_apply(const cgwm_head *head, request_rec *r)
{
    if (!is_error_page(head, r)) {
        r->status = head->status;
        r->status_line = head->line;
    }
    /* what mod_mime made of the file name is not the application's */
    r->content_type = NULL;
    r->content_encoding = NULL;
    r->content_languages = NULL;
    if (head->type) {
        ap_set_content_type(r, head->type);
    }
    apr_table_do(add_header, r->headers_out, head->headers, NULL);
    if (head->length == CGW_LENGTH_UNKNOWN) {
        apr_table_unset(r->headers_out, "Content-Length");
    }
    else if (r->status != HTTP_NO_CONTENT) {
        ap_set_content_length(r, (apr_off_t)head->length);
    }
}

void cgwm_head_offer_ranges(request_rec *r)
{
    if (r->status == HTTP_OK && !apr_table_get(r->headers_out, "Accept-Ranges")) {
        ap_set_accept_ranges(r);
    }
}

int cgwm_head_meets_conditions(request_rec *r)
{
    const char *modified = apr_table_get(r->headers_out, "Last-Modified");
    apr_time_t when = modified ? apr_date_parse_http(modified) : APR_DATE_BAD;

    if (r->status != HTTP_OK || r->method_number != M_GET) {
        return OK;
    }
    if (when != APR_DATE_BAD) {
        ap_update_mtime(r, when);
    }
    return ap_meets_conditions(r);
}

/* httpd makes Allow of a 405 from the methods that it knows to be allowed. */
static void allow_methods(request_rec *r, const char *allow)
{
    const char *method;

    ap_clear_method_list(r->allowed_methods);
    while ((method = ap_get_list_item(r->pool, &allow)) != NULL) {
        char *upper = apr_pstrdup(r->pool, method); /* it was put in lower case */
        for (char *c = upper; *c; c++) {
            *c = (char)apr_toupper(*c);
        }
        ap_method_list_add(r->allowed_methods, upper);
    }
}

void cgwm_head_apply_to_error(const cgwm_head *head, request_rec *r)
{
    static const char *const kept[] = {"WWW-Authenticate", "Retry-After", "Allow",
                                       "Set-Cookie"};
    const char *allow = apr_table_get(head->headers, "Allow");

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        apr_table_do(add_header, r->err_headers_out, head->headers, kept[i], NULL);
    }
    if (allow) {
        allow_methods(r, allow);
    }
}

/* httpd sends headers_out with it, and nothing to clients of HTTP/1.0 (RFC 9110,
 * 15.2). The response that contains a subrequest has begun long since. */
void cgwm_head_send_interim(const cgwm_head *head, request_rec *r)
{
    apr_table_t *headers = r->headers_out;
    int status = r->status;
    const char *line = r->status_line;

    if (r->main) {
        return;
    }
    if (head->type) {
        apr_table_setn(head->headers, "Content-Type", head->type);
    }
    r->headers_out = head->headers;
    r->status = head->status;
    r->status_line = head->line;
    ap_send_interim_response(r, 1);
    r->status = status;
    r->status_line = line;
    r->headers_out = headers;
}
