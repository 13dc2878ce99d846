/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_JSON_H
#define CGWD_JSON_H

/* Writes JSON. A key is needed inside an object, and NULL elsewhere. Texts may
 * hold any bytes: what is not UTF-8 becomes U+FFFD. Memory runs out, or the
 * bound is passed: `failed` stays set and nothing more is written. */

#include "cgw_wire.h"

typedef struct cgwd_json {
    struct cgw_buf buf;
    int comma;          /* the next value needs one before it */
    size_t most;        /* bytes, 0: no bound */
} cgwd_json;

void cgwd_json_object(cgwd_json *json, const char *key);
void cgwd_json_object_end(cgwd_json *json);
void cgwd_json_array(cgwd_json *json, const char *key);
void cgwd_json_array_end(cgwd_json *json);
/* value NULL: null */
void cgwd_json_string(cgwd_json *json, const char *key, const char *value);
void cgwd_json_text(cgwd_json *json, const char *key, const char *bytes,
                    size_t len);
void cgwd_json_number(cgwd_json *json, const char *key, int64_t value);
void cgwd_json_bool(cgwd_json *json, const char *key, int value);
void cgwd_json_null(cgwd_json *json, const char *key);

#endif
