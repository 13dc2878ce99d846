/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_spec.h"

#include <apr_errno.h>
#include <apr_sha1.h>
#include <apr_strings.h>
#include <string.h>

/*
 * Encoding, in host byte order (writer and reader are on one machine):
 *   u32 version, u32 size of all that follows,
 *   the numbers (i64 each), the strings, the lists
 * string: i32 length (-1: NULL) + bytes + NUL; list: u32 count + strings.
 */

cgw_spec *cgw_spec_create(apr_pool_t *p)
{
    cgw_spec *spec = apr_pcalloc(p, sizeof(*spec));

#define X(field, def) spec->field = (def);
    CGW_SPEC_NUMBERS(X)
#undef X
#define X(field) spec->field = apr_array_make(p, 4, sizeof(const char *));
    CGW_SPEC_LISTS(X)
#undef X
    return spec;
}

/* ---- encode ------------------------------------------------------------ */

static void put(apr_array_header_t *bytes, const void *data, apr_size_t n)
{
    const char *p = data;

    for (apr_size_t i = 0; i < n; i++) {
        APR_ARRAY_PUSH(bytes, char) = p[i];
    }
}

static void put_u32(apr_array_header_t *bytes, apr_uint32_t v)
{
    put(bytes, &v, sizeof(v));
}

static void put_string(apr_array_header_t *bytes, const char *s)
{
    apr_int32_t len = s ? (apr_int32_t)strlen(s) : -1;

    put(bytes, &len, sizeof(len));
    if (s) {
        put(bytes, s, (apr_size_t)len + 1);
    }
}

static void put_list(apr_array_header_t *bytes, const apr_array_header_t *list)
{
    put_u32(bytes, (apr_uint32_t)list->nelts);
    for (int i = 0; i < list->nelts; i++) {
        put_string(bytes, APR_ARRAY_IDX(list, i, const char *));
    }
}

void cgw_spec_encode(const cgw_spec *spec, apr_array_header_t *bytes)
{
    int start;
    apr_uint32_t size;

    put_u32(bytes, CGW_SPEC_VERSION);
    put_u32(bytes, 0);
    start = bytes->nelts;
#define X(field, def) put(bytes, &spec->field, sizeof(spec->field));
    CGW_SPEC_NUMBERS(X)
#undef X
#define X(field) put_string(bytes, spec->field);
    CGW_SPEC_STRINGS(X)
#undef X
#define X(field) put_list(bytes, spec->field);
    CGW_SPEC_LISTS(X)
#undef X
    size = (apr_uint32_t)(bytes->nelts - start);
    memcpy(bytes->elts + start - sizeof(size), &size, sizeof(size));
}

/* ---- decode ------------------------------------------------------------ */

typedef struct reader {
    const char *bytes;
    apr_size_t len, pos;
    int malformed;
    apr_pool_t *p;
} reader;

static void get(reader *r, void *out, apr_size_t n)
{
    if (r->malformed || r->len - r->pos < n) {
        r->malformed = 1;
        memset(out, 0, n);
        return;
    }
    memcpy(out, r->bytes + r->pos, n);
    r->pos += n;
}

static const char *get_string(reader *r)
{
    apr_int32_t len;
    const char *s;

    get(r, &len, sizeof(len));
    if (len == -1 && !r->malformed) {
        return NULL;
    }
    if (r->malformed || len < 0 || r->len - r->pos < (apr_size_t)len + 1
        || memchr(r->bytes + r->pos, 0, (apr_size_t)len + 1)
               != r->bytes + r->pos + len) {
        r->malformed = 1;
        return NULL;
    }
    s = apr_pstrmemdup(r->p, r->bytes + r->pos, (apr_size_t)len);
    r->pos += (apr_size_t)len + 1;
    return s;
}

static void get_list(reader *r, apr_array_header_t *list)
{
    apr_uint32_t count;

    get(r, &count, sizeof(count));
    for (apr_uint32_t i = 0; i < count && !r->malformed; i++) {
        const char *s = get_string(r);
        if (!s) {
            r->malformed = 1;
            return;
        }
        APR_ARRAY_PUSH(list, const char *) = s;
    }
}

apr_status_t cgw_spec_decode(cgw_spec **out, const char *bytes, apr_size_t len,
                             apr_size_t *pos, apr_pool_t *p)
{
    cgw_spec *spec = cgw_spec_create(p);
    apr_uint32_t version, size;
    reader r = {.bytes = bytes, .len = len, .pos = *pos, .p = p};

    if (*pos > len) {
        return APR_EINVAL;
    }
    get(&r, &version, sizeof(version));
    get(&r, &size, sizeof(size));
    if (r.malformed || version != CGW_SPEC_VERSION || size > len - r.pos) {
        return APR_EINVAL;
    }
    r.len = r.pos + size;
#define X(field, def) get(&r, &spec->field, sizeof(spec->field));
    CGW_SPEC_NUMBERS(X)
#undef X
#define X(field) spec->field = get_string(&r);
    CGW_SPEC_STRINGS(X)
#undef X
#define X(field) get_list(&r, spec->field);
    CGW_SPEC_LISTS(X)
#undef X
    if (r.malformed || r.pos != r.len) {
        return APR_EINVAL;
    }
    *pos = r.pos;
    *out = spec;
    return APR_SUCCESS;
}

const char *cgw_spec_digest(const cgw_spec *spec, apr_pool_t *p)
{
    static const char hex[] = "0123456789abcdef";
    apr_array_header_t *bytes = apr_array_make(p, 1024, sizeof(char));
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    char *text = apr_pcalloc(p, CGW_DIGEST_HEX + 1);
    apr_sha1_ctx_t ctx;

    cgw_spec_encode(spec, bytes);
    apr_sha1_init(&ctx);
    apr_sha1_update_binary(&ctx, (const unsigned char *)bytes->elts,
                           (unsigned int)bytes->nelts);
    apr_sha1_final(digest, &ctx);
    for (int i = 0; i < APR_SHA1_DIGESTSIZE; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    return text;
}
