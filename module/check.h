/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_CHECK_H
#define CGWM_CHECK_H

/* What the file system says about a group: whether its interpreter,
 * directories and .wsgi file exist and can be used by its user. Starts
 * nothing. */

#include "definition.h"
#include "report.h"

void cgwm_check_group(cgwm_report *report, const cgwm_definition *def,
                      const cgw_spec *spec);

#endif
