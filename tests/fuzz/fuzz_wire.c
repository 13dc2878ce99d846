/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions of the wire: whatever arrives, no decoder reads beyond it,
 * and what decodes also encodes to the same bytes. */

#include <stdlib.h>
#include <string.h>

#include "cgw_wire.h"

static void walk_pairs(const uint8_t *payload, size_t len, size_t pos,
                       struct cgw_buf *again)
{
    struct cgw_pair pair;

    while (pos < len
           && cgw_pair_decode(&pair, payload, len, &pos) == CGW_WIRE_OK) {
        cgw_put_pair(again, pair.id, pair.name, pair.name_len, pair.value,
                     pair.value_len);
    }
    if (again->failed || again->len > len
        || memcmp(again->data ? again->data : payload, payload, again->len)) {
        abort();
    }
}

static void walk_payload(uint8_t type, const uint8_t *payload, size_t len)
{
    struct cgw_buf again = {0};
    struct cgw_request req;
    struct cgw_head head;

    if (type == CGW_FRAME_REQUEST
        && cgw_request_decode(&req, payload, len) == CGW_WIRE_OK) {
        cgw_put_request(&again, &req);
        walk_pairs(payload, len, req.pairs, &again);
    }
    if ((type == CGW_FRAME_HEAD || type == CGW_FRAME_INTERIM)
        && cgw_head_decode(&head, payload, len) == CGW_WIRE_OK) {
        cgw_put_head(&again, &head);
        walk_pairs(payload, len, head.pairs, &again);
    }
    cgw_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum cgw_sender from;
    size_t pos = 1;

    if (size == 0) {
        return 0;
    }
    from = data[0] & 1 ? CGW_FROM_HTTPD : CGW_FROM_WORKER;
    while (pos < size) {
        struct cgw_frame frame;
        if (cgw_frame_decode(&frame, data + pos, size - pos, from)
            != CGW_WIRE_OK) {
            break;
        }
        pos += CGW_FRAME_HEADER_SIZE;
        if (frame.length > size - pos) {
            break;
        }
        walk_payload(frame.type, data + pos, frame.length);
        pos += frame.length;
    }
    return 0;
}
