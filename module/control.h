/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_CONTROL_H
#define CGWM_CONTROL_H

/* An httpd child as a client of the supervisor's control socket
 * (include/cgw_admin.h), where httpd's user may read. */

#include "httpd.h"

#include "json_reader.h"

/* Asks with one line, without its line end, and waits for the answer, for a few
 * seconds at most. *answer is what came; *json, unless NULL, what it means. Logs what
 * goes wrong. */
apr_status_t cgwm_control_ask(request_rec *r, const char *line,
                              const char **answer, const cgwm_json **json);

/* The groups of an answer to "status", sorted by name: cgwm_json pointers. */
apr_array_header_t *cgwm_control_groups(const cgwm_json *status, apr_pool_t *p);
/* The sum of a number over all processes of a group; those that are unknown,
 * below 0, do not count. Key NULL: how many processes there are. */
apr_int64_t cgwm_control_sum(const cgwm_json *group, const char *key);

#endif
