/* SPDX-License-Identifier: Apache-2.0 */

#include "location.h"

#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"
#include "http_protocol.h"

#include "cgw_log.h"
#include "config.h"
#include "parse.h"
#include "report.h"

/* More would only hold memory of an httpd child. */
#define BUFFER_MEMORY_MAX (64 * 1024 * 1024)

/* ---- create and merge ---------------------------------------------------- */

void *cgwm_dir_conf_create(apr_pool_t *p, char *dir)
{
    cgwm_dir_conf *conf = apr_pcalloc(p, sizeof(*conf));

    (void)dir;
    conf->pass_authorization = -1;
    conf->debug = -1;
    conf->body_buffer.memory = -1;
    conf->body_buffer.file = -1;
    conf->response_buffer.memory = -1;
    conf->response_buffer.file = -1;
    conf->error_override = NULL;
    conf->auth_group = NULL;
    conf->auth_functions = NULL;
    conf->auth_cache = -1;
    conf->sendfile_roots = NULL;
    conf->request_timeout = -1;
    return conf;
}

void *cgwm_dir_conf_merge(apr_pool_t *p, void *base, void *add)
{
    const cgwm_dir_conf *outer = base, *inner = add;
    cgwm_dir_conf *conf = apr_palloc(p, sizeof(*conf));

#define INHERIT(field)                                                        \
    (conf->field = inner->field != -1 ? inner->field : outer->field)
    INHERIT(pass_authorization);
    INHERIT(debug);
    INHERIT(body_buffer.memory);
    INHERIT(body_buffer.file);
    INHERIT(response_buffer.memory);
    INHERIT(response_buffer.file);
    INHERIT(auth_cache);
    INHERIT(request_timeout);
#undef INHERIT
#define INHERIT_LIST(field)                                                   \
    (conf->field = inner->field ? inner->field : outer->field)
    INHERIT_LIST(error_override);
    INHERIT_LIST(auth_group);
    INHERIT_LIST(auth_functions);
    INHERIT_LIST(sendfile_roots);
#undef INHERIT_LIST
    return conf;
}

/* ---- setters --------------------------------------------------------------- */

const char *cgwm_set_pass_authorization(cmd_parms *cmd, void *dir, int on)
{
    cgwm_dir_conf *conf = dir;

    (void)cmd;
    conf->pass_authorization = on;
    return NULL;
}

const char *cgwm_set_debug(cmd_parms *cmd, void *dir, int on)
{
    cgwm_dir_conf *conf = dir;

    (void)cmd;
    conf->debug = on;
    return NULL;
}

/* memory and file (NULL: as *bounds says) */
static const char *parse_bounds(cmd_parms *cmd, cgwm_bounds *bounds,
                                const char *memory, const char *file)
{
    int64_t in_memory, in_file = bounds->file;

    if (!cgwm_parse_bytes(memory, &in_memory) || in_memory > BUFFER_MEMORY_MAX
        || (file && !cgwm_parse_bytes(file, &in_file))) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0004) "%s '%s%s%s' is out of range. "
            "Write the bytes kept in memory, from 0 to %dM, and, if you like, those "
            "kept in a temporary file; both may have K or M.", cmd->cmd->name, memory,
            file ? " " : "", file ? file : "", BUFFER_MEMORY_MAX >> 20);
    }
    bounds->memory = in_memory;
    bounds->file = in_file;
    return NULL;
}

/* "0" alone: all is streamed. */
const char *cgwm_set_body_buffer(cmd_parms *cmd, void *dir, const char *memory,
                                 const char *file)
{
    cgwm_dir_conf *conf = dir;

    conf->body_buffer.file = strcmp(memory, "0") == 0 ? 0 : CGWM_DEFAULT_BODY_FILE;
    return parse_bounds(cmd, &conf->body_buffer, memory, file);
}

const char *cgwm_set_response_buffer(cmd_parms *cmd, void *dir,
                                     const char *memory, const char *file)
{
    cgwm_dir_conf *conf = dir;

    conf->response_buffer.file = CGWM_DEFAULT_RESPONSE_FILE;
    return parse_bounds(cmd, &conf->response_buffer, memory, file);
}

void cgwm_set_request_timeout(void *dir, int64_t ms)
{
    cgwm_dir_conf *conf = dir;

    conf->request_timeout = ms;
}

/* ---- CGatewayErrorOverride ------------------------------------------------- */

/* Can ErrorDocument name it? httpd takes a status it does not know for 500. */
static int has_error_document(int status)
{
    return status == HTTP_INTERNAL_SERVER_ERROR
           || ap_index_of_response(status)
                  != ap_index_of_response(HTTP_INTERNAL_SERVER_ERROR);
}

static int add_status(cgwm_statuses *set, const char *word)
{
    int64_t status;

    if (!cgwm_parse_int(word, CGWM_STATUS_LOW, CGWM_STATUS_HIGH, &status)
        || !has_error_document((int)status)) {
        return 0;
    }
    set->has[status - CGWM_STATUS_LOW] = 1;
    return 1;
}

