/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_LANDLOCK_H
#define CGWD_LANDLOCK_H

/* CGatewayAllowRead, CGatewayAllowWrite: what a group's processes may open
 * (landlock(7)). Needs no privileges. */

#include "cgw_spec.h"

/* One path and what it is allowed for. */
typedef struct cgwd_landlock_rule {
    const char *path;
    int write;              /* else read and execute */
    int needed;             /* it is configured: an error where it is missing */
    int is_program;         /* not the path: the prefix of what links lead to there */
} cgwd_landlock_rule;

/* The rules of a group, those that every Python needs among them, into pool p.
 * An array of cgwd_landlock_rule; NULL where nothing is configured. */
apr_array_header_t *cgwd_landlock_plan(const cgw_spec *spec, const char *library,
                                       apr_pool_t *p);
/* Makes a ruleset's descriptor of them. -1 with errno; *at (may be NULL) is
 * the path that is to blame, NULL where it is the kernel. Safe between fork
 * and exec, as the next one. */
int cgwd_landlock_open(const cgw_spec *spec, const apr_array_header_t *rules,
                       const char **at);
/* Puts the rules on the calling process and all that come of it. */
int cgwd_landlock_apply(int ruleset);

#endif
