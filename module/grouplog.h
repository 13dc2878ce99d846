/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_GROUPLOG_H
#define CGWM_GROUPLOG_H

/* Where the supervisor writes what a group's processes print and what it says of
 * them: CGatewayErrorLog, or else the ErrorLog of the group's virtual host. */

#include "config.h"

/* Fills in what the supervisor needs to know of the log: its format, and where it
 * is syslog, facility and tag. Texts are in p. */
void cgwm_grouplog_describe(cgwm_group *group, apr_pool_t *p);
/* In httpd's parent. The descriptor is valid as long as ptemp, a program's as long as
 * this configuration. Logs what fails, and falls back to the ErrorLog. */
int cgwm_grouplog_open(cgwm_group *group, const server_rec *main_server,
                       apr_pool_t *ptemp);
/* The ErrorLog of a server. */
int cgwm_grouplog_of_server(const server_rec *s, const server_rec *main_server,
                            apr_pool_t *ptemp);

#endif
