/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ACTIVITY_H
#define CGWD_ACTIVITY_H

#include "group.h"
#include "json.h"

/* What a group does and did, as JSON; docs/man/cgatewayctl.8 lists the members. */

/* Members of the object that is open. */
void cgwd_activity_group(cgwd_json *json, cgwd_group *group);
/* "requests": what the threads of the group's workers have in their hands. */
void cgwd_activity_requests(cgwd_json *json, const cgwd_group *group);
/* Of one process. */
void cgwd_activity_process(cgwd_json *json, const cgwd_process *proc);

#endif
