/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_LAUNCH_H
#define CGWM_LAUNCH_H

/* Starts cgatewayd from httpd's parent. */

#include <sys/stat.h>
#include <sys/types.h>

#include "apr_pools.h"

/* Tells two programs apart that have one path, one after the other. */
typedef struct cgwm_program_id {
    dev_t dev;
    ino_t ino;
    struct timespec changed;
} cgwm_program_id;

typedef struct cgwm_launch {
    const char *program;    /* absolute path of cgatewayd */
    const char *rundir;
    int lock;               /* descriptor of the directory's lock */
    pid_t predecessor;      /* which it is to relieve, 0: none */
    /* results */
    pid_t pid;
    int control;            /* our end of its control channel */
} cgwm_launch;

/* Identifies a file; all zero where there is none. */
void cgwm_program_identify(cgwm_program_id *id, const char *path);
int cgwm_program_is(const cgwm_program_id *id, const char *path);

/* errno of what failed, the exec included. */
apr_status_t cgwm_launch_run(cgwm_launch *launch, apr_pool_t *ptemp);

#endif
