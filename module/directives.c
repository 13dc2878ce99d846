/* SPDX-License-Identifier: Apache-2.0 */

/* The table of directives, and where each of them belongs: to a group, whose
 * setters are settings.c's, to a location (location.c), or to a server (here). What
 * needs more than a directive's own words (users, files, other directives) is
 * check.c's and group.c's. A returned text becomes httpd's "Syntax error on line
 * ... of ...". */

#include "apr_strings.h"

#include "cgw_log.h"
#include "location.h"
#include "parse.h"
#include "settings.h"

static cgwm_server_conf *server_conf(cmd_parms *cmd)
{
    return cgwm_server_conf_get(cmd->server);
}

/* ---- directives of a group ----------------------------------------------- */

static const enum cgwm_field group_fields[] = {
#define X(sym, ...) [CGWM_##sym] = CGWM_##sym,
    CGWM_GROUP_TABLE(X)
#undef X
};

static int is_in_group_section(const cmd_parms *cmd)
{
    const ap_directive_t *parent = cmd->directive->parent;

    return parent && !ap_cstr_casecmp(parent->directive, "<CGatewayGroup");
}

/* The definition that a directive belongs to: the <CGatewayGroup> around it,
 * which is the one opened last, or the virtual host's own. */
static cgwm_definition *definition_of(cmd_parms *cmd)
{
    cgwm_server_conf *conf = server_conf(cmd);

    if (is_in_group_section(cmd)) {
        return APR_ARRAY_IDX(conf->named, conf->named->nelts - 1,
                             cgwm_definition *);
    }
    if (!conf->own) {
        conf->own = cgwm_definition_create(NULL, cgwm_where(cmd), cmd->server, cmd->pool);
        conf->own->scope = cmd->directive->parent;
    }
    return conf->own;
}

static const char *set_group_directive(cmd_parms *cmd, void *dir, int argc,
                                       char *const argv[])
{
    const enum cgwm_field *field = cmd->info;
    int in_location = cmd->path != NULL;
    int64_t number = 0; /* of a location */
    const char *error = cgwm_setting_set(cmd, *field,
                                         in_location ? NULL : definition_of(cmd),
                                         &number, argc, argv);

    if (!error && in_location) {
        cgwm_set_request_timeout(dir, number);
    }
    return error;
}

/* ---- the section ------------------------------------------------------- */

/* "name>" -> name, NULL where it is not a group's name */
static const char *section_name(const char *arg, apr_pool_t *p)
{
    const char *end = ap_strrchr_c(arg, '>');
    const char *words, *name;

    if (!end) {
        return NULL;
    }
    words = apr_pstrmemdup(p, arg, (apr_size_t)(end - arg));
    name = ap_getword_conf(p, &words);
    return *words == '\0' && cgwm_is_group_name(name) ? name : NULL;
}

/* Anything else would silently belong to the server around the section. */
static const char *check_children(cmd_parms *cmd, const char *name)
{
    for (const ap_directive_t *d = cmd->directive->first_child; d; d = d->next) {
        if (!cgwm_is_group_directive(d->directive)) {
            return apr_psprintf(cmd->pool, CGW_LOGNO(0010) "%s (%s:%d) is not a "
                "directive of a group and cannot stand in <CGatewayGroup %s>. Move "
                "it out of the section.", d->directive, d->filename, d->line_num,
                name);
        }
    }
    return NULL;
}

static const char *open_group(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *name = section_name(arg, cmd->pool);
    const char *error;

    (void)dir;
    if (!name) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0009) "<CGatewayGroup %s does not "
            "name a group. Write <CGatewayGroup name>: one word of letters, digits, "
            "'.', '_' and '-', at most %d characters.", arg, CGWM_GROUP_NAME_MAX);
    }
    error = check_children(cmd, name);
    if (error) {
        return error;
    }
    APR_ARRAY_PUSH(server_conf(cmd)->named, cgwm_definition *) =
        cgwm_definition_create(name, cgwm_where(cmd), cmd->server, cmd->pool);
    return ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
}

/* ---- directives of servers and locations ------------------------------- */

static const char *set_mount(cmd_parms *cmd, void *dir, const char *text,
                             const char *group)
{
    cgwm_mount mount = {.group_name = group, .where = cgwm_where(cmd)};

    (void)dir;
    if (!cgwm_parse_prefix(text, &mount.prefix, cmd->pool)) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0011) "CGatewayMount '%s' is not a "
            "URL prefix. Write a path that begins with '/', as it is decoded: no "
            "'%%', '?' or '#', no empty, '.' or '..' segment.", text);
    }
    if (group && !cgwm_is_group_name(group)) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0015) "CGatewayMount %s '%s': the "
            "second word is not the name of a group (letters, digits, '.', '_' and "
            "'-', at most %d). Write the name of a <CGatewayGroup>, or leave it out "
            "for the virtual host's own group.", text, group, CGWM_GROUP_NAME_MAX);
    }
    mount.prefix_len = strlen(mount.prefix);
    APR_ARRAY_PUSH(server_conf(cmd)->mounts, cgwm_mount) = mount;
    return NULL;
}

