/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SPAWN_H
#define CGWD_SPAWN_H

#include <sys/resource.h>
#include <sys/types.h>

#include "cgw_spec.h"
#include "mounts.h"

/* What a process of a group is exec'ed with. */
typedef struct cgwd_spawn {
    const cgw_spec *spec;
    const char *library;    /* directory of bootstrap.py */
    int control;            /* becomes CGW_CONTROL_FD */
    int listener;           /* becomes CGW_LISTEN_FD */
    int output;             /* becomes stdout and stderr */
    uid_t owner;            /* of the socket: httpd's user */
    const cgwd_mounts *mounts; /* to enter */
    struct rlimit descriptors; /* RLIMIT_NOFILE */
    unsigned generation;    /* its number, 0: none */
    int solo;               /* it is known that the process will not be forked */
    const char *check;      /* path of a request or ""; NULL: not for check.h */
} cgwd_spawn;

/* Fork and exec. Returns the pid, or -1 with errno where fork failed, or, with
 * *what, where that file of the control group cannot be made or written. A step
 * that fails in the child (switching user, chdir, exec) is said in one line on
 * its stderr, and it exits with 127. Memory comes from p. */
pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p);

#endif
