/* SPDX-License-Identifier: Apache-2.0 */

#include "parse_head.h"

#include "apr_strings.h"

#include "cgw_header.h"
#include "cgw_wire.h"

/* 0 where the header is not one that may go to a client. */
static int read_header(cgwm_head *head, const struct cgw_pair *pair,
                       apr_pool_t *p)
{
    const char *value;

    if (cgw_header_name_check(pair->name, pair->name_len)
        || cgw_header_value_check(pair->value, pair->value_len)) {
        return 0;
    }
    value = apr_pstrmemdup(p, pair->value, pair->value_len);
    if (cgw_header_is(pair->name, pair->name_len, "Content-Type")) {
        head->type = value;
    }
    else if (!cgw_header_is(pair->name, pair->name_len, "Content-Length")) {
        apr_table_addn(head->headers,
                       apr_pstrmemdup(p, pair->name, pair->name_len), value);
    }
    return 1;
}

static int is_sound(const struct cgw_head *wire)
{
    return !cgw_header_value_check(wire->reason, wire->reason_len)
           && (wire->content_length == CGW_LENGTH_UNKNOWN
               || wire->content_length <= (uint64_t)INT64_MAX);
}

int cgwm_head_read(cgwm_head *head, const uint8_t *payload, size_t len,
                   apr_pool_t *p)
{
    struct cgw_head wire;
    struct cgw_pair pair;

    if (cgw_head_decode(&wire, payload, len) != CGW_WIRE_OK || !is_sound(&wire)) {
        return 0;
    }
    head->status = wire.status;
    head->line = apr_psprintf(p, "%03d %.*s", wire.status, (int)wire.reason_len,
                              wire.reason);
    head->length = wire.content_length;
    head->type = NULL;
    head->headers = apr_table_make(p, 8);
    for (size_t pos = wire.pairs; pos < len;) {
        if (cgw_pair_decode(&pair, payload, len, &pos) != CGW_WIRE_OK
            || !read_header(head, &pair, p)) {
            return 0;
        }
    }
    return 1;
}
