/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_LIMITS_H
#define CGWM_LIMITS_H

/* What the processes of a group may use of the machine: the words of
 * CGatewayMaxMemory, CGatewayLimit, CGatewayNice, CGatewayCPUAffinity and
 * CGatewayCgroup. The setters return 1, or 0 where the words are wrong. */

#include "definition.h"
#include "report.h"

int cgwm_limits_set_memory(cgw_spec *spec, int argc, char *const *argv);
int cgwm_limits_set_limit(cgw_spec *spec, int argc, char *const *argv);
int cgwm_limits_set_nice(cgw_spec *spec, const char *word);
int cgwm_limits_set_cpus(cgw_spec *spec, const char *word);
int cgwm_limits_set_cgroup(cgw_spec *spec, const char *file, const char *value);

/* "cpu, fsize, ..." */
const char *cgwm_limits_names(apr_pool_t *p);
const char *cgwm_limits_cgroup_names(apr_pool_t *p);

/* Sets the spec's cgroup_dir. */
void cgwm_limits_resolve(const cgwm_report *report, cgw_spec *spec, apr_pool_t *p);
/* Whether this system, and whoever starts httpd, may do it. */
void cgwm_limits_check(cgwm_report *report, const cgwm_definition *def,
                       const cgw_spec *spec);

#endif
