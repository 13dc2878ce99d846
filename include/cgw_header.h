/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_HEADER_H
#define CGW_HEADER_H

/*
 * What the status line and header fields of a response may be (RFC 9110,
 * PEP 3333). The worker tells the application; the module checks again, since
 * it does not trust the worker. Each check returns NULL, or what is wrong and
 * how to mend it. common/header.c, libc only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "NNN Reason", 100 to 999; the reason is at text + 4, or missing with its space
 * ("NNN"). */
const char *cgw_status_check(const char *text, size_t len, uint16_t *status);
const char *cgw_header_name_check(const char *name, size_t len);
/* Of a reason, too. */
const char *cgw_header_value_check(const char *value, size_t len);
/* Header names have no case. */
bool cgw_header_is(const char *name, size_t len, const char *other);
const char *cgw_content_length_parse(const char *value, size_t len,
                                     uint64_t *out);
/* Statuses that a worker may send as INTERIM: 1xx, but for 101, which gives
 * the connection to another protocol. */
bool cgw_status_interim(uint16_t status);
/* Statuses whose responses never have a body. */
bool cgw_status_bodiless(uint16_t status);

#endif
