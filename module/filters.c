/* SPDX-License-Identifier: Apache-2.0 */

#include "filters.h"

#include <string.h>

#include "util_filter.h"

/* Those that look at the head alone, by the names that httpd keeps. */
static const char *const bodiless[] = {
    "fixup_headers_out", "fixup_headers_err", /* mod_headers */
    "mod_expires", "rate_limit", "cache_save", "cache_remove_url", "old_write"};

static int needs_body(const ap_filter_t *filter)
{
    for (size_t i = 0; i < sizeof(bodiless) / sizeof(bodiless[0]); i++) {
        if (strcmp(filter->frec->name, bodiless[i]) == 0) {
            return 0;
        }
    }
    return 1;
}

/* Chains are in the order of the filters' types: content comes before protocol.
 * A subrequest's and the connection's filters are behind. */
static int is_content(const ap_filter_t *filter)
{
    return filter && filter->frec->ftype < AP_FTYPE_PROTOCOL;
}

int cgwm_filters_change_body(const request_rec *r)
{
    return is_content(r->input_filters);
}

int cgwm_filters_need_body(const request_rec *r)
{
    const ap_filter_t *filter = r->output_filters;

    if (!r->header_only || r->method_number != M_GET) {
        return 0;
    }
    while (is_content(filter) && !needs_body(filter)) {
        filter = filter->next;
    }
    return is_content(filter);
}
