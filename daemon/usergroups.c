/* SPDX-License-Identifier: Apache-2.0 */

#include "usergroups.h"

#include <stdlib.h>

int cgwd_usergroups(gid_t groups[CGWD_GROUPS_MAX], const cgw_spec *spec)
{
    int n = 0;

    while (n < spec->groups->nelts && n < CGWD_GROUPS_MAX) {
        const char *number = APR_ARRAY_IDX(spec->groups, n, const char *);
        groups[n++] = (gid_t)strtoul(number, NULL, 10);
    }
    return n;
}
