/* SPDX-License-Identifier: Apache-2.0 */

#include "settings.h"

#include <stddef.h>
#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "cgw_log.h"
#include "limits.h"
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

const char *cgwm_setting_path(const char *name, const char *path, apr_pool_t *p,
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

const char *cgwm_where(const cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename,
                        cmd->directive->line_num);
}

static void push_word(apr_array_header_t *words, const char *value,
                      const char *where)
{
    APR_ARRAY_PUSH(words, cgwm_word) = (cgwm_word){.value = value, .where = where};
}

/* ---- one setter for each kind of directive ------------------------------- */

static const char *set_syslog(const setting *s)
{
    int64_t facility;
    const char *tag;

    if (!cgwm_parse_syslog(s->argv[0], &facility, &tag)) {
        return apr_psprintf(s->p, CGW_LOGNO(0197) "%s %s: syslog has no such facility. "
            "Write syslog, syslog:facility or syslog:facility:tag with one of %s.",
            s->name, s->argv[0], cgwm_facility_names(s->p));
    }
    *s->string = s->argv[0];
    return NULL;
}

static const char *set_error_log(const setting *s)
{
    const char *error = NULL;

    if (cgwm_is_syslog(s->argv[0])) {
        return set_syslog(s);
    }
    if (s->argv[0][0] == '|') {
        *s->string = s->argv[0];
        return s->argv[0][1] ? NULL : apr_psprintf(s->p, CGW_LOGNO(0195)
            "%s '|' names no program. Write the program behind the bar, or the path "
            "of a file, or syslog.", s->name);
    }
    *s->string = cgwm_setting_path(s->name, s->argv[0], s->p, &error);
    return error;
}

static const char *set_application(const setting *s)
{
    if (!cgwm_is_application(s->argv[0])) {
        return apr_psprintf(s->p, CGW_LOGNO(0005) "%s '%s' names no application. "
            "Write a module (shop.wsgi), a module and its application callable "
            "(shop.wsgi:application) or the path, with a '/', of a .wsgi file. A "
            "function that makes the application is called in such a file.",
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

    *s->string = cgwm_setting_path(s->name, s->argv[0], s->p, &error);
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
        push_word(paths, cgwm_setting_path(s->name, s->argv[i], s->p, &error),
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

    push_word(s->def->env_files, cgwm_setting_path(s->name, s->argv[0], s->p, &error),
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

static const char *set_flag(const setting *s)
{
    if (!cgwm_parse_flag(s->argv[0], s->number)) {
        return apr_psprintf(s->p, CGW_LOGNO(0018) "%s '%s' is neither On nor Off. Write "
            "one of the two.", s->name, s->argv[0]);
    }
    return NULL;
}

static const char *set_private_tmp(const setting *s)
{
    if (cgwm_parse_flag(s->argv[0], s->number)) {
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
    push_word(s->def->watch, cgwm_setting_path(s->name, word, s->p, &error), s->where);
    return error;
}

/* Files stand in place of the application's own, unless On is said, too. */
static const char *set_watch(const setting *s)
{
    const char *error = NULL;
    int64_t on;

    if (s->argc == 1 && cgwm_parse_flag(s->argv[0], &on)) {
        s->def->watch_on = (int)on;
        if (!on) {
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

/* ---- the directive that is set --------------------------------------------- */

typedef struct setting_kind {
    enum cgwm_field field;
    const char *(*set)(const setting *s);
    int fewest, most;
    apr_size_t offset;
    int64_t low, high;
} setting_kind;

static const setting_kind kinds[] = {
#define X(sym, name, setter, fewest, most, member, low, high, help)           \
    [CGWM_##sym] = {CGWM_##sym, set_##setter, fewest, most,                   \
                    offsetof(cgw_spec, member), low, high},
    CGWM_GROUP_TABLE(X)
#undef X
};

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

static const char *check_words(const setting *s, const setting_kind *d)
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

const char *cgwm_setting_set(cmd_parms *cmd, enum cgwm_field field,
                             cgwm_definition *def, int64_t *number, int argc,
                             char *const argv[])
{
    const setting_kind *kind = &kinds[field];
    void *value = def ? (char *)def->spec + kind->offset : (void *)number;
    const setting s = {
        .cmd = cmd, .p = cmd->pool, .def = def, .field = field,
        .name = cgwm_field_name(field), .where = cgwm_where(cmd), .argc = argc,
        .argv = argv, .number = value, .string = value, .low = kind->low,
        .high = kind->high,
    };
    const char *error = check_words(&s, kind);

    if (!error) {
        error = kind->set(&s);
    }
    if (!error && def) {
        cgwm_definition_add(def, field, cmd->directive->args, s.where);
    }
    /* cppcheck-suppress returnDanglingLifetime ; the text is in cmd->pool */
    return error;
}
