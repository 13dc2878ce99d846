/* SPDX-License-Identifier: Apache-2.0 */

#include "variables.h"

#include <stdlib.h>

#include "apr_strings.h"

#include "ownfile.h"
#include "parse_env.h"

#define SETTINGS_VARIABLE "DJANGO_SETTINGS_MODULE"

typedef struct collector {
    cgwm_report *report;
    const cgwm_definition *def;
    cgw_spec *spec;
    apr_hash_t *variables;      /* name -> NAME=VALUE */
    apr_pool_t *p;
} collector;

static void put(collector *c, const char *assignment)
{
    apr_size_t len = strcspn(assignment, "=");

    apr_hash_set(c->variables, assignment, (apr_ssize_t)len, assignment);
}

static void take_passed(collector *c, const cgwm_word *name)
{
    const char *value = getenv(name->value);

    if (value) {
        put(c, apr_pstrcat(c->p, name->value, "=", value, NULL));
        return;
    }
    cgwm_report_warning(c->report, CGW_LOGNO(0052) "group %s: CGatewayPassEnv %s (%s): "
        "httpd's own environment has no such variable, so the workers will not have it "
        "either. Set it where httpd is started (on Debian /etc/apache2/envvars), or use "
        "CGatewayEnv.", c->spec->name, name->value, name->where);
}

/* What is in the file may be secret, and the group's own log is not: it is told less. */
static void lack_file(collector *c, const cgwm_word *file)
{
    c->spec->unready = apr_psprintf(c->p, "CGatewayEnvFile %s cannot be used; "
                                    "\"apachectl configtest\" tells why", file->value);
}

static void take_file(collector *c, const cgwm_word *word)
{
    apr_array_header_t *lines = apr_array_make(c->p, 16, sizeof(const char *));
    cgwm_ownfile file = {.path = word->value, .spec = c->spec};
    char *bytes = NULL;
    apr_size_t len = 0;
    int line;
    apr_status_t rv = cgwm_ownfile_read(&file, &bytes, &len, CGWM_ENV_FILE_MAX, c->p);
    const char *error;

    if (rv) {
        cgwm_report_absent(c->report, CGW_LOGNO(0050) "group %s: CGatewayEnvFile %s (%s) "
            "cannot be read: %s. %s", c->spec->name, word->value, word->where,
            cgwm_ownfile_explain(&file, rv, c->p), file.suspect
            ? "Let that user read the file, or keep it in a directory that root alone "
              "can change."
            : "Create the file, or correct the path; httpd reads it as the user who "
              "starts httpd.");
        lack_file(c, word);
        return;
    }
    error = cgwm_parse_env(bytes, len, lines, &line, c->p);
    if (error) {
        cgwm_report_absent(c->report, CGW_LOGNO(0051) "group %s: CGatewayEnvFile %s "
            "(%s): %s:%d: %s. Correct the line; docs/directives.md describes the format.",
            c->spec->name, word->value, word->where, word->value, line, error);
        lack_file(c, word);
        return;
    }
    for (int i = 0; i < lines->nelts; i++) {
        put(c, APR_ARRAY_IDX(lines, i, const char *));
    }
}

static void take_assignment(collector *c, const cgwm_word *word)
{
    static const char name[] = SETTINGS_VARIABLE "=";

    if (c->spec->settings && !strncmp(word->value, name, sizeof(name) - 1)) {
        cgwm_report_error(c->report, CGW_LOGNO(0053) "group %s: CGatewayEnv "
            SETTINGS_VARIABLE " (%s) says the same thing as %s. Remove one of the two.",
            c->spec->name, word->where,
            cgwm_definition_quote(c->def, CGWM_SETTINGS, c->p));
        return;
    }
    put(c, word->value);
}

static void take_each(collector *c, const apr_array_header_t *words,
                      void (*take)(collector *, const cgwm_word *))
{
    for (int i = 0; i < words->nelts; i++) {
        take(c, &APR_ARRAY_IDX(words, i, cgwm_word));
    }
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void cgwm_variables_resolve(cgwm_report *report, const cgwm_definition *def,
                            cgw_spec *spec, apr_pool_t *p)
{
    collector c = {report, def, spec, apr_hash_make(p), p};

    take_each(&c, def->pass_env, take_passed);
    take_each(&c, def->env_files, take_file);
    take_each(&c, def->env, take_assignment);
    if (spec->settings) {
        put(&c, apr_pstrcat(p, SETTINGS_VARIABLE "=", spec->settings, NULL));
    }
    spec->env = apr_array_make(p, 8, sizeof(const char *));
    for (apr_hash_index_t *i = apr_hash_first(p, c.variables); i;
         i = apr_hash_next(i)) {
        APR_ARRAY_PUSH(spec->env, const char *) = apr_hash_this_val(i);
    }
    qsort(spec->env->elts, (size_t)spec->env->nelts, sizeof(const char *),
          compare_strings);
}
