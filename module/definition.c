/* SPDX-License-Identifier: Apache-2.0 */

#include "definition.h"

#include <stdbool.h>
#include <stddef.h>

#include "apr_strings.h"

enum kind { NUMBER, STRING, LIST };

/* What the table's X says of a field, for looking it up. */
static const struct field {
    const char *name;
    enum kind kind;
    apr_size_t offset;
} fields[] = {
#define MEMBER_KIND(member)                                                   \
    _Generic(((cgw_spec *)0)->member, int64_t: NUMBER, const char *: STRING,  \
             apr_array_header_t *: LIST)
#define X(sym, name, setter, fewest, most, member, ...)                       \
    [CGWM_##sym] = {name, MEMBER_KIND(member), offsetof(cgw_spec, member)},
    CGWM_GROUP_TABLE(X)
#undef X
};

cgwm_definition *cgwm_definition_create(const char *name, const char *where,
                                        server_rec *server, apr_pool_t *p)
{
    cgwm_definition *def = apr_pcalloc(p, sizeof(*def));

    def->name = name;
    def->where = where;
    def->server = server;
    def->spec = cgw_spec_create(p);
    def->statements = apr_array_make(p, 8, sizeof(cgwm_statement));
    def->path = apr_array_make(p, 2, sizeof(cgwm_word));
    def->env = apr_array_make(p, 4, sizeof(cgwm_word));
    def->env_files = apr_array_make(p, 1, sizeof(cgwm_word));
    def->pass_env = apr_array_make(p, 1, sizeof(cgwm_word));
    def->watch = apr_array_make(p, 1, sizeof(cgwm_word));
    def->allow_read = apr_array_make(p, 1, sizeof(cgwm_word));
    def->allow_write = apr_array_make(p, 1, sizeof(cgwm_word));
    return def;
}

void cgwm_definition_add(cgwm_definition *def, enum cgwm_field field,
                         const char *text, const char *where)
{
    APR_ARRAY_PUSH(def->statements, cgwm_statement) =
        (cgwm_statement){.field = field, .text = text, .where = where};
}

const cgwm_statement *cgwm_definition_last(const cgwm_definition *def,
                                           enum cgwm_field field)
{
    for (int i = def->statements->nelts - 1; i >= 0; i--) {
        const cgwm_statement *s = &APR_ARRAY_IDX(def->statements, i, cgwm_statement);
        if (s->field == field) {
            return s;
        }
    }
    return NULL;
}

const char *cgwm_field_name(enum cgwm_field field)
{
    return fields[field].name;
}

int cgwm_is_group_directive(const char *name)
{
    for (int i = 0; i < CGWM_FIELD_COUNT; i++) {
        if (!ap_cstr_casecmp(name, fields[i].name)) {
            return 1;
        }
    }
    return 0;
}

/* ---- difference -------------------------------------------------------- */

static bool same_string(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool same_list(const apr_array_header_t *a, const apr_array_header_t *b)
{
    if (a->nelts != b->nelts) {
        return false;
    }
    for (int i = 0; i < a->nelts; i++) {
        if (!same_string(APR_ARRAY_IDX(a, i, const char *),
                         APR_ARRAY_IDX(b, i, const char *))) {
            return false;
        }
    }
    return true;
}

/* Directives of two values, the second of which, a number, the table does not
 * name. */
static const struct second {
    enum cgwm_field field;
    apr_size_t offset;
} seconds[] = {
    {CGWM_USER, offsetof(cgw_spec, gid)},
    {CGWM_PROCESSES, offsetof(cgw_spec, processes_max)},
    {CGWM_MAX_MEMORY, offsetof(cgw_spec, max_memory_hard)},
    {CGWM_MAX_MEMORY, offsetof(cgw_spec, max_memory_pss)},
    {CGWM_MAX_REQUESTS, offsetof(cgw_spec, max_requests_jitter)},
    {CGWM_WATCH, offsetof(cgw_spec, watch_application)},
};

static int64_t number_at(const cgw_spec *spec, apr_size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)spec + offset);
}

static bool same_second(enum cgwm_field field, const cgw_spec *a, const cgw_spec *b)
{
    for (apr_size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        if (seconds[i].field == field
            && number_at(a, seconds[i].offset) != number_at(b, seconds[i].offset)) {
            return false;
        }
    }
    return true;
}

static bool same_value(enum cgwm_field field, const cgw_spec *a, const cgw_spec *b)
{
    const void *va = (const char *)a + fields[field].offset;
    const void *vb = (const char *)b + fields[field].offset;

    if (!same_second(field, a, b)) {
        return false;
    }
    switch (fields[field].kind) {
    case NUMBER:
        return number_at(a, fields[field].offset) == number_at(b, fields[field].offset);
    case STRING:
        return same_string(*(const char *const *)va, *(const char *const *)vb);
    default:
        return same_list(*(apr_array_header_t *const *)va,
                         *(apr_array_header_t *const *)vb);
    }
}

/* The n-th statement (from 0) of a directive, or NULL. */
static const cgwm_statement *nth_statement(const cgwm_definition *def,
                                           enum cgwm_field field, int n)
{
    for (int i = 0; i < def->statements->nelts; i++) {
        const cgwm_statement *s = &APR_ARRAY_IDX(def->statements, i, cgwm_statement);
        if (s->field == field && n-- == 0) {
            return s;
        }
    }
    return NULL;
}

static const char *describe(const cgwm_definition *def, enum cgwm_field field,
                            const cgwm_statement *s, apr_pool_t *p)
{
    if (!s) {
        return apr_psprintf(p, "no %s%s (%s)",
                            cgwm_definition_last(def, field) ? "other " : "",
                            fields[field].name, def->where);
    }
    return apr_psprintf(p, "%s %s (%s)", fields[field].name, s->text, s->where);
}

const char *cgwm_definition_quote(const cgwm_definition *def,
                                  enum cgwm_field field, apr_pool_t *p)
{
    return describe(def, field, cgwm_definition_last(def, field), p);
}

/* The first pair of statements of one directive that read differently, or
 * NULL where all read alike. */
static const char *written_difference(const cgwm_definition *da,
                                      const cgwm_definition *db,
                                      enum cgwm_field field, apr_pool_t *p)
{
    for (int n = 0;; n++) {
        const cgwm_statement *a = nth_statement(da, field, n);
        const cgwm_statement *b = nth_statement(db, field, n);

        if (!a && !b) {
            return NULL;
        }
        if (!a || !b || !same_string(a->text, b->text)) {
            return apr_psprintf(p, "%s against %s", describe(da, field, a, p),
                                describe(db, field, b, p));
        }
    }
}

const char *cgwm_definition_difference(const cgwm_definition *da,
                                       const cgw_spec *a,
                                       const cgwm_definition *db,
                                       const cgw_spec *b, apr_pool_t *p)
{
    for (int field = 0; field < CGWM_FIELD_COUNT; field++) {
        const char *text = same_value(field, a, b)
                               ? NULL : written_difference(da, db, field, p);
        if (text) {
            return text;
        }
    }
    return apr_psprintf(p, "%s against %s", da->where, db->where);
}
