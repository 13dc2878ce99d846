/* SPDX-License-Identifier: Apache-2.0 */

/* The directives: each checks the words of one and writes them down; those of
 * locations do so in location.c. What needs more than the words (users, files,
 * other directives) is check.c's and group.c's. A returned text becomes httpd's
 * "Syntax error on line ... of ...". */

#include <stddef.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "cgw_log.h"
#include "definition.h"
#include "grouplog.h"
#include "limits.h"
#include "location.h"
#include "parse.h"

/* What CGatewayPrivateTmp On stands for. */
#define PRIVATE_TMP_SIZE ((int64_t)256 << 20)

/* One directive of a group, being set. */
typedef struct setting {
    cmd_parms *cmd;
    apr_pool_t *p;
    cgwm_definition *def;
    enum cgwm_field field;
    const char *name;       /* of the directive */
    const char *where;
    int argc;
    char *const *argv;
    int64_t *number;        /* its field of the spec, by type */
    const char **string;
    int64_t low, high;
} setting;

static const char *where(cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename,
                        cmd->directive->line_num);
}

static cgwm_server_conf *server_conf(cmd_parms *cmd)
{
    return cgwm_server_conf_get(cmd->server);
}

/* A path of the configuration: relative ones begin at ServerRoot. */
static const char *absolute(const char *name, const char *path, apr_pool_t *p,
                            const char **error)
{
    const char *file = *path ? ap_server_root_relative(p, path) : NULL;

    if (!file) {
        *error = apr_psprintf(p, CGW_LOGNO(0017) "%s '%s' is not a path that can "
            "be used. Write an absolute path, or one relative to ServerRoot.",
            name, path);
    }
    return file;
}

static void push_word(apr_array_header_t *words, const char *value,
                      const char *where)
{
    APR_ARRAY_PUSH(words, cgwm_word) = (cgwm_word){.value = value, .where = where};
}

/* ---- setters of group directives --------------------------------------- */

static const char *set_error_log(const setting *s)
{
    const char *error = NULL;

    if (s->argv[0][0] == '|' || strcmp(s->argv[0], CGWM_SYSLOG) == 0) {
        *s->string = s->argv[0];
        return s->argv[0][1] ? NULL : apr_psprintf(s->p, CGW_LOGNO(0195)
            "%s '|' names no program. Write the program behind the bar, or the path "
            "of a file, or syslog.", s->name);
    }
    *s->string = absolute(s->name, s->argv[0], s->p, &error);
    return error;
}

static const char *set_application(const setting *s)
{
    if (!cgwm_is_application(s->argv[0])) {
        return apr_psprintf(s->p, CGW_LOGNO(0005) "%s '%s' names no application. "
            "Write a module (shop.wsgi), a module and its application callable "
            "(shop.wsgi:application) or the path, with a '/', of a .wsgi file.",
            s->name, s->argv[0]);
    }
    *s->string = s->argv[0];
    return NULL;
}

static const char *set_settings(const setting *s)
{
    if (!cgwm_is_module_name(s->argv[0])) {
        return apr_psprintf(s->p, CGW_LOGNO(0006) "%s '%s' is not the name of a "
            "Python module. Write it as Python imports it, for example "
            "shop.settings, not as a path.", s->name, s->argv[0]);
    }
    *s->string = s->argv[0];
    return NULL;
}

static const char *set_file(const setting *s)
{
    const char *error = NULL;

    *s->string = absolute(s->name, s->argv[0], s->p, &error);
    return error;
}

static apr_array_header_t *paths_of(const setting *s)
{
    return s->field == CGWM_ALLOW_READ    ? s->def->allow_read
           : s->field == CGWM_ALLOW_WRITE ? s->def->allow_write : s->def->path;
}

static const char *set_path(const setting *s)
{
    apr_array_header_t *paths = paths_of(s);
    const char *error = NULL;

    for (int i = 0; i < s->argc && !error; i++) {
        push_word(paths, absolute(s->name, s->argv[i], s->p, &error),
                  s->where);
    }
    return error;
}

static const char *set_user(const setting *s)
{
    const char *colon = strchr(s->argv[0], ':');
    const char *user = s->argv[0];
    const char *group = s->argc > 1 ? s->argv[1] : NULL;

    if (colon && !group) {
        user = apr_pstrmemdup(s->p, user, (apr_size_t)(colon - user));
        group = colon + 1;
    }
    if (!*user || (group && !*group) || strchr(user, ':')) {
        return apr_psprintf(s->p, CGW_LOGNO(0008) "%s %s is not a user and a "
            "group. Write: %s user, %s user group, or user:group; #1000 stands "
            "for a number.", s->name, s->cmd->directive->args, s->name, s->name);
    }
    s->def->user = user;
    s->def->user_group = group;
    return NULL;
}

