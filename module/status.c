/* SPDX-License-Identifier: Apache-2.0 */

#include "status.h"

#include "ap_mpm.h"
#include "apr_optional_hooks.h"
#include "apr_strings.h"
#include "http_config.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_status.h"

#include "config.h"
#include "control.h"
#include "metrics.h"
#include "page.h"
#include "queue.h"

APLOG_USE_MODULE(cgateway);

#define STATUS_HANDLER "cgateway-status"
#define READY_HANDLER "cgateway-ready"

static void forbid_caching(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
}

/* Whether the query has that word, alone or before "=" or "&". */
static int query_has(const request_rec *r, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = r->args; at && *at; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, word, len) == 0 && strchr("&=", at[len])) {
            return 1;
        }
    }
    return 0;
}

/* ---- status ------------------------------------------------------------------ */

static int status_handler(request_rec *r)
{
    const cgwm_json *status;
    const char *answer;

    if (strcmp(r->handler, STATUS_HANDLER) != 0) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (cgwm_control_ask(r, "status", &answer, &status) != APR_SUCCESS) {
        return cgwm_refuse(r);
    }
    forbid_caching(r);
    if (query_has(r, "json")) {
        ap_set_content_type(r, "application/json");
        ap_rputs(answer, r);
    }
    else if (query_has(r, "openmetrics")) {
        cgwm_metrics_send(r, status);
    }
    else {
        cgwm_page_send(r, status);
    }
    return OK;
}

/* mod_status' page is sent, whatever becomes of this part. */
static int status_section(request_rec *r, int flags)
{
    const cgwm_json *status;
    const char *answer;

    if (cgwm_has_groups(ap_server_conf)
        && cgwm_control_ask(r, "status", &answer, &status) == APR_SUCCESS) {
        cgwm_page_send_section(r, status, flags & AP_STATUS_SHORT);
    }
    return OK;
}

/* ---- readiness ----------------------------------------------------------------- */

/* Whether the group is in the answer and ready; a line about one that is not. */
static int check_group(request_rec *r, const cgwm_json *ready, const char *name,
                       apr_array_header_t *lines)
{
    if (cgwm_json_is_true(cgwm_json_get(ready, name))) {
        return 1;
    }
    APR_ARRAY_PUSH(lines, const char *) = apr_pstrcat(r->pool, "not ready: ", name,
                                                      "\n", NULL);
    return 0;
}

/* "?group=shop&group=news" */
static int check_named(request_rec *r, const cgwm_json *ready,
                       apr_array_header_t *lines)
{
    char *state, *args = apr_pstrdup(r->pool, r->args);
    int all = 1;

    for (char *word = apr_strtok(args, "&", &state); word;
         word = apr_strtok(NULL, "&", &state)) {
        if (strncmp(word, "group=", 6) == 0 && ap_unescape_url(word + 6) == OK) {
            all &= check_group(r, ready, word + 6, lines);
        }
    }
    return all;
}

static int check_mounts(request_rec *r, const cgwm_json *ready,
                        const cgwm_server_conf *conf, apr_array_header_t *lines)
{
    int all = 1;

    for (int i = 0; i < conf->mounts->nelts; i++) {
        const cgwm_mount *mount = &APR_ARRAY_IDX(conf->mounts, i, cgwm_mount);
        if (mount->group) {
            all &= check_group(r, ready, mount->group->spec->name, lines);
        }
    }
    return all;
}

/* The groups that the query names; else those of the virtual host; else all. */
static int check_ready(request_rec *r, const cgwm_json *answer,
                       apr_array_header_t *lines)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(r->server);
    const cgwm_json *ready = cgwm_json_get(answer, "groups");
    int all = 1;

    if (query_has(r, "group")) {
        return check_named(r, ready, lines);
    }
    if (conf->mounts && conf->mounts->nelts) {
        return check_mounts(r, ready, conf, lines);
    }
    for (const cgwm_json *g = ready ? ready->first : NULL; g; g = g->next) {
        all &= check_group(r, ready, g->key, lines);
    }
    return all;
}

/* A graceful stop answers on connections that it had. */
static int is_stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS
           && state == AP_MPMQ_STOPPING;
}

static int ready_handler(request_rec *r)
{
    apr_array_header_t *lines = apr_array_make(r->pool, 4, sizeof(const char *));
    const cgwm_json *json;
    const char *answer;

    if (strcmp(r->handler, READY_HANDLER) != 0) {
        return DECLINED;
    }
    if (r->method_number != M_GET) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (is_stopping()
        || cgwm_control_ask(r, "ready", &answer, &json) != APR_SUCCESS) {
        return cgwm_refuse(r);
    }
    forbid_caching(r);
    ap_set_content_type(r, "text/plain; charset=utf-8");
    if (!check_ready(r, json, lines)) {
        r->status = HTTP_SERVICE_UNAVAILABLE;
        apr_table_setn(r->headers_out, "Retry-After", CGWM_RETRY_AFTER);
        ap_rputs(apr_array_pstrcat(r->pool, lines, 0), r);
        return OK;
    }
    ap_rputs("ready\n", r);
    return OK;
}

void cgwm_status_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(ready_handler, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, status_section, NULL, NULL, APR_HOOK_MIDDLE);
}
