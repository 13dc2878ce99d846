/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_MOUNT_H
#define CGWM_MOUNT_H

/* The URL prefixes of a server: which group answers where. The lookup,
 * cgwm_mount_find, is declared in config.h. */

#include "config.h"
#include "report.h"

/* Binds the mounts of conf to their groups, all of which are known by now, and
 * sorts them. own is the group of the server's own directives, NULL where it
 * has none; it is mounted at "/" unless a CGatewayMount without group names
 * another prefix. Reports unknown groups and prefixes that occur twice. */
void cgwm_mounts_bind(cgwm_report *report, cgwm_server_conf *conf,
                      cgwm_group *own);

#endif
