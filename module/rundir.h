/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_RUNDIR_H
#define CGWM_RUNDIR_H

/* The runtime directory: the lock that gives it to one httpd, and the
 * listening sockets of the groups, which httpd's parent keeps open while
 * supervisors and workers come and go. */

#include "httpd.h"

typedef struct cgwm_rundir cgwm_rundir;

/* Makes *dir (NULL at first) fit the configuration: creates and locks the
 * directory, binds the sockets of new groups, closes those of groups that are
 * gone (their files are the supervisor's to remove, when they have drained).
 * Lives in pool. Failures are logged. Waits up to 10 s for the lock where a
 * former httpd is about to end. */
apr_status_t cgwm_rundir_prepare(cgwm_rundir **dir, server_rec *main_server,
                                 apr_pool_t *ptemp, apr_pool_t *pool);

const char *cgwm_rundir_path(const cgwm_rundir *dir);
int cgwm_rundir_lock_fd(const cgwm_rundir *dir);
/* listening socket of a group, -1 where there is none */
int cgwm_rundir_socket(const cgwm_rundir *dir, const char *group);
/* Whether the directory is still the one that was locked; somebody may have
 * removed it. */
int cgwm_rundir_is_there(const cgwm_rundir *dir, apr_pool_t *ptemp);
/* Close every descriptor, in an httpd child. */
void cgwm_rundir_close(cgwm_rundir *dir);

#endif