static const char *set_cgroup_parent(cmd_parms *cmd, void *dir, const char *path)
{
    const char *error = NULL;

    (void)dir;
    if (cmd->server->is_virtual) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0070) "CGatewayCgroupParent %s: there "
            "is one for the whole httpd. Move the directive out of the <VirtualHost>.",
            path);
    }
    server_conf(cmd)->cgroup_parent =
        cgwm_setting_path("CGatewayCgroupParent", path, cmd->pool, &error);
    return error;
}

static const char *set_runtime_dir(cmd_parms *cmd, void *dir, const char *path)
{
    const char *error = NULL;

    (void)dir;
    if (cmd->server->is_virtual) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0013) "CGatewayRuntimeDir %s: there "
            "is one runtime directory for the whole httpd. Move the directive out of "
            "the <VirtualHost>.", path);
    }
    server_conf(cmd)->runtime_dir =
        cgwm_setting_path("CGatewayRuntimeDir", path, cmd->pool, &error);
    return error;
}

static const char *set_batch_scheduling(cmd_parms *cmd, void *dir, int on)
{
    (void)dir;
    if (cmd->server->is_virtual) {
        return apr_psprintf(cmd->pool, CGW_LOGNO(0080) "CGatewayBatchScheduling %s: "
            "httpd's processes serve every virtual host. Move the directive out of the "
            "<VirtualHost>.", on ? "On" : "Off");
    }
    server_conf(cmd)->batch_scheduling = on;
    return NULL;
}

const command_rec cgwm_directives[] = {
#define X(sym, name, setter, fewest, most, member, low, high, help)           \
    AP_INIT_TAKE_ARGV(name, set_group_directive,                              \
                      (void *)&group_fields[CGWM_##sym],                  \
                      CGWM_IN_LOCATIONS(CGWM_##sym) ? RSRC_CONF | ACCESS_CONF \
                                                    : RSRC_CONF, help),
    CGWM_GROUP_TABLE(X)
#undef X
    AP_INIT_RAW_ARGS("<CGatewayGroup", open_group, NULL, RSRC_CONF,
                     "a named group; virtual hosts mount it"),
    AP_INIT_TAKE12("CGatewayMount", set_mount, NULL, RSRC_CONF,
                   "URL prefix [group]: where a group's application answers"),
    AP_INIT_TAKE1("CGatewayRuntimeDir", set_runtime_dir, NULL, RSRC_CONF,
                  "directory of the groups' sockets"),
    AP_INIT_TAKE1("CGatewayCgroupParent", set_cgroup_parent, NULL, RSRC_CONF,
                  "control group that those of CGatewayCgroup are made in"),
    AP_INIT_FLAG("CGatewayBatchScheduling", set_batch_scheduling, NULL, RSRC_CONF,
                 "whether httpd's processes let running workers go on when they wake"),
    AP_INIT_FLAG("CGatewayPassAuthorization", cgwm_set_pass_authorization, NULL,
                 RSRC_CONF | ACCESS_CONF,
                 "whether the application sees the Authorization header"),
    AP_INIT_FLAG("CGatewayDebug", cgwm_set_debug, NULL, RSRC_CONF | ACCESS_CONF,
                 "whether exceptions are shown to the client"),
    AP_INIT_TAKE12("CGatewayBodyBuffer", cgwm_set_body_buffer, NULL,
                   RSRC_CONF | ACCESS_CONF,
                   "what is read of a request body before a worker is asked: bytes in "
                   "memory, bytes in a temporary file"),
    AP_INIT_TAKE12("CGatewayResponseBuffer", cgwm_set_response_buffer, NULL,
                   RSRC_CONF | ACCESS_CONF,
                   "what is kept for a slow client: bytes in memory, bytes in a "
                   "temporary file"),
    AP_INIT_TAKE_ARGV("CGatewayErrorOverride", cgwm_set_error_override, NULL,
                      RSRC_CONF | ACCESS_CONF,
                      "statuses that httpd's ErrorDocument answers in place of the "
                      "application"),
    AP_INIT_TAKE1("CGatewayAuthGroup", cgwm_set_auth_group, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "the group that AuthBasicProvider cgateway asks"),
    AP_INIT_TAKE12("CGatewayAuthFunctions", cgwm_set_auth_functions, NULL,
                   RSRC_CONF | ACCESS_CONF,
                   "functions of the site: one that checks a password, one that knows "
                   "a user's groups"),
    AP_INIT_TAKE1("CGatewayAuthCache", cgwm_set_auth_cache, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "for how long a checked password counts"),
    AP_INIT_TAKE_ARGV("CGatewaySendfileRoot", cgwm_set_sendfile_root, NULL,
                      RSRC_CONF | ACCESS_CONF,
                      "directories below which the application may name files for "
                      "httpd to send (X-Sendfile)"),
    {.name = NULL},
};
