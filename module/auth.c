/* SPDX-License-Identifier: Apache-2.0 */

#include "auth.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "httpd.h"
#include "ap_provider.h"
#include "http_config.h"
#include "http_log.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_auth.h"

#include "answers.h"
#include "ask.h"
#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

/* The statuses of an answer (worker/cgateway/_auth.py has the other end). */
#define ANSWER_YES HTTP_OK
#define ANSWER_NO HTTP_UNAUTHORIZED
#define ANSWER_UNKNOWN HTTP_NOT_FOUND

static const cgwm_auth_functions default_functions = {
    CGWM_DEFAULT_PASSWORD_FUNCTION, CGWM_DEFAULT_GROUPS_FUNCTION};

/* ---- who is asked ---------------------------------------------------------- */

/* The server's own group, or else the only one that it has. */
static const cgwm_group *main_group(const cgwm_server_conf *conf)
{
    const cgwm_group *only = NULL;
    int n = 0;

    for (int i = 0; i < conf->mounts->nelts; i++) {
        const cgwm_mount *mount = &APR_ARRAY_IDX(conf->mounts, i, cgwm_mount);
        if (!mount->group_name) {
            return mount->group;
        }
        if (mount->group != only) {
            only = mount->group;
            n++;
        }
    }
    return n == 1 ? only : NULL;
}

static const cgwm_group *group_to_ask(request_rec *r)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(r->server);
    const char *name = cgwm_dir_conf_get(r)->auth_group;
    const cgwm_mount *mount = cgwm_mount_find(conf, r->uri);
    const cgwm_group *group;

    group = name ? cgwm_group_find(ap_server_conf, name)
                 : mount ? mount->group : main_group(conf);
    if (!group) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0137)
                      "no group can be asked about users: %s%s. Write CGatewayAuthGroup "
                      "with the name of a group", name ? "no group has the name " :
                      "this virtual host mounts none, or several", name ? name : "");
    }
    return group;
}

static const cgwm_auth_functions *functions_of(const request_rec *r)
{
    const cgwm_auth_functions *set = cgwm_dir_conf_get(r)->auth_functions;

    return set ? set : &default_functions;
}

static apr_interval_time_t keep_time(const request_rec *r)
{
    apr_interval_time_t time = cgwm_dir_conf_get(r)->auth_cache;

    return time < 0 ? CGWM_DEFAULT_AUTH_CACHE : time;
}

static cgwm_answers *answers_of_child(void)
{
    return cgwm_server_conf_get(ap_server_conf)->answers;
}

/* ---- asking, and remembering a yes ------------------------------------------ */

/* The status of the answer, of which only a yes is kept: a wrong password costs
 * what it costs, each time. */
static int ask(request_rec *r, const cgwm_question *question, const char **text)
{
    const cgwm_group *group = group_to_ask(r);
    cgwm_answers *answers = answers_of_child();
    apr_interval_time_t keep = keep_time(r);
    cgwm_answer_key key;
    int status;

    *text = "";
    if (!group) {
        return 0;
    }
    cgwm_answers_key(answers, (const char *const[]){
        question->kind, group->spec->name, question->function, question->user,
        question->password, NULL}, &key);
    if (keep && (*text = cgwm_answers_get(answers, &key, r->pool)) != NULL) {
        return ANSWER_YES;
    }
    status = cgwm_ask(r, group, question, text);
    if (keep && status == ANSWER_YES) {
        cgwm_answers_put(answers, &key, *text, apr_time_now() + keep);
    }
    return status;
}

static authn_status check_password(request_rec *r, const char *user,
                                   const char *password)
{
    cgwm_question question = {.kind = "password", .user = user,
                              .function = functions_of(r)->password,
                              .password = password};
    const char *text;

    switch (ask(r, &question, &text)) {
    case ANSWER_YES: return AUTH_GRANTED;
    case ANSWER_NO: return AUTH_DENIED;
    case ANSWER_UNKNOWN: return AUTH_USER_NOT_FOUND;
    default: return AUTH_GENERAL_ERROR;
    }
}

/* ---- Require cgateway-group --------------------------------------------------- */

/* Is one of the words a line of the text? */
static int has_group(request_rec *r, const char *words, const char *text)
{
    const char *word;

    while (*(word = ap_getword_conf(r->pool, &words))) {
        size_t len = strlen(word);
        for (const char *at = text; at && *at; at = ap_strchr_c(at, '\n')) {
            at += *at == '\n';
            if (!strncmp(at, word, len) && (at[len] == '\n' || !at[len])) {
                return 1;
            }
        }
    }
    return 0;
}

static authz_status check_group(request_rec *r, const char *words,
                                const void *parsed)
{
    cgwm_question question = {.kind = "groups", .user = r->user,
                              .function = functions_of(r)->groups};
    const char *text;
    int status;

    (void)parsed;
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    status = ask(r, &question, &text);
    if (status == ANSWER_YES) {
        return has_group(r, words, text) ? AUTHZ_GRANTED : AUTHZ_DENIED;
    }
    return status == ANSWER_UNKNOWN || status == ANSWER_NO ? AUTHZ_DENIED
                                                           : AUTHZ_GENERAL_ERROR;
}

static const char *parse_groups(cmd_parms *cmd, const char *words,
                                const void **parsed)
{
    (void)cmd;
    *parsed = NULL;
    while (apr_isspace(*words)) {
        words++;
    }
    return *words ? NULL : CGW_LOGNO(0138) "Require cgateway-group names no group. "
                           "Write the names of groups of the site's users.";
}

/* ---- hooks ------------------------------------------------------------------- */

static void child_init(apr_pool_t *p, server_rec *s)
{
    (void)s;
    cgwm_server_conf_get(ap_server_conf)->answers = cgwm_answers_create(p);
}

void cgwm_auth_register(apr_pool_t *p)
{
    static const authn_provider passwords = {check_password, NULL};
    static const authz_provider groups = {check_group, parse_groups};

    ap_register_auth_provider(p, AUTHN_PROVIDER_GROUP, "cgateway",
                              AUTHN_PROVIDER_VERSION, &passwords,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "cgateway-group",
                              AUTHZ_PROVIDER_VERSION, &groups,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}
