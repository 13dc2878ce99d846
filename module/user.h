/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_USER_H
#define CGWM_USER_H

/* Who the workers of a group run as. */

#include "definition.h"
#include "report.h"

/* Fills uid, gid, groups, user and home of spec from CGatewayUser, or from httpd's
 * User and Group. httpd not started as root can only run workers as itself:
 * uid and gid stay -1 then. Reports what is wrong. */
void cgwm_user_resolve(cgwm_report *report, const cgwm_definition *def,
                       cgw_spec *spec, apr_pool_t *p);

/* The first directory or file on the way to path (as written, and with its
 * symbolic links resolved) that keeps the group's user out, judged by owner
 * and permission bits; bits (4 read, 2 write, 1 execute) are what is asked of
 * path itself. NULL where none does, or path does not exist. */
const char *cgwm_user_obstacle(const cgw_spec *spec, const char *path, int bits,
                               apr_pool_t *p);

#endif
