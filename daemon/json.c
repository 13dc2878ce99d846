/* SPDX-License-Identifier: Apache-2.0 */

#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(cgwd_json *json, const char *bytes, size_t len)
{
    if (json->most && json->buf.len + len > json->most) {
        json->buf.failed = 1;
    }
    cgw_buf_put(&json->buf, bytes, len);
}

static void put_string(cgwd_json *json, const char *text)
{
    put(json, text, strlen(text));
}

/* ---- texts ----------------------------------------------------------------- */

/* Length of the UTF-8 sequence at s (RFC 3629: no overlong forms, surrogates or
 * values above U+10FFFF), 0 where there is none. */
static size_t sequence_length(const unsigned char *s, size_t len)
{
    static const struct {
        unsigned char first, last, low, high; /* of the second byte */
        size_t len;
    } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
                 {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
                 {0xf4, 0xf4, 0x80, 0x8f, 4}};
    size_t form = 0;

    while (form < sizeof(forms) / sizeof(forms[0])
           && (s[0] < forms[form].first || s[0] > forms[form].last)) {
        form++;
    }
    if (form == sizeof(forms) / sizeof(forms[0]) || forms[form].len > len) {
        return 0;
    }
    if (forms[form].len > 1
        && (s[1] < forms[form].low || s[1] > forms[form].high)) {
        return 0;
    }
    for (size_t i = 2; i < forms[form].len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return forms[form].len;
}

static void put_escape(cgwd_json *json, unsigned char c)
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt";
    char escape[8];

    for (size_t i = 0; letters[i]; i += 2) {
        if ((unsigned char)letters[i] == c) {
            snprintf(escape, sizeof(escape), "\\%c", letters[i + 1]);
            put_string(json, escape);
            return;
        }
    }
    snprintf(escape, sizeof(escape), "\\u%04x", c);
    put_string(json, escape);
}

static void put_quoted(cgwd_json *json, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n;

    put_string(json, "\"");
    for (size_t i = 0; i < len; i += n) {
        n = sequence_length(s + i, len - i);
        if (n == 0) {
            put_string(json, "\xef\xbf\xbd");
            n = 1;
        }
        else if (n == 1 && (s[i] < 0x20 || s[i] == 0x7f || s[i] == '"'
                            || s[i] == '\\')) {
            put_escape(json, s[i]);
        }
        else {
            put(json, text + i, n);
        }
    }
    put_string(json, "\"");
}

/* ---- values ---------------------------------------------------------------- */

static void begin_value(cgwd_json *json, const char *key)
{
    if (json->comma) {
        put_string(json, ",");
    }
    if (key) {
        put_quoted(json, key, strlen(key));
        put_string(json, ":");
    }
    json->comma = 1;
}

static void begin(cgwd_json *json, const char *key, const char *bracket)
{
    begin_value(json, key);
    put_string(json, bracket);
    json->comma = 0;
}

static void end(cgwd_json *json, const char *bracket)
{
    put_string(json, bracket);
    json->comma = 1;
}

void cgwd_json_object(cgwd_json *json, const char *key)
{
    begin(json, key, "{");
}

void cgwd_json_object_end(cgwd_json *json)
{
    end(json, "}");
}

void cgwd_json_array(cgwd_json *json, const char *key)
{
    begin(json, key, "[");
}

void cgwd_json_array_end(cgwd_json *json)
{
    end(json, "]");
}

void cgwd_json_text(cgwd_json *json, const char *key, const char *bytes,
                    size_t len)
{
    begin_value(json, key);
    put_quoted(json, bytes, len);
}

void cgwd_json_null(cgwd_json *json, const char *key)
{
    begin_value(json, key);
    put_string(json, "null");
}

void cgwd_json_string(cgwd_json *json, const char *key, const char *value)
{
    if (value) {
        cgwd_json_text(json, key, value, strlen(value));
    }
    else {
        cgwd_json_null(json, key);
    }
}

void cgwd_json_number(cgwd_json *json, const char *key, int64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRId64, value);
    begin_value(json, key);
    put_string(json, digits);
}

void cgwd_json_bool(cgwd_json *json, const char *key, int value)
{
    begin_value(json, key);
    put_string(json, value ? "true" : "false");
}
