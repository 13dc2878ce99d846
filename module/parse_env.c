/* SPDX-License-Identifier: Apache-2.0 */

#include "parse_env.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdbool.h>
#include <string.h>

#include "parse.h"

static const char *skip_blanks(const char *at)
{
    while (apr_isspace(*at)) {
        at++;
    }
    return at;
}

/* Nothing but white space and a comment. */
static bool is_rest_empty(const char *at)
{
    at = skip_blanks(at);
    return *at == '\0' || *at == '#';
}

/* Ends at '#' behind white space; trailing white space goes. */
static const char *parse_bare(const char *at, char **value, apr_pool_t *p)
{
    const char *end = at;

    for (const char *c = at; *c; c++) {
        if (*c == '#' && (c == at || apr_isspace(c[-1]))) {
            break;
        }
        if (!apr_isspace(*c)) {
            end = c + 1;
        }
    }
    *value = apr_pstrmemdup(p, at, (apr_size_t)(end - at));
    return NULL;
}

/* The character that a backslash and c stand for, 0 where it is none. */
static char unescape(char c)
{
    switch (c) {
    case '"': case '\\': case '$': case '`':
        return c;
    case 'n':
        return '\n';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

static const char *parse_quoted(const char *at, char **value, apr_pool_t *p)
{
    char quote = *at++;
    char *out = *value = apr_palloc(p, strlen(at) + 1);

    for (; *at && *at != quote; at++) {
        if (quote == '"' && *at == '\\' && unescape(at[1])) {
            at++;
            *out++ = unescape(*at);
        }
        else {
            *out++ = *at;
        }
    }
    *out = '\0';
    if (*at != quote) {
        return apr_psprintf(p, "the closing %c is missing", quote);
    }
    if (!is_rest_empty(at + 1)) {
        return apr_psprintf(p, "there is text behind the closing %c", quote);
    }
    return NULL;
}

static const char *parse_value(const char *at, char **value, apr_pool_t *p)
{
    at = skip_blanks(at);
    if (*at == '"' || *at == '\'') {
        return parse_quoted(at, value, p);
    }
    return parse_bare(at, value, p);
}

static const char *skip_export(const char *at)
{
    if (!strncmp(at, "export", 6) && apr_isspace(at[6])) {
        return skip_blanks(at + 6);
    }
    return at;
}

static const char *parse_line(const char *at, apr_array_header_t *out,
                              apr_pool_t *p)
{
    const char *equals, *name, *error;
    char *value;

    if (is_rest_empty(at)) {
        return NULL;
    }
    at = skip_export(skip_blanks(at));
    equals = strchr(at, '=');
    if (!equals) {
        return "expected NAME=value";
    }
    name = apr_pstrmemdup(p, at, (apr_size_t)(equals - at));
    if (!cgwm_is_env_name(name)) {
        return apr_psprintf(p, "'%s' is not a variable name (letters, digits and "
                               "'_', not beginning with a digit)", name);
    }
    error = parse_value(equals + 1, &value, p);
    if (!error) {
        APR_ARRAY_PUSH(out, const char *) = apr_pstrcat(p, name, "=", value, NULL);
    }
    return error;
}

const char *cgwm_parse_env(const char *bytes, apr_size_t len,
                           apr_array_header_t *out, int *line, apr_pool_t *p)
{
    const char *end = bytes + len;
    const char *error = NULL;

    if (len >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3)) {
        bytes += 3;
    }
    for (*line = 1; bytes < end && !error; (*line)++) {
        const char *newline = memchr(bytes, '\n', (apr_size_t)(end - bytes));
        apr_size_t size = (apr_size_t)((newline ? newline : end) - bytes);

        if (memchr(bytes, '\0', size)) {
            error = "the line has a NUL byte";
        }
        else {
            error = parse_line(apr_pstrmemdup(p, bytes, size), out, p);
        }
        if (error) {
            return error;
        }
        bytes += size + 1;
    }
    return NULL;
}
