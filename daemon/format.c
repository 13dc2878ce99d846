/* SPDX-License-Identifier: Apache-2.0 */

#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One "%..." of a format. */
typedef struct item {
    char letter;
    const char *arg;            /* what is in {}, not NUL-terminated; NULL: none */
    size_t arg_len;
    int hyphen;                 /* "%-a": shown as "-" where it is absent */
    int required;               /* "%+a": the line is absent where it is */
    int level;                  /* "%7a": absent from lines of another severity */
} item;

typedef struct writer {
    char *out;
    size_t size, at;
    size_t field;               /* where the present field begins */
    int skips;                  /* the rest of the field goes with what is absent */
} writer;

static void put(writer *w, const char *bytes, size_t len)
{
    len = len < w->size - w->at ? len : w->size - w->at;
    memcpy(w->out + w->at, bytes, len);
    w->at += len;
}

static void put_string(writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* ---- values ------------------------------------------------------------------ */

static int has(const item *i, char option)
{
    return i->arg && memchr(i->arg, option, i->arg_len) != NULL;
}

static void put_date(writer *w, const char *format, const struct tm *tm)
{
    char text[64] = "";
    size_t n = strftime(text, sizeof(text), format, tm);

    put(w, text, n);
}

/* %t; with {u} microseconds, {m} milliseconds, {c} ISO 8601, {z} the zone */
static void put_time(writer *w, const item *i, const cgwd_line *line)
{
    struct tm tm;
    char fraction[32] = "";
    int iso = has(i, 'c');

    localtime_r(&line->now->tv_sec, &tm);
    if (has(i, 'u')) {
        snprintf(fraction, sizeof(fraction), ".%06ld", line->now->tv_nsec / 1000);
    }
    else if (has(i, 'm')) {
        snprintf(fraction, sizeof(fraction), ".%03ld", line->now->tv_nsec / 1000000);
    }
    put_date(w, iso ? "%Y-%m-%d %H:%M:%S" : "%a %b %d %H:%M:%S", &tm);
    put_string(w, fraction);
    if (!iso) {
        put_date(w, " %Y", &tm);
    }
    if (has(i, 'z')) {
        put_date(w, " %z", &tm);
    }
}

static void put_value(writer *w, const item *i, const cgwd_line *line)
{
    char number[24];

    switch (i->letter) {
    case 't':
        put_time(w, i, line);
        return;
    case 'm':
        put_string(w, "cgateway");
        return;
    case 'l':
        put_string(w, cgwd_level_name(line->level));
        return;
    case 'v':
        put_string(w, line->server ? line->server : "");
        return;
    case 'P':
    case 'T': /* whose thread it was, nobody knows */
        snprintf(number, sizeof(number), "%ld", (long)line->pid);
        put_string(w, number);
        return;
    default: /* of a request, a connection, or httpd's source */
        return;
    }
}

/* ---- format -------------------------------------------------------------------- */

/* Behind the "%". Returns what follows the item. */
static const char *read_item(const char *at, item *i)
{
    const char *close;

    memset(i, 0, sizeof(*i));
    for (; *at; at++) {
        if (*at == '-') {
            i->hyphen = 1;
        }
        else if (*at == '+') {
            i->required = 1;
        }
        else if (*at == '{' && (close = strchr(at, '}'))) {
            i->arg = at + 1;
            i->arg_len = (size_t)(close - at) - 1;
            at = close;
        }
        else if (*at >= '0' && *at <= '9') {
            i->level = i->level < 100 ? i->level * 10 + (*at - '0') : i->level;
        }
        else {
            break;
        }
    }
    i->letter = *at;
    return *at ? at + 1 : at;
}

/* Spaces, or "% ", end a field. */
static const char *end_field(writer *w, const char *at)
{
    size_t spaces = strspn(at, " ");

    if (w->skips) {
        w->skips = 0;
    }
    else {
        w->field = w->at;
    }
    put(w, at, spaces);
    return at + (spaces ? spaces : 2);
}

/* "\ " is a space within a field. */
static const char *put_escaped(writer *w, const char *at)
{
    const char *c = *at == 'n' ? "\n" : *at == 'r' ? "\r" : *at == 't' ? "\t" : at;

    put(w, c, !w->skips);
    return at + 1;
}

static void skip_field(writer *w)
{
    w->at = w->field;
    w->skips = 1;
}

/* 0 where the line is not wanted. */
static int put_item(writer *w, const item *i, const cgwd_line *line)
{
    size_t before = w->at;

    if (i->letter == 'M') {
        put(w, line->text, line->len);
        return 1;
    }
    if (i->letter == '%' || w->skips) {
        put(w, "%", !w->skips);
        return 1;
    }
    if (cgwd_level_number(line->level) < i->level) {
        skip_field(w);
        return 1;
    }
    put_value(w, i, line);
    if (w->at > before) {
        return 1;
    }
    if (i->hyphen) {
        put(w, "-", 1);
    }
    else if (!i->required) {
        skip_field(w);
    }
    return !i->required || i->hyphen;
}

size_t cgwd_format_line(char *out, size_t size, const char *format,
                        const cgwd_line *line)
{
    writer w = {.out = out, .size = size};
    item i;

    for (const char *at = format; *at;) {
        if (*at == ' ' || (at[0] == '%' && at[1] == ' ')) {
            at = end_field(&w, at);
        }
        else if (*at == '%') {
            at = read_item(at + 1, &i);
            if (!put_item(&w, &i, line)) {
                return 0;
            }
        }
        else if (*at == '\\' && at[1]) {
            at = put_escaped(&w, at + 1);
        }
        else {
            put(&w, at, !w.skips);
            at++;
        }
    }
    return w.at;
}
