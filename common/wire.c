/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_wire.h"

#include <stdlib.h>
#include <string.h>

/* ---- integers ---------------------------------------------------------- */

uint16_t cgw_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t cgw_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16
           | (uint32_t)p[3] << 24;
}

uint64_t cgw_get_u64(const uint8_t *p)
{
    return (uint64_t)cgw_get_u32(p) | (uint64_t)cgw_get_u32(p + 4) << 32;
}

static void store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* ---- tables ------------------------------------------------------------ */

struct frame_rule {
    uint8_t type;
    uint8_t senders;
    uint32_t longest;
};

static const struct frame_rule frame_rules[] = {
#define X(sym, value, sender, longest) {value, CGW_FROM_##sender, longest},
    CGW_FRAME_TABLE(X)
#undef X
};

static const struct frame_rule *find_rule(uint8_t type)
{
    for (size_t i = 0; i < sizeof(frame_rules) / sizeof(frame_rules[0]); i++) {
        if (frame_rules[i].type == type) {
            return &frame_rules[i];
        }
    }
    return NULL;
}

uint32_t cgw_frame_longest(uint8_t type)
{
    const struct frame_rule *rule = find_rule(type);

    return rule ? rule->longest : 0;
}

static const char *const key_names[] = {
    NULL,
#define X(name) #name,
    CGW_KEY_TABLE(X)
#undef X
};

const char *cgw_key_name(unsigned id)
{
    return id > 0 && id < CGW_KEY_COUNT ? key_names[id] : NULL;
}

int cgw_fail_status(unsigned kind)
{
    switch (kind) {
#define X(sym, value, status, name) case value: return status;
    CGW_FAIL_TABLE(X)
#undef X
    default: return 502;
    }
}

const char *cgw_fail_name(unsigned kind)
{
    switch (kind) {
#define X(sym, value, status, name) case value: return name;
    CGW_FAIL_TABLE(X)
#undef X
    default: return "unknown failure";
    }
}

const char *cgw_wire_strerror(enum cgw_wire_status status)
{
    switch (status) {
    case CGW_WIRE_OK: return "success";
    case CGW_WIRE_MORE: return "incomplete frame";
    case CGW_WIRE_TYPE: return "frame of an unknown or forbidden type";
    case CGW_WIRE_FLAGS: return "unknown flag";
    case CGW_WIRE_LENGTH: return "length out of bounds";
    case CGW_WIRE_VERSION_UNKNOWN: return "unknown wire version";
    case CGW_WIRE_VALUE: return "value out of range";
    }
    return "unknown status";
}

/* ---- frames ------------------------------------------------------------ */

static int may_be_last(uint8_t type)
{
    return type == CGW_FRAME_REQUEST || type == CGW_FRAME_BODY
           || type == CGW_FRAME_HEAD || type == CGW_FRAME_FILE;
}

enum cgw_wire_status cgw_frame_decode(struct cgw_frame *out,
                                      const uint8_t *bytes, size_t len,
                                      enum cgw_sender from)
{
    if (len < CGW_FRAME_HEADER_SIZE) {
        return CGW_WIRE_MORE;
    }
    const struct frame_rule *rule = find_rule(bytes[0]);
    if (!rule || !(rule->senders & from)) {
        return CGW_WIRE_TYPE;
    }
    if ((bytes[1] & ~CGW_FRAME_LAST) || cgw_get_u16(bytes + 2) != 0
        || (bytes[1] && !may_be_last(bytes[0]))) {
        return CGW_WIRE_FLAGS;
    }
    out->type = bytes[0];
    out->flags = bytes[1];
    out->length = cgw_get_u32(bytes + 4);
    return out->length <= rule->longest ? CGW_WIRE_OK : CGW_WIRE_LENGTH;
}

void cgw_frame_encode(uint8_t *bytes, uint8_t type, uint8_t flags,
                      uint32_t length)
{
    bytes[0] = type;
    bytes[1] = flags;
    bytes[2] = bytes[3] = 0;
    store_u32(bytes + 4, length);
}

/* Takes n bytes at *pos, or NULL where there are fewer. */
static const uint8_t *take(const uint8_t *payload, size_t len, size_t *pos,
                           size_t n)
{
    if (len - *pos < n) {
        return NULL;
    }
    const uint8_t *p = payload + *pos;
    *pos += n;
    return p;
}

enum cgw_wire_status cgw_pair_decode(struct cgw_pair *out,
                                     const uint8_t *payload, size_t len,
                                     size_t *pos)
{
    size_t at = *pos;
    const uint8_t *p = at <= len ? take(payload, len, &at, 1) : NULL;

    if (!p) {
        return CGW_WIRE_LENGTH;
    }
    out->id = *p;
    if (out->id == CGW_KEY_LITERAL) {
        if (!(p = take(payload, len, &at, 2))) {
            return CGW_WIRE_LENGTH;
        }
        out->name_len = cgw_get_u16(p);
        if (!(p = take(payload, len, &at, out->name_len))) {
            return CGW_WIRE_LENGTH;
        }
        out->name = (const char *)p;
    }
    else if (out->id < CGW_KEY_COUNT) {
        out->name = key_names[out->id];
        out->name_len = strlen(out->name);
    }
    else {
        return CGW_WIRE_VALUE;
    }
    if (!(p = take(payload, len, &at, 4))) {
        return CGW_WIRE_LENGTH;
    }
    out->value_len = cgw_get_u32(p);
    if (!(p = take(payload, len, &at, out->value_len))) {
        return CGW_WIRE_LENGTH;
    }
    out->value = (const char *)p;
    *pos = at;
    return CGW_WIRE_OK;
}

