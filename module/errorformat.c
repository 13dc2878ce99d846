/* SPDX-License-Identifier: Apache-2.0 */

#include "errorformat.h"

#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"
#include "http_config.h"

/* The words of ErrorLogFormat, where it is not one of those about connections and
 * requests. */
static const char *format_of(const ap_directive_t *d, apr_pool_t *p)
{
    const char *args = d->args;
    const char *first = ap_getword_conf(p, &args);

    return *args ? NULL : first;
}

/* The last one counts. */
static const char *find_format(const ap_directive_t *d, apr_pool_t *p)
{
    const char *found = NULL, *here;

    for (; d; d = d->next) {
        if (apr_cstr_casecmp(d->directive, "ErrorLogFormat") == 0) {
            here = format_of(d, p);
            found = here ? here : found;
        }
    }
    return found;
}

/* The section of a virtual host: where it begins, httpd remembers. */
static const ap_directive_t *section_of(const server_rec *s)
{
    const ap_directive_t *d = s->is_virtual ? ap_conftree : NULL;

    while (d && (apr_cstr_casecmp(d->directive, "<VirtualHost") != 0 || !s->defn_name
                 || d->line_num != (int)s->defn_line_number
                 || strcmp(d->filename, s->defn_name) != 0)) {
        d = d->next;
    }
    return d;
}

const char *cgwm_errorformat_of(const server_rec *s, apr_pool_t *p)
{
    const ap_directive_t *section = section_of(s);
    const char *format = section ? find_format(section->first_child, p) : NULL;

    return format ? format : find_format(ap_conftree, p);
}
