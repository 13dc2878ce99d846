/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway.h"

#include "apr_strings.h"
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"

#include "cgw_log.h"
#include "config.h"
#include "drain.h"
#include "exchange.h"
#include "filters.h"
#include "parse.h"

APLOG_USE_MODULE(cgateway);

#define HANDLER_PREFIX "cgateway:"
#define HANDLER_PREFIX_LEN (sizeof(HANDLER_PREFIX) - 1)

/* The handler that <Location> or <If> configured for this URL, or NULL. Known
 * before the URL is mapped, since httpd walks the locations first. */
static const char *configured_handler(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *value, *error = NULL;
    char *lower;

    if (!core->expr_handler) {
        return core->handler;
    }
    /* SetHandler is an expression, and keeps no case */
    value = ap_expr_str_exec(r, core->expr_handler, &error);
    if (error) {
        return NULL; /* core says so, where it evaluates it again */
    }
    lower = apr_pstrdup(r->pool, value);
    ap_str_tolower(lower);
    return lower;
}

static int is_ours(const char *handler)
{
    return handler && strncmp(handler, HANDLER_PREFIX, HANDLER_PREFIX_LEN) == 0;
}

static void claim(request_rec *r, const char *handler)
{
    r->handler = handler;
    r->filename = (char *)(intptr_t)handler; /* no file stands behind it */
    r->canonical_filename = r->filename;
}

/* Runs behind mod_rewrite, mod_proxy and mod_alias: what they map stays
 * theirs. "SetHandler None", or any other handler, takes a URL out of a
 * mount. */
static int translate_name(request_rec *r)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(r->server);
    const char *handler = configured_handler(r);
    const cgwm_mount *mount;

    if (is_ours(handler)) {
        ap_set_module_config(r->request_config, &cgateway_module, NULL);
        claim(r, handler);
        return OK;
    }
    if (handler || !conf->mounts || conf->mounts->nelts == 0) {
        return DECLINED;
    }
    mount = cgwm_mount_find(conf, r->uri);
    if (!mount || !mount->group) {
        return DECLINED;
    }
    ap_set_module_config(r->request_config, &cgateway_module, (void *)mount);
    claim(r, mount->group->handler);
    return OK;
}

static int is_claimed(const request_rec *r)
{
    return r->filename == r->handler && is_ours(r->handler);
}

/* No directory or file walk: there is no file. TRACE stays httpd's, which
 * answers it from this hook as TraceEnable says. */
static int map_to_storage(request_rec *r)
{
    return is_claimed(r) && r->method_number != M_TRACE ? OK : DECLINED;
}

/* mod_mime would make a type and a handler of the URL's last segment. */
static int find_types(request_rec *r)
{
    return is_claimed(r) ? OK : DECLINED;
}

static const cgwm_mount *mount_of(const request_rec *r)
{
    return is_claimed(r) ? ap_get_module_config(r->request_config,
                                                &cgateway_module)
                         : NULL;
}

static void fill_args(cgwm_environ_args *args, request_rec *r,
                      const cgwm_group *group, const cgwm_body *body)
{
    const cgwm_dir_conf *conf = cgwm_dir_conf_get(r);
    const cgwm_mount *mount = mount_of(r);

    args->question = NULL;
    args->script_name = mount ? mount->prefix : "";
    args->script_name_len = mount ? mount->prefix_len : 0;
    args->path_info = r->uri + args->script_name_len;
    args->script_filename = group->spec->application[0] == '/'
                                ? cgwm_application_file(group->spec->application,
                                                        r->pool) : NULL;
    args->has_body = body->present;
    args->body_is_whole = body->whole;
    args->has_length = body->has_length;
    args->body_is_changed = cgwm_filters_change_body(r);
    args->body_length = body->read_ahead;
    args->pass_authorization = conf->pass_authorization != 0;
    args->queue_ms = (uint32_t)group->spec->queue_timeout;
    args->deadline_ms = (uint32_t)(conf->request_timeout >= 0
                                       ? conf->request_timeout
                                       : group->spec->request_timeout);
}

static const cgwm_group *group_of(request_rec *r)
{
    const cgwm_mount *mount = mount_of(r);
    const cgwm_group *group;

    if (mount) {
        return mount->group;
    }
    group = cgwm_group_find(ap_server_conf, r->handler + HANDLER_PREFIX_LEN);
    if (!group) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0140)
                      "SetHandler %s names a group that is not defined; define "
                      "it with <CGatewayGroup %s>", r->handler,
                      r->handler + HANDLER_PREFIX_LEN);
    }
    return group;
}

static const cgwm_bounds *body_buffer(const request_rec *r)
{
    static const cgwm_bounds defaults = {CGWM_DEFAULT_BODY_MEMORY,
                                         CGWM_DEFAULT_BODY_FILE};

    return cgwm_bounds_or(&cgwm_dir_conf_get(r)->body_buffer, &defaults);
}

static int handler(request_rec *r)
{
    const cgwm_group *group;
    cgwm_environ_args args = {0};
    cgwm_body body = {0};
    int status;

    if (!is_ours(r->handler)) {
        return DECLINED;
    }
    if (r->method_number == M_CONNECT) {
        return HTTP_METHOD_NOT_ALLOWED; /* 200 would promise a tunnel */
    }
    group = group_of(r);
    if (!group) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status = cgwm_body_read_ahead(&body, r, body_buffer(r));
    if (status != OK) {
        return status;
    }
    if (!body.eof) {
        cgwm_drain_before_end(r);
    }
    fill_args(&args, r, group, &body);
    return cgwm_exchange_run(r, group, &args, &body);
}

void cgwm_gateway_register_hooks(apr_pool_t *p)
{
    static const char *const mappers[] = {
        "mod_alias.c", "mod_userdir.c", "mod_vhost_alias.c", "mod_rewrite.c",
        "mod_proxy.c", NULL};

    (void)p;
    cgwm_drain_register();
    ap_hook_translate_name(translate_name, mappers, NULL, APR_HOOK_LAST);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_type_checker(find_types, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_FIRST);
}
