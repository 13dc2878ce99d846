/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_JSON_READER_H
#define CGWM_JSON_READER_H

/* Reads JSON (RFC 8259) as the supervisor writes it: numbers are integers. Knows
 * APR, nothing of httpd. */

#include <apr_pools.h>

enum cgwm_json_type {
    CGWM_JSON_NULL, CGWM_JSON_FALSE, CGWM_JSON_TRUE, CGWM_JSON_NUMBER,
    CGWM_JSON_STRING, CGWM_JSON_ARRAY, CGWM_JSON_OBJECT
};

typedef struct cgwm_json {
    enum cgwm_json_type type;
    const char *key;            /* in an object, else NULL */
    const char *text;           /* of STRING; no NUL is in it */
    apr_int64_t number;         /* of NUMBER; items of ARRAY and OBJECT */
    struct cgwm_json *first, *next; /* items; the next item around this one */
} cgwm_json;

/* NULL where the bytes are no JSON, or nested more deeply than 32 times. */
const cgwm_json *cgwm_json_parse(const char *bytes, apr_size_t len, apr_pool_t *p);

/* All take NULL, and another type than expected, for something that is absent. */
const cgwm_json *cgwm_json_get(const cgwm_json *object, const char *key);
apr_int64_t cgwm_json_int(const cgwm_json *value, apr_int64_t absent);
const char *cgwm_json_text(const cgwm_json *value, const char *absent);
int cgwm_json_is_true(const cgwm_json *value);

/* get, then int or text */
apr_int64_t cgwm_json_int_of(const cgwm_json *object, const char *key);   /* 0 */
const char *cgwm_json_text_of(const cgwm_json *object, const char *key);  /* "" */

#endif
