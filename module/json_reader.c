/* SPDX-License-Identifier: Apache-2.0 */

#include "json_reader.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <string.h>

#define DEPTH_MAX 32

typedef struct reader {
    const char *at, *end;
    int depth;
    apr_pool_t *p;
} reader;

static cgwm_json *read_value(reader *in);

/* ---- words ----------------------------------------------------------------- */

static void skip_space(reader *in)
{
    while (in->at < in->end && memchr(" \t\r\n", *in->at, 4)) {
        in->at++;
    }
}

/* The next byte behind white space, -1 at the end. */
static int peek(reader *in)
{
    skip_space(in);
    return in->at < in->end ? (unsigned char)*in->at : -1;
}

static int take(reader *in, char c)
{
    if (peek(in) != c) {
        return 0;
    }
    in->at++;
    return 1;
}

static int take_word(reader *in, const char *word)
{
    apr_size_t len = strlen(word);

    if ((apr_size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0) {
        return 0;
    }
    in->at += len;
    return 1;
}

/* ---- strings ---------------------------------------------------------------- */

static char *put_utf8(char *out, unsigned c)
{
    if (c == 0 || (c >= 0xd800 && c < 0xe000)) {
        c = 0xfffd; /* a C string has no NUL; the supervisor writes no pairs */
    }
    if (c < 0x80) {
        *out++ = (char)c;
    }
    else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    else {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

static int read_hex(reader *in, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, in->at++) {
        const char *digit = in->at < in->end && *in->at
                                ? strchr("0123456789abcdef",
                                         apr_tolower(*in->at)) : NULL;
        if (!digit) {
            return 0;
        }
        *out = *out << 4 | (unsigned)(digit - "0123456789abcdef");
    }
    return 1;
}

/* Behind a backslash. NULL where it is malformed. */
static char *read_escape(reader *in, char *out)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    unsigned c;

    if (in->at == in->end) {
        return NULL;
    }
    if (*in->at == 'u') {
        in->at++;
        return read_hex(in, &c) ? put_utf8(out, c) : NULL;
    }
    for (int i = 0; letters[i]; i += 2) {
        if (letters[i] == *in->at) {
            in->at++;
            *out++ = letters[i + 1];
            return out;
        }
    }
    return NULL;
}

/* The text between quotation marks: never longer than what stands for it. */
static const char *read_string(reader *in)
{
    const char *close;
    char *text, *out;

    if (!take(in, '"')) {
        return NULL;
    }
    for (close = in->at; close < in->end && *close != '"'; close++) {
        close += *close == '\\';
    }
    if (close >= in->end) {
        return NULL;
    }
    text = out = apr_palloc(in->p, (apr_size_t)(close - in->at) + 1);
    while (in->at < close) {
        if ((unsigned char)*in->at < 0x20) {
            return NULL;
        }
        if (*in->at != '\\') {
            *out++ = *in->at++;
            continue;
        }
        in->at++;
        out = read_escape(in, out);
        if (!out) {
            return NULL;
        }
    }
    in->at = close + 1;
    *out = '\0';
    return text;
}

/* ---- values ----------------------------------------------------------------- */

static int read_number(reader *in, cgwm_json *value)
{
    apr_size_t len = 0, most = (apr_size_t)(in->end - in->at);
    char digits[32], *end;

    while (len < most && len < sizeof(digits) - 1
           && (apr_isdigit(in->at[len]) || in->at[len] == '-')) {
        digits[len] = in->at[len];
        len++;
    }
    digits[len] = '\0';
    errno = 0;
    value->type = CGWM_JSON_NUMBER;
    value->number = apr_strtoi64(digits, &end, 10);
    in->at += len;
    return len > 0 && !*end && errno == 0;
}

static int read_items(reader *in, cgwm_json *value, char close)
{
    cgwm_json **tail = &value->first;

    if (take(in, close)) {
        return 1;
    }
    do {
        const char *key = close == '}' ? read_string(in) : NULL;
        if (close == '}' && (!key || !take(in, ':'))) {
            return 0;
        }
        *tail = read_value(in);
        if (!*tail) {
            return 0;
        }
        (*tail)->key = key;
        tail = &(*tail)->next;
        value->number++;
    } while (take(in, ','));
    return take(in, close);
}

static int read_nested(reader *in, cgwm_json *value)
{
    int is_object = *in->at++ == '{', ok;

    value->type = is_object ? CGWM_JSON_OBJECT : CGWM_JSON_ARRAY;
    if (++in->depth > DEPTH_MAX) {
        return 0;
    }
    ok = read_items(in, value, is_object ? '}' : ']');
    in->depth--;
    return ok;
}

static cgwm_json *read_value(reader *in)
{
    cgwm_json *value = apr_pcalloc(in->p, sizeof(*value));
    int ok;

    switch (peek(in)) {
    case '{':
    case '[':
        ok = read_nested(in, value);
        break;
    case '"':
        value->type = CGWM_JSON_STRING;
        value->text = read_string(in);
        ok = value->text != NULL;
        break;
    case 't':
        value->type = CGWM_JSON_TRUE;
        ok = take_word(in, "true");
        break;
    case 'f':
        value->type = CGWM_JSON_FALSE;
        ok = take_word(in, "false");
        break;
    case 'n':
        ok = take_word(in, "null");
        break;
    default:
        ok = read_number(in, value);
    }
    return ok ? value : NULL;
}

const cgwm_json *cgwm_json_parse(const char *bytes, apr_size_t len, apr_pool_t *p)
{
    reader in = {.at = bytes, .end = bytes + len, .p = p};
    const cgwm_json *value = read_value(&in);

    return value && peek(&in) < 0 ? value : NULL;
}

/* ---- looking up --------------------------------------------------------------- */

const cgwm_json *cgwm_json_get(const cgwm_json *object, const char *key)
{
    const cgwm_json *item = object && object->type == CGWM_JSON_OBJECT
                                ? object->first : NULL;

    while (item && strcmp(item->key, key) != 0) {
        item = item->next;
    }
    return item;
}

apr_int64_t cgwm_json_int(const cgwm_json *value, apr_int64_t absent)
{
    return value && value->type == CGWM_JSON_NUMBER ? value->number : absent;
}

const char *cgwm_json_text(const cgwm_json *value, const char *absent)
{
    return value && value->type == CGWM_JSON_STRING ? value->text : absent;
}

int cgwm_json_is_true(const cgwm_json *value)
{
    return value && value->type == CGWM_JSON_TRUE;
}

apr_int64_t cgwm_json_int_of(const cgwm_json *object, const char *key)
{
    return cgwm_json_int(cgwm_json_get(object, key), 0);
}

const char *cgwm_json_text_of(const cgwm_json *object, const char *key)
{
    return cgwm_json_text(cgwm_json_get(object, key), "");
}
