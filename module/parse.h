/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_PARSE_H
#define CGWM_PARSE_H

/* What a directive's words mean. Pure functions over text: APR, not httpd.
 * The parse functions return false, and leave *out alone, where the text is
 * not what they accept. */

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#define CGWM_GROUP_NAME_MAX 64

/* A whole decimal number from low to high; nothing before or after it. */
bool cgwm_parse_int(const char *text, int64_t low, int64_t high, int64_t *out);
/* "4", which is 4 to 4, or "2-8"; from low to high, the first not above the
 * second. */
bool cgwm_parse_range(const char *text, int64_t low, int64_t high, int64_t *least,
                      int64_t *most);

/* A number with a unit: ms, s, min, h. Seconds without one. In milliseconds. */
bool cgwm_parse_duration(const char *text, int64_t *out);
/* The reverse, for messages: "90s", "2min", "250ms". */
const char *cgwm_format_duration(int64_t ms, apr_pool_t *p);

/* A number with a unit: K, M, G (1024 and its powers). Bytes without one. */
bool cgwm_parse_bytes(const char *text, int64_t *out);

/* On or Off, in any case: 1 or 0. */
bool cgwm_parse_flag(const char *text, int64_t *out);

/* Octal, 0 to 0777. */
bool cgwm_parse_umask(const char *text, int64_t *out);

/* "#1000" -> 1000 */
bool cgwm_parse_numeric_id(const char *text, int64_t *out);

/* A letter or underscore, then letters, digits, underscores. */
bool cgwm_is_env_name(const char *text);

/* Dotted Python identifiers; bytes above 127 count as letters. */
bool cgwm_is_module_name(const char *text);

/* Letters, digits, '.', '_' and '-', at most CGWM_GROUP_NAME_MAX of them, the
 * first a letter, a digit or '_': safe as a file name. */
bool cgwm_is_group_name(const char *text);

/* text with every character that a group name cannot have replaced by '_',
 * and letters in lower case. */
const char *cgwm_group_name_from(const char *text, apr_pool_t *p);

/* Whether an application is a file: it has a '/'. Without one, shop.wsgi is the
 * module that Django's startproject makes. */
bool cgwm_is_application_file(const char *text);
/* The file itself: without the ":callable" that may stand behind it. */
const char *cgwm_application_file(const char *text, apr_pool_t *p);
/* module, module:callable, a file or file:callable. */
bool cgwm_is_application(const char *text);

/* Whether a path names an archive that Python imports from: .zip, .egg, .whl,
 * .pyz. */
bool cgwm_is_archive(const char *path);

/* Where an error log is syslog: "syslog", or what begins with "syslog:". */
bool cgwm_is_syslog(const char *text);
/* syslog[:facility][:tag]: the number of the facility, as syslog(3) has it, local7
 * where none is named, and the tag, which is part of text; NULL: none. */
bool cgwm_parse_syslog(const char *text, int64_t *facility, const char **tag);
/* "auth, authpriv, ..." */
const char *cgwm_facility_names(apr_pool_t *p);

/* A URL prefix: begins with '/', has no empty, "." or ".." segment, nothing
 * that a decoded path cannot have ('?', '#') and no '%'. The result has no
 * trailing slash, "" for "/". */
bool cgwm_parse_prefix(const char *text, const char **out, apr_pool_t *p);

#endif
