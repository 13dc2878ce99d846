/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include <syslog.h>

typedef struct unit {
    const char *name;
    int64_t factor;
} unit;

/* The biggest first, "" last: the order cgwm_format_duration tries. */
static const unit time_units[] = {
    {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000}, {NULL, 0}
};
static const unit byte_units[] = {
    {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}
};

/* Digits at text; *end behind them. False without a digit or on overflow. */
static bool parse_digits(const char *text, int64_t *out, const char **end)
{
    int64_t value = 0;
    const char *at = text;

    for (; apr_isdigit(*at); at++) {
        if (value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (*at - '0');
    }
    if (at == text) {
        return false;
    }
    *out = value;
    *end = at;
    return true;
}

bool cgwm_parse_int(const char *text, int64_t low, int64_t high, int64_t *out)
{
    int64_t value;
    const char *end;

    if (!parse_digits(text, &value, &end) || *end || value < low
        || value > high) {
        return false;
    }
    *out = value;
    return true;
}

bool cgwm_parse_range(const char *text, int64_t low, int64_t high, int64_t *least,
                      int64_t *most)
{
    int64_t a, b;
    const char *end;

    if (!parse_digits(text, &a, &end)) {
        return false;
    }
    b = a;
    if (*end == '-' && !parse_digits(end + 1, &b, &end)) {
        return false;
    }
    if (*end || a < low || b > high || a > b) {
        return false;
    }
    *least = a;
    *most = b;
    return true;
}

static bool parse_with_unit(const char *text, const unit *units, int64_t *out)
{
    int64_t value;
    const char *end;

    const unit *u = units;

    if (!parse_digits(text, &value, &end)) {
        return false;
    }
    while (u->name && apr_cstr_casecmp(end, u->name) != 0) {
        u++;
    }
    if (!u->name || value > INT64_MAX / u->factor) {
        return false;
    }
    *out = value * u->factor;
    return true;
}

bool cgwm_parse_duration(const char *text, int64_t *out)
{
    return parse_with_unit(text, time_units, out);
}

const char *cgwm_format_duration(int64_t ms, apr_pool_t *p)
{
    const unit *u = ms ? time_units : time_units + 2;

    while (ms % u->factor) {
        u++;
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT "%s", (apr_int64_t)(ms / u->factor),
                        u->name);
}

bool cgwm_parse_bytes(const char *text, int64_t *out)
{
    return parse_with_unit(text, byte_units, out);
}

bool cgwm_parse_flag(const char *text, int64_t *out)
{
    int is_on = !apr_cstr_casecmp(text, "On");

    if (!is_on && apr_cstr_casecmp(text, "Off") != 0) {
        return false;
    }
    *out = is_on;
    return true;
}

bool cgwm_parse_umask(const char *text, int64_t *out)
{
    int64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '7' && value <= 0777; at++) {
        value = value * 8 + (*at - '0');
    }
    if (at == text || *at || value > 0777) {
        return false;
    }
    *out = value;
    return true;
}

bool cgwm_parse_numeric_id(const char *text, int64_t *out)
{
    /* (uid_t)-1 means "none" to the kernel */
    return text[0] == '#' && cgwm_parse_int(text + 1, 0, UINT32_MAX - 1, out);
}

static bool is_name_start(char c)
{
    return apr_isalpha(c) || c == '_';
}

bool cgwm_is_env_name(const char *text)
{
    if (!is_name_start(*text)) {
        return false;
    }
    while (is_name_start(*text) || apr_isdigit(*text)) {
        text++;
    }
    return *text == '\0';
}

static bool is_identifier_start(char c)
{
    return is_name_start(c) || (unsigned char)c >= 0x80;
}

/* Behind the dotted name at text; text itself where there is none. */
static const char *skip_dotted_name(const char *text)
{
    const char *at = text;

    for (;;) {
        if (!is_identifier_start(*at)) {
            return text;
        }
        while (is_identifier_start(*at) || apr_isdigit(*at)) {
            at++;
        }
        if (*at != '.') {
            return at;
        }
        at++;
    }
}

bool cgwm_is_module_name(const char *text)
{
    const char *end = skip_dotted_name(text);

    return end != text && *end == '\0';
}

static bool is_group_name_char(char c)
{
    return apr_isalnum(c) || c == '.' || c == '_' || c == '-';
}

