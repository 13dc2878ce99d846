/* SPDX-License-Identifier: Apache-2.0 */

#include "variables.h"

#include <stdlib.h>

#include "apr_file_io.h"
#include "apr_strings.h"

#include "parse_env.h"

#define SETTINGS_VARIABLE "DJANGO_SETTINGS_MODULE"

typedef struct collector {
    cgwm_report *report;
    const cgwm_definition *def;
    const cgw_spec *spec;
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

static apr_status_t read_file(const char *path, char **bytes, apr_size_t *len,
                              apr_pool_t *p)
{
    apr_file_t *file;
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, path, APR_FINFO_TYPE | APR_FINFO_SIZE, p);

    rv = APR_STATUS_IS_INCOMPLETE(rv) ? APR_SUCCESS : rv;
    /* before the open, which would wait for the writer of a pipe */
    if (!rv && (info.filetype != APR_REG || info.size > CGWM_ENV_FILE_MAX)) {
        rv = info.filetype != APR_REG ? APR_EINVAL : APR_ENOSPC;
    }
    if (!rv) {
        rv = apr_file_open(&file, path, APR_FOPEN_READ, APR_OS_DEFAULT, p);
    }
    if (rv) {
        return rv;
    }
    *bytes = apr_palloc(p, (apr_size_t)info.size + 1);
    rv = apr_file_read_full(file, *bytes, (apr_size_t)info.size, len);
    rv = APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv;
    apr_file_close(file);
    return rv;
}

static const char *explain(apr_status_t rv, apr_pool_t *p)
{
    char text[120];

    if (rv == APR_EINVAL) {
        return "it is not a regular file";
    }
    if (rv == APR_ENOSPC) {
        return apr_psprintf(p, "it is longer than %d bytes", CGWM_ENV_FILE_MAX);
    }
    return apr_pstrdup(p, apr_strerror(rv, text, sizeof(text)));
}

static void take_file(collector *c, const cgwm_word *file)
{
    apr_array_header_t *lines = apr_array_make(c->p, 16, sizeof(const char *));
    char *bytes = NULL;
    apr_size_t len = 0;
    int line;
    apr_status_t rv = read_file(file->value, &bytes, &len, c->p);
    const char *error;

    if (rv) {
        cgwm_report_absent(c->report, CGW_LOGNO(0050) "group %s: CGatewayEnvFile %s (%s) "
            "cannot be read: %s. Create the file, or correct the path; httpd reads it as "
            "the user who starts httpd.", c->spec->name, file->value, file->where,
            explain(rv, c->p));
        return;
    }
    error = cgwm_parse_env(bytes, len, lines, &line, c->p);
    if (error) {
        cgwm_report_absent(c->report, CGW_LOGNO(0051) "group %s: CGatewayEnvFile %s "
            "(%s): %s:%d: %s. Correct the line; docs/directives.md describes the format.",
            c->spec->name, file->value, file->where, file->value, line, error);
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