static void add_all(cgwm_statuses *set)
{
    for (int status = CGWM_STATUS_LOW; status <= CGWM_STATUS_HIGH; status++) {
        set->has[status - CGWM_STATUS_LOW] =
            (char)(has_error_document(status) != 0);
    }
}

static const char *bad_status(const cmd_parms *cmd, const char *word)
{
    return apr_psprintf(cmd->pool, CGW_LOGNO(0150) "CGatewayErrorOverride '%s' is "
        "not an error that ErrorDocument can answer. Write statuses from 400 to 599 "
        "that httpd knows, as 404 500 503, or On for all of them, or Off.", word);
}

/* On, Off or statuses; each On or Off begins anew, statuses add up. */
const char *cgwm_set_error_override(cmd_parms *cmd, void *dir, int argc,
                                    char *const argv[])
{
    cgwm_dir_conf *conf = dir;
    cgwm_statuses *set = conf->error_override;
    int64_t on;

    if (!set) {
        conf->error_override = set = apr_pcalloc(cmd->pool, sizeof(*set));
    }
    if (argc == 1 && cgwm_parse_flag(argv[0], &on)) {
        memset(set, 0, sizeof(*set));
        if (on) {
            add_all(set);
        }
        return NULL;
    }
    for (int i = 0; i < argc; i++) {
        if (!add_status(set, argv[i])) {
            return bad_status(cmd, argv[i]);
        }
    }
    return argc > 0 ? NULL : bad_status(cmd, "");
}

/* ---- users of the site ------------------------------------------------------ */

const char *cgwm_set_auth_group(cmd_parms *cmd, void *dir, const char *name)
{
    cgwm_dir_conf *conf = dir;

    if (!cgwm_is_group_name(name)) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0139) "CGatewayAuthGroup '%s' is not "
            "the name of a group. Write the ServerName of a virtual host with "
            "CGatewayApplication, or the name of a <CGatewayGroup>.", name);
    }
    conf->auth_group = name;
    return NULL;
}

static bool is_function(const char *text, apr_pool_t *p)
{
    const char *colon = ap_strchr_c(text, ':');

    return colon && cgwm_is_module_name(colon + 1)
           && cgwm_is_module_name(apr_pstrmemdup(p, text, (apr_size_t)(colon - text)));
}

const char *cgwm_set_auth_functions(cmd_parms *cmd, void *dir,
                                    const char *password, const char *groups)
{
    cgwm_dir_conf *conf = dir;
    cgwm_auth_functions *set = apr_pcalloc(cmd->pool, sizeof(*set));

    if (!is_function(password, cmd->temp_pool)
        || (groups && !is_function(groups, cmd->temp_pool))) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0134) "CGatewayAuthFunctions '%s%s%s' "
            "names no functions. Write module:function for the one that checks a "
            "password, and, if you like, for the one that knows a user's groups.",
            password, groups ? " " : "", groups ? groups : "");
    }
    set->password = password;
    set->groups = groups ? groups : CGWM_DEFAULT_GROUPS_FUNCTION;
    conf->auth_functions = set;
    return NULL;
}

const char *cgwm_set_auth_cache(cmd_parms *cmd, void *dir, const char *time)
{
    cgwm_dir_conf *conf = dir;
    int64_t ms;

    if (!cgwm_parse_duration(time, &ms) || ms > 24 * 3600 * 1000) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0117) "CGatewayAuthCache '%s' is out of "
            "range. Write 0 for none, or up to 24h: seconds, or a number with ms, s, "
            "min or h.", time);
    }
    conf->auth_cache = apr_time_from_msec(ms);
    return NULL;
}

/* ---- CGatewaySendfileRoot -------------------------------------------------- */

static const char *add_root(cmd_parms *cmd, apr_array_header_t *roots,
                            const char *word)
{
    const char *path = ap_server_root_relative(cmd->pool, word);
    apr_finfo_t info;
    apr_status_t rv;

    if (!path || !*word) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0152) "CGatewaySendfileRoot '%s' is "
            "not a directory. Write an absolute path, or Off.", word);
    }
    rv = apr_stat(&info, path, APR_FINFO_TYPE, cmd->temp_pool);
    if ((rv != APR_SUCCESS || info.filetype != APR_DIR)
        && cgwm_report_is_test(cmd->temp_pool)) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0155) "CGatewaySendfileRoot %s: %s "
            "is not a directory that exists. Create it, or correct the path.", word,
            path);
    }
    APR_ARRAY_PUSH(roots, const char *) = path;
    return NULL;
}

/* Off, or directories; they add up. */
const char *cgwm_set_sendfile_root(cmd_parms *cmd, void *dir, int argc,
                                   char *const argv[])
{
    cgwm_dir_conf *conf = dir;
    const char *error = argc > 0 ? NULL : add_root(cmd, NULL, "");

    if (!conf->sendfile_roots) {
        conf->sendfile_roots = apr_array_make(cmd->pool, 2, sizeof(const char *));
    }
    if (argc == 1 && !apr_cstr_casecmp(argv[0], "Off")) {
        apr_array_clear(conf->sendfile_roots);
        return NULL;
    }
    for (int i = 0; i < argc && !error; i++) {
        error = add_root(cmd, conf->sendfile_roots, argv[i]);
    }
    return error;
}