bool cgwm_is_group_name(const char *text)
{
    apr_size_t len = 0;

    if (*text == '.' || *text == '-') {
        return false;
    }
    while (is_group_name_char(text[len])) {
        len++;
    }
    return text[len] == '\0' && len > 0 && len <= CGWM_GROUP_NAME_MAX;
}

const char *cgwm_group_name_from(const char *text, apr_pool_t *p)
{
    char *name = apr_pstrdup(p, text);

    for (char *at = name; *at; at++) {
        *at = (char)(is_group_name_char(*at) ? apr_tolower(*at) : '_');
    }
    return name;
}

static bool ends_with(const char *text, const char *suffix)
{
    apr_size_t len = strlen(text), n = strlen(suffix);

    return len > n && !strcmp(text + len - n, suffix);
}

bool cgwm_is_application_file(const char *text)
{
    return strchr(text, '/') != NULL;
}

const char *cgwm_application_file(const char *text, apr_pool_t *p)
{
    const char *slash = strrchr(text, '/'), *colon = strrchr(text, ':');

    if (!colon || !slash || colon < slash || !cgwm_is_module_name(colon + 1)) {
        return text;
    }
    return apr_pstrmemdup(p, text, (apr_size_t)(colon - text));
}

bool cgwm_is_application(const char *text)
{
    const char *end;

    if (cgwm_is_application_file(text)) {
        return !ends_with(text, "/");
    }
    end = skip_dotted_name(text);
    if (end == text) {
        return false;
    }
    return *end == '\0' || (*end == ':' && cgwm_is_module_name(end + 1));
}

bool cgwm_is_archive(const char *path)
{
    return ends_with(path, ".zip") || ends_with(path, ".egg")
           || ends_with(path, ".whl") || ends_with(path, ".pyz");
}

static bool is_segment(const char *at, apr_size_t len)
{
    if (len == 0 || (len == 1 && at[0] == '.')
        || (len == 2 && at[0] == '.' && at[1] == '.')) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (apr_iscntrl(at[i]) || strchr("?#%", at[i])) {
            return false;
        }
    }
    return true;
}

bool cgwm_parse_prefix(const char *text, const char **out, apr_pool_t *p)
{
    const char *at = text;

    if (*text != '/') {
        return false;
    }
    while (*at == '/' && at[1]) {
        apr_size_t len = strcspn(at + 1, "/");
        if (!is_segment(at + 1, len)) {
            return false;
        }
        at += 1 + len;
    }
    *out = apr_pstrmemdup(p, text, (apr_size_t)(at - text));
    return true;
}

/* ---- syslog --------------------------------------------------------------- */

typedef struct facility {
    const char *name;
    int number;
} facility;

static const facility facilities[] = {
    {"auth", LOG_AUTH}, {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
    {"daemon", LOG_DAEMON}, {"ftp", LOG_FTP}, {"kern", LOG_KERN}, {"lpr", LOG_LPR},
    {"mail", LOG_MAIL}, {"news", LOG_NEWS}, {"syslog", LOG_SYSLOG},
    {"user", LOG_USER}, {"uucp", LOG_UUCP}, {"local0", LOG_LOCAL0},
    {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},
    {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},
    {"local7", LOG_LOCAL7}, {NULL, 0}
};

bool cgwm_is_syslog(const char *text)
{
    return apr_cstr_casecmpn(text, "syslog", 6) == 0
           && (text[6] == '\0' || text[6] == ':');
}

bool cgwm_parse_syslog(const char *text, int64_t *number, const char **tag)
{
    const char *name = text + 6, *colon;
    size_t len;

    if (!cgwm_is_syslog(text)) {
        return false;
    }
    name += *name == ':';
    colon = strchr(name, ':');
    len = colon ? (size_t)(colon - name) : strlen(name);
    for (const facility *f = facilities; len > 0; f++) {
        if (!f->name) {
            return false;
        }
        if (strlen(f->name) == len && apr_cstr_casecmpn(f->name, name, len) == 0) {
            *number = f->number;
            break;
        }
    }
    if (len == 0) {
        *number = LOG_LOCAL7;
    }
    *tag = colon && colon[1] ? colon + 1 : NULL;
    return true;
}

const char *cgwm_facility_names(apr_pool_t *p)
{
    const char *names = facilities[0].name;

    for (const facility *f = &facilities[1]; f->name; f++) {
        names = apr_pstrcat(p, names, ", ", f->name, NULL);
    }
    return names;
}