enum cgw_wire_status cgw_request_decode(struct cgw_request *out,
                                        const uint8_t *payload, size_t len)
{
    if (len < CGW_REQUEST_FIXED) {
        return CGW_WIRE_LENGTH;
    }
    if (cgw_get_u16(payload) != CGW_WIRE_VERSION) {
        return CGW_WIRE_VERSION_UNKNOWN;
    }
    out->flags = cgw_get_u16(payload + 2);
    out->deadline_ms = cgw_get_u32(payload + 4);
    out->id = cgw_get_u64(payload + 8);
    out->sent_us = cgw_get_u64(payload + 16);
    out->queue_ms = cgw_get_u32(payload + 24);
    out->pairs = CGW_REQUEST_FIXED;
    return CGW_WIRE_OK;
}

enum cgw_wire_status cgw_head_decode(struct cgw_head *out,
                                     const uint8_t *payload, size_t len)
{
    if (len < CGW_HEAD_FIXED) {
        return CGW_WIRE_LENGTH;
    }
    out->status = cgw_get_u16(payload);
    out->reason_len = cgw_get_u16(payload + 2);
    out->content_length = cgw_get_u64(payload + 4);
    if (out->status < 100 || out->status > 999) {
        return CGW_WIRE_VALUE;
    }
    if (out->reason_len > len - CGW_HEAD_FIXED) {
        return CGW_WIRE_LENGTH;
    }
    out->reason = (const char *)payload + CGW_HEAD_FIXED;
    out->pairs = CGW_HEAD_FIXED + out->reason_len;
    return CGW_WIRE_OK;
}

/* ---- writing ----------------------------------------------------------- */

void cgw_buf_free(struct cgw_buf *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

uint8_t *cgw_buf_reserve(struct cgw_buf *buf, size_t n)
{
    if (buf->failed || n > SIZE_MAX / 4) {
        buf->failed = 1;
        return NULL;
    }
    if (!buf->data || buf->cap - buf->len < n) {
        size_t cap = buf->cap ? buf->cap : 1024;
        while (cap - buf->len < n) {
            cap *= 2;
        }
        uint8_t *data = realloc(buf->data, cap);
        if (!data) {
            buf->failed = 1;
            return NULL;
        }
        buf->data = data;
        buf->cap = cap;
    }
    return buf->data + buf->len;
}

void cgw_buf_put(struct cgw_buf *buf, const void *bytes, size_t n)
{
    uint8_t *p = cgw_buf_reserve(buf, n);

    if (p && n) {
        memcpy(p, bytes, n);
        buf->len += n;
    }
}

void cgw_put_u16(struct cgw_buf *buf, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

    cgw_buf_put(buf, b, sizeof(b));
}

void cgw_put_u32(struct cgw_buf *buf, uint32_t v)
{
    uint8_t b[4];

    store_u32(b, v);
    cgw_buf_put(buf, b, sizeof(b));
}

void cgw_put_u64(struct cgw_buf *buf, uint64_t v)
{
    cgw_put_u32(buf, (uint32_t)v);
    cgw_put_u32(buf, (uint32_t)(v >> 32));
}

void cgw_put_pair(struct cgw_buf *buf, unsigned id, const char *name,
                  size_t name_len, const char *value, size_t value_len)
{
    if (id >= CGW_KEY_COUNT || value_len > UINT32_MAX
        || (id == CGW_KEY_LITERAL && name_len > UINT16_MAX)) {
        buf->failed = 1;
        return;
    }
    size_t literal = id == CGW_KEY_LITERAL ? 2 + name_len : 0;
    uint8_t *p = cgw_buf_reserve(buf, 1 + literal + 4 + value_len);
    if (!p) {
        return;
    }
    *p++ = (uint8_t)id;
    if (literal) {
        *p++ = (uint8_t)name_len;
        *p++ = (uint8_t)(name_len >> 8);
        memcpy(p, name, name_len);
        p += name_len;
    }
    store_u32(p, (uint32_t)value_len);
    if (value_len) {
        memcpy(p + 4, value, value_len);
    }
    buf->len += 1 + literal + 4 + value_len;
}

size_t cgw_frame_open(struct cgw_buf *buf, uint8_t type, uint8_t flags)
{
    size_t start = buf->len;
    uint8_t header[CGW_FRAME_HEADER_SIZE];

    cgw_frame_encode(header, type, flags, 0);
    cgw_buf_put(buf, header, sizeof(header));
    return start;
}

void cgw_frame_close(struct cgw_buf *buf, size_t start)
{
    if (buf->failed) {
        return;
    }
    size_t length = buf->len - start - CGW_FRAME_HEADER_SIZE;
    const struct frame_rule *rule = find_rule(buf->data[start]);
    if (!rule || length > rule->longest) {
        buf->failed = 1;
        return;
    }
    store_u32(buf->data + start + 4, (uint32_t)length);
}

void cgw_put_request(struct cgw_buf *buf, const struct cgw_request *req)
{
    cgw_put_u16(buf, CGW_WIRE_VERSION);
    cgw_put_u16(buf, req->flags);
    cgw_put_u32(buf, req->deadline_ms);
    cgw_put_u64(buf, req->id);
    cgw_put_u64(buf, req->sent_us);
    cgw_put_u32(buf, req->queue_ms);
}

void cgw_put_head(struct cgw_buf *buf, const struct cgw_head *head)
{
    if (head->reason_len > UINT16_MAX) {
        buf->failed = 1;
        return;
    }
    cgw_put_u16(buf, head->status);
    cgw_put_u16(buf, (uint16_t)head->reason_len);
    cgw_put_u64(buf, head->content_length);
    cgw_buf_put(buf, head->reason, head->reason_len);
}
