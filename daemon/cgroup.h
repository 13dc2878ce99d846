/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CGROUP_H
#define CGWD_CGROUP_H

#include "cgw_spec.h"
#include "supervisor.h"

/* The control group (cgroup v2) of a group: a directory that is made when a process is
 * to join it, and removed once no configuration wants it and nobody is in it. */

/* Makes it where it is not there, with the spec's settings and no others. 0 or an
 * errno; *what then names the file. */
int cgwd_cgroup_make(const cgw_spec *spec, const char **what, apr_pool_t *p);

/* The configuration does not name that directory (NULL: none) any more: it is
 * removed, later where processes are in it. */
void cgwd_cgroup_leave(cgwd_supervisor *sup, const char *dir);
/* Removes those that were left and that nobody is in any more. */
void cgwd_cgroup_sweep(cgwd_supervisor *sup);
/* All of them, and those of the groups: nobody is in any. */
void cgwd_cgroup_end(cgwd_supervisor *sup);

#endif
