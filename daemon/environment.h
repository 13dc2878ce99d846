/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ENVIRONMENT_H
#define CGWD_ENVIRONMENT_H

#include "cgw_spec.h"

/* The environment of a group's processes: a clean base (PATH, LANG, HOME,
 * USER, LOGNAME, TZ where this process has one), DJANGO_SETTINGS_MODULE, and
 * what the group configures, which wins. NULL-terminated, for execve. */
char **cgwd_environment(const cgw_spec *spec, apr_pool_t *p);

#endif
