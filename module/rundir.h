/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_RUNDIR_H
#define CGWM_RUNDIR_H

/* The runtime directory: the lock that gives it to one httpd, and the
 * listening sockets of the groups, which httpd's parent keeps open while
 * supervisors and workers come and go. */

#include "httpd.h"

typedef struct cgwm_rundir cgwm_rundir;

/* Makes *dir (NULL at first) fit the configuration: creates and locks the
 * directory, binds the sockets of new groups and of those whose socket cannot be
 * reached any more, closes those of groups that are gone (their files are the
 * supervisor's to remove, when they have drained). anew: nothing is served on, so a
 * socket that has lost its name is replaced, too. Lives in pool. Failures are logged;
 * what could be done is done. Waits up to 10 s for the lock where a former httpd is
 * about to end. */
apr_status_t cgwm_rundir_prepare(cgwm_rundir **dir, server_rec *main_server, int anew,
                                 apr_pool_t *ptemp, apr_pool_t *pool);
/* Makes directory and lock anew where somebody has removed them, under a httpd that
 * runs. Failures are logged, the same one once. */
apr_status_t cgwm_rundir_renew(cgwm_rundir *dir, server_rec *main_server,
                               apr_pool_t *ptemp);
/* The same, and sockets that cannot be reached any more. Whether anything was missing
 * that is there now: the supervisor has to get it. */
int cgwm_rundir_mend(cgwm_rundir *dir, server_rec *main_server, apr_pool_t *ptemp);

const char *cgwm_rundir_path(const cgwm_rundir *dir);
int cgwm_rundir_lock_fd(const cgwm_rundir *dir);
/* listening socket of a group, -1 where there is none */
int cgwm_rundir_socket(const cgwm_rundir *dir, const char *group);
/* Whether the directory is still the one that was locked; somebody may have
 * removed it. */
int cgwm_rundir_is_there(const cgwm_rundir *dir, apr_pool_t *ptemp);
/* Close every descriptor but the handles, in an httpd child. */
void cgwm_rundir_close(cgwm_rundir *dir);
/* Close every descriptor and forget the sockets, of a directory that is left. */
void cgwm_rundir_leave(cgwm_rundir *dir);

/* A path that leads to the file that a descriptor stands for, whatever its name. */
#define CGWM_RUNDIR_HANDLE_MAX 32
void cgwm_rundir_handle_path(char path[CGWM_RUNDIR_HANDLE_MAX], int handle);

#endif