static const char *set_umask(const setting *s)
{
    if (!cgwm_parse_umask(s->argv[0], s->number)) {
        return apr_psprintf(s->p, CGW_LOGNO(0003) "%s '%s' is not an octal number "
            "from 0 to 0777. Write for example 027.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *bad_env_name(const setting *s, const char *name)
{
    const char *equals = strchr(name, '=');

    return apr_psprintf(s->p, CGW_LOGNO(0007) "%s '%s' is not the name of an "
        "environment variable (letters, digits and '_', not beginning with a "
        "digit).%s", s->name, name,
        equals ? " Write the name and the value as two words, without '='." : "");
}

static const char *set_env(const setting *s)
{
    if (!cgwm_is_env_name(s->argv[0])) {
        return bad_env_name(s, s->argv[0]);
    }
    push_word(s->def->env, apr_pstrcat(s->p, s->argv[0], "=",
                                       s->argc > 1 ? s->argv[1] : "", NULL),
              s->where);
    return NULL;
}

static const char *set_env_file(const setting *s)
{
    const char *error = NULL;

    push_word(s->def->env_files, absolute(s->name, s->argv[0], s->p, &error),
              s->where);
    return error;
}

static const char *set_pass_env(const setting *s)
{
    for (int i = 0; i < s->argc; i++) {
        if (!cgwm_is_env_name(s->argv[i])) {
            return bad_env_name(s, s->argv[i]);
        }
        push_word(s->def->pass_env, s->argv[i], s->where);
    }
    return NULL;
}

static const char *set_number(const setting *s)
{
    if (!cgwm_parse_int(s->argv[0], s->low, s->high, s->number)) {
        return apr_psprintf(s->p, CGW_LOGNO(0001) "%s '%s' is out of range. Write "
            "a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT ".",
            s->name, s->argv[0], (apr_int64_t)s->low, (apr_int64_t)s->high);
    }
    return NULL;
}

/* "4", or "2-8" */
static const char *set_processes(const setting *s)
{
    if (!cgwm_parse_range(s->argv[0], s->low, s->high, s->number,
                          &s->def->spec->processes_max)) {
        return apr_psprintf(s->p, CGW_LOGNO(0173) "%s '%s' is out of range. Write a "
            "whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT ", or the "
            "fewest and the most, with '-' between them, as 2-8.", s->name, s->argv[0],
            (apr_int64_t)s->low, (apr_int64_t)s->high);
    }
    return NULL;
}

static const char *set_duration(const setting *s)
{
    int64_t ms;

    if (!cgwm_parse_duration(s->argv[0], &ms) || ms < s->low || ms > s->high) {
        return apr_psprintf(s->p, CGW_LOGNO(0002) "%s '%s' is out of range. Write a "
            "time from %s to %s: seconds, or a number with ms, s, min or h.",
            s->name, s->argv[0], cgwm_format_duration(s->low, s->p),
            cgwm_format_duration(s->high, s->p));
    }
    *s->number = ms;
    return NULL;
}

static const char *set_duration_or_none(const setting *s)
{
    int64_t ms;

    if (!cgwm_parse_duration(s->argv[0], &ms)
        || (ms != 0 && (ms < s->low || ms > s->high))) {
        return apr_psprintf(s->p, CGW_LOGNO(0170) "%s '%s' is out of range. Write 0 "
            "for none, or a time from %s to %s: seconds, or a number with ms, s, min "
            "or h.", s->name, s->argv[0], cgwm_format_duration(s->low, s->p),
            cgwm_format_duration(s->high, s->p));
    }
    *s->number = ms;
    return NULL;
}

static const char *set_max_requests(const setting *s)
{
    int64_t *jitter = &s->def->spec->max_requests_jitter;

    *jitter = 0;
    if (!cgwm_parse_int(s->argv[0], s->low, s->high, s->number)
        || (s->argc > 1 && !cgwm_parse_int(s->argv[1], 0, *s->number, jitter))) {
        return apr_psprintf(s->p, CGW_LOGNO(0171) "%s %s is out of range. Write a "
            "number of requests, 0 (no limit) to %" APR_INT64_T_FMT ", and then, if "
            "processes are not to be replaced all at the same time, the most that is "
            "added to it at random, up to that number itself.", s->name,
            s->cmd->directive->args, (apr_int64_t)s->high);
    }
    return NULL;
}

static const char *set_max_memory(const setting *s)
{
    if (!cgwm_limits_set_memory(s->def->spec, s->argc, s->argv)) {
        return apr_psprintf(s->p, CGW_LOGNO(0065) "%s %s: write the size at which a "
            "process is replaced (0: none), then, if you like, a bigger one at which it "
            "is killed, then rss or pss; sizes in bytes or with K, M or G.", s->name,
            s->cmd->directive->args);
    }
    return NULL;
}

static const char *set_limit(const setting *s)
{
    if (!cgwm_limits_set_limit(s->def->spec, s->argc, s->argv)) {
        return apr_psprintf(s->p, CGW_LOGNO(0066) "%s %s: write one of %s, and then its "
            "soft and perhaps its hard limit: numbers, sizes with K, M or G, or "
            "unlimited; the hard one is not the lower one.", s->name,
            s->cmd->directive->args, cgwm_limits_names(s->p));
    }
    return NULL;
}

static const char *set_nice(const setting *s)
{
    if (!cgwm_limits_set_nice(s->def->spec, s->argv[0])) {
        return apr_psprintf(s->p, CGW_LOGNO(0067) "%s '%s' is out of range. Write a "
            "whole number from -20 (first) to 19 (last).", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *set_cpus(const setting *s)
{
    if (!cgwm_limits_set_cpus(s->def->spec, s->argv[0])) {
        return apr_psprintf(s->p, CGW_LOGNO(0068) "%s '%s' is not a list of processors. "
            "Write numbers and ranges with ',' between them, as 0-3,6.", s->name,
            s->argv[0]);
    }
    return NULL;
}

static const char *set_cgroup(const setting *s)
{
    if (!cgwm_limits_set_cgroup(s->def->spec, s->argv[0], s->argv[1])) {
        return apr_psprintf(s->p, CGW_LOGNO(0069) "%s %s: write one of %s, and its "
            "value: a size with K, M or G, a share of processors (150%%), a weight (1 to "
            "10000), a number, or max.", s->name, s->cmd->directive->args,
            cgwm_limits_cgroup_names(s->p));
    }
    return NULL;
}

/* The position of the directive's word in a NULL-terminated list. */
static bool choose(const setting *s, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (!apr_cstr_casecmp(s->argv[0], words[i])) {
            *s->number = i;
            return true;
        }
    }
    return false;
}

static const char *set_preload(const setting *s)
{
    static const char *const words[] = {
#define X(sym, name) [CGW_PRELOAD_##sym] = name,
        CGW_PRELOAD_TABLE(X)
#undef X
        NULL
    };

    if (!choose(s, words)) {
        return apr_psprintf(s->p, CGW_LOGNO(0172) "%s '%s' is neither auto (import "
            "the application once and fork the workers, where its import leaves no "
            "threads and sockets), nor on (always), nor off (each worker imports it). "
            "Write one of the three.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *set_start(const setting *s)
{
    static const char *const words[] = {"boot", "demand", NULL};

    if (!choose(s, words)) {
        return apr_psprintf(s->p, CGW_LOGNO(0174) "%s '%s' is neither boot (processes "
            "start with httpd) nor demand (the first request starts them). Write one of "
            "the two.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *set_reload(const setting *s)
{
    static const char *const words[] = {"changed", "always", NULL};

    if (!choose(s, words)) {
        return apr_psprintf(s->p, CGW_LOGNO(0014) "%s '%s' is neither always (a "
            "graceful restart reloads the application) nor changed (only when its "
            "configuration changed). Write one of the two.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *const off_on[] = {"Off", "On", NULL};

static const char *set_flag(const setting *s)
{
    if (!choose(s, off_on)) {
        return apr_psprintf(s->p, CGW_LOGNO(0018) "%s '%s' is neither On nor Off. Write "
            "one of the two.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *set_private_tmp(const setting *s)
{
    if (choose(s, off_on)) {
        *s->number *= PRIVATE_TMP_SIZE;
        return NULL;
    }
    if (!cgwm_parse_bytes(s->argv[0], s->number) || *s->number < s->low
        || *s->number > s->high) {
        return apr_psprintf(s->p, CGW_LOGNO(0071) "%s '%s' is neither On (up to %d MB), "
            "nor Off, nor a size from 1M to 1024G. Write for example 512M; it is the "
            "most memory that the files in the group's own /tmp take.", s->name,
            s->argv[0], (int)(PRIVATE_TMP_SIZE >> 20));
    }
    return NULL;
}

static const char *watch_file(const setting *s, const char *word)
{
    const char *error = NULL;

    if (!ap_strchr_c(word, '/')) {
        return apr_psprintf(s->p, CGW_LOGNO(0180) "%s '%s' is neither On, Off nor a "
            "file. Write the path, with a '/', of a file whose change reloads the "
            "application; On stands for the application's own file.", s->name, word);
    }
    push_word(s->def->watch, absolute(s->name, word, s->p, &error), s->where);
    return error;
}

/* Files stand in place of the application's own, unless On is said, too. */
static const char *set_watch(const setting *s)
{
    const char *error = NULL;
    int off = s->argc == 1 && !apr_cstr_casecmp(s->argv[0], "Off");

    if (off || (s->argc == 1 && !apr_cstr_casecmp(s->argv[0], "On"))) {
        s->def->watch_on = !off;
        if (off) {
            apr_array_clear(s->def->watch);
        }
    }
    else {
        for (int i = 0; i < s->argc && !error; i++) {
            error = watch_file(s, s->argv[i]);
        }
    }
    s->def->spec->watch_application = s->def->watch_on;
    return error;
}

/* ---- the dispatcher of group directives -------------------------------- */

typedef struct group_directive {
    enum cgwm_field field;
    const char *(*set)(const setting *s);
    int fewest, most;
    apr_size_t offset;
    int64_t low, high;
} group_directive;

static const group_directive group_directives[] = {
#define X(sym, name, setter, fewest, most, member, low, high, help)           \
    [CGWM_##sym] = {CGWM_##sym, set_##setter, fewest, most,                   \
                    offsetof(cgw_spec, member), low, high},
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
        conf->own = cgwm_definition_create(NULL, where(cmd), cmd->server, cmd->pool);
        conf->own->scope = cmd->directive->parent;
    }
    return conf->own;
}

/* httpd takes a '#' behind a directive for a word of it. A quoted one is meant. */
static int has_comment(const setting *s, int most)
{
    const char *args = s->cmd->directive->args;
    int quoted = strstr(args, "\"#\"") || strstr(args, "'#'");

    for (int i = 1; i < s->argc; i++) {
        const char *word = s->argv[i];
        if (word[0] == '#' && ((!word[1] && !quoted) || s->argc > most)) {
            return 1;
        }
    }
    return 0;
}

static const char *check_words(const setting *s, const group_directive *d)
{
    static const char *const amounts_of_one[] = {"one word", "one or two words",
                                                 "one to three words"};
    static const char *const amounts_of_two[] = {"", "two words", "two or three words"};
    const char *const *amounts = d->fewest == 2 ? amounts_of_two : amounts_of_one;
    const char *amount = d->most <= 3 ? amounts[d->most - 1] : "one word or more";

    if (has_comment(s, d->most)) {
        return apr_psprintf(s->p, CGW_LOGNO(0016) "%s %s: httpd has no comments behind "
            "a directive. Put the comment on a line of its own.", s->name,
            s->cmd->directive->args);
    }
    if (s->argc < d->fewest || s->argc > d->most) {
        return apr_psprintf(s->p, CGW_LOGNO(0012) "%s %s: takes %s, not %d. "
            "docs/directives.md shows an example; words with spaces need quotes.",
            s->name, s->cmd->directive->args,
            amount, s->argc);
    }
    return NULL;
}

static const char *set_group_directive(cmd_parms *cmd, void *dir, int argc,
                                       char *const argv[])
{
    const group_directive *d = cmd->info;
    int in_location = cmd->path != NULL;
    cgwm_definition *def = in_location ? NULL : definition_of(cmd);
    int64_t number = 0; /* of a location */
    void *value = in_location ? (void *)&number : (char *)def->spec + d->offset;
    setting s = {
        .cmd = cmd, .p = cmd->pool, .def = def, .field = d->field,
        .name = cgwm_field_name(d->field), .where = where(cmd), .argc = argc,
        .argv = argv, .number = value, .string = value, .low = d->low,
        .high = d->high,
    };
    const char *error = check_words(&s, d);

    if (!error) {
        error = d->set(&s);
    }
    if (!error && in_location) {
        cgwm_set_request_timeout(dir, number);
    }
    else if (!error) {
        cgwm_definition_add(def, d->field, cmd->directive->args, s.where);
    }
    /* cppcheck-suppress returnDanglingLifetime ; the text is in cmd->pool */
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
        cgwm_definition_create(name, where(cmd), cmd->server, cmd->pool);
    return ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
}

/* ---- directives of servers and locations ------------------------------- */

static const char *set_mount(cmd_parms *cmd, void *dir, const char *text,
                             const char *group)
{
    cgwm_mount mount = {.group_name = group, .where = where(cmd)};

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
    server_conf(cmd)->cgroup_parent = absolute("CGatewayCgroupParent", path, cmd->pool,
                                               &error);
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
    server_conf(cmd)->runtime_dir = absolute("CGatewayRuntimeDir", path, cmd->pool,
                                             &error);
    return error;
}

const command_rec cgwm_directives[] = {
#define X(sym, name, setter, fewest, most, member, low, high, help)           \
    AP_INIT_TAKE_ARGV(name, set_group_directive,                              \
                      (void *)&group_directives[CGWM_##sym],                  \
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
