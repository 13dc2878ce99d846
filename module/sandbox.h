/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SANDBOX_H
#define CGWM_SANDBOX_H

/* The directives that confine a group beyond its user: whether this kernel, and
 * this httpd's privileges, can do what they ask. */

#include "definition.h"
#include "report.h"

void cgwm_check_sandbox(cgwm_report *report, const cgwm_definition *def,
                            const cgw_spec *spec);
/* A path of the group as httpd sees it: below CGatewayChroot where there is one. */
const char *cgwm_inside(const cgw_spec *spec, const char *path, apr_pool_t *p);

#endif
