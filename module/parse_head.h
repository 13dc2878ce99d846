/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_PARSE_HEAD_H
#define CGWM_PARSE_HEAD_H

/* The head of a response as a worker sent it. A worker is not trusted: what is
 * read here may go to a client, or it is refused as a whole. Without httpd. */

#include <stddef.h>
#include <stdint.h>

#include "apr_tables.h"

typedef struct cgwm_head {
    int status;
    const char *line;           /* status and reason */
    apr_uint64_t length;        /* of the body, or CGW_LENGTH_UNKNOWN */
    const char *type;           /* Content-Type, or NULL */
    apr_table_t *headers;       /* the others */
} cgwm_head;

/* Reads the payload of a HEAD or INTERIM frame into memory of the pool. 0:
 * malformed, or with something in it that must not go to a client. */
int cgwm_head_read(cgwm_head *head, const uint8_t *payload, size_t len,
                   apr_pool_t *p);

#endif
