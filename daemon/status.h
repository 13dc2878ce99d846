/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_STATUS_H
#define CGWD_STATUS_H

/* What the supervisor knows, as JSON; docs/man/cgatewayctl.8 lists the members. */

#include "group.h"
#include "json.h"

/* Members of the object that is open. */
void cgwd_status_supervisor(cgwd_json *json, const cgwd_supervisor *sup);
/* One object. */
void cgwd_status_group(cgwd_json *json, cgwd_group *group);

#endif
