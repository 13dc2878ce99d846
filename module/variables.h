/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_VARIABLES_H
#define CGWM_VARIABLES_H

/* The environment variables that a group's directives give its workers. */

#include "definition.h"
#include "report.h"

/* Fills spec->env: CGatewayPassEnv, then CGatewayEnvFile, then CGatewayEnv,
 * then CGatewaySettings, where a later one replaces an earlier one of the same
 * name; in the order of names, so that the order in which they are written
 * makes no difference. Reports what is wrong; spec->unready where a file is. */
void cgwm_variables_resolve(cgwm_report *report, const cgwm_definition *def,
                            cgw_spec *spec, apr_pool_t *p);

#endif
