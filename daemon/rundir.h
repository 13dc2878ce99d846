/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_RUNDIR_H
#define CGWD_RUNDIR_H

#include "supervisor.h"

struct cgwd_group;

/* The runtime directory, from which somebody may remove files while httpd runs, or
 * which he may remove: the control socket is made anew here; for the directory, its
 * lock and the sockets of groups httpd's parent is called (CGW_CALL_SIGNAL), whose
 * they are. Both a moment after the removal, and less often where it goes on. */

/* Whether the lock that this supervisor has is the file of that path: the directory may
 * be another one by now. */
int cgwd_rundir_has_lock(const cgwd_supervisor *sup, const char *path);
/* Watch it, again where it is another one now. Without inotify httpd's parent looks
 * by itself. */
void cgwd_rundir_watch(cgwd_supervisor *sup);
/* A process of the group has ended: perhaps since the socket was shut down. */
void cgwd_rundir_doubt(struct cgwd_group *group);
void cgwd_rundir_leave(cgwd_supervisor *sup);

#endif
