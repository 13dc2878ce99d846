/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_HEADER_H
#define CGWW_HEADER_H

/* What the status line and header fields of a response may be (RFC 9110,
 * PEP 3333). Each check returns NULL, or what is wrong and how to mend it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "NNN Reason"; the reason is at text + 4. */
const char *cgww_status_check(const char *text, size_t len, uint16_t *status);
const char *cgww_header_name_check(const char *name, size_t len);
const char *cgww_header_value_check(const char *value, size_t len);
bool cgww_header_is_content_length(const char *name, size_t len);
const char *cgww_content_length_parse(const char *value, size_t len,
                                      uint64_t *out);
/* Statuses whose responses never have a body. */
bool cgww_status_bodiless(uint16_t status);

#endif
