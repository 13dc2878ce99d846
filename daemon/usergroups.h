/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_USERGROUPS_H
#define CGWD_USERGROUPS_H

#include <sys/types.h>

#include "cgw_spec.h"

#define CGWD_GROUPS_MAX 256

/* The numbers of the groups that the user of a group is in, as httpd's parent has
 * looked them up; how many. */
int cgwd_usergroups(gid_t groups[CGWD_GROUPS_MAX], const cgw_spec *spec);

#endif
