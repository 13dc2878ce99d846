/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SUPERVISOR_H
#define CGWD_SUPERVISOR_H

#include <apr_hash.h>
#include <apr_pools.h>
#include <sys/resource.h>

#include "log.h"
#include "loop.h"
#include "notify.h"
#include "oom.h"

#define CGWD_STRAYS 64

struct cgwd_admin;
struct cgwd_check;
struct cgwd_generation;
struct cgwd_left_cgroup;
typedef struct cgwd_rundir cgwd_rundir;

/* The whole of cgatewayd's state, handed to who needs it; there are no
 * globals. */
typedef struct cgwd_supervisor {
    cgwd_loop *loop;
    cgwd_watch *signals;        /* the signalfd */
    apr_pool_t *pool;
    const char *library;        /* directory of cgatewayd and bootstrap.py */
    const char *rundir;
    int lock;                   /* its own, -1 once given up */
    cgwd_rundir *dir;           /* NULL: not watched (rundir.c) */
    cgwd_writer *log;           /* the main server's error log */
    struct rlimit descriptors;  /* as httpd's parent had it: the workers' */
    uid_t httpd_uid;            /* of httpd's children */
    int64_t born;
    struct cgwd_admin *admin;   /* NULL until the first configuration */
    pid_t parent;               /* httpd's */
    int predecessor;            /* CGW_PREDECESSOR_FD, -1: none (any more) */
    cgwd_timer check_timer;     /* looks whether that one is to be told */
    int succeeded;              /* CGW_SUCCEEDED_*; 0: no other takes over */
    int successor_serves;       /* it said so before we knew of it */
    cgwd_timer sampler;         /* sampler.c */
    cgwd_oom oom;
    int ending;
    int left;                   /* ends as if killed */
    struct cgwd_check *checks;  /* that run (check.c) */
    int stacks_busy;            /* somebody collects stacks (stacks.c) */
    int unready;                /* told to say so of every group */
    cgwd_timer end_timer;       /* of ending, or of being succeeded */

    cgwd_notify *notify;        /* NULL: the system has none left */
    int64_t overflow_said, narrow_said;
    apr_hash_t *groups;         /* name -> cgwd_group */
    struct cgwd_left_cgroup *left_cgroups; /* to be removed (cgroup.c) */
    apr_hash_t *processes;      /* pid -> cgwd_process */
    unsigned nprocesses;        /* with those whose pid is not known yet */

    /* The latest to be reaped that were nobody's, as far as known: a forked
     * worker may die before its first message is read. */
    struct cgwd_stray { pid_t pid; int status; } strays[CGWD_STRAYS];
    unsigned next_stray;

    unsigned starting;          /* generations that import their application */
    struct cgwd_generation *waiting, **waiting_end; /* to be started, FIFO */
} cgwd_supervisor;

/* How many generations import at a time. */
#define CGWD_STARTING_MAX 4
/* How long processes have to end by themselves when httpd has ended. */
#define CGWD_END_MS 3000

/* End everything. Where httpd has ended, the runtime directory is given free
 * first; else httpd's parent starts another supervisor on the same sockets. */
void cgwd_supervisor_end(cgwd_supervisor *sup, const char *why,
                         int httpd_ended);
/* End as if killed: the processes finish their requests by themselves, while httpd's
 * parent starts another supervisor. */
void cgwd_supervisor_leave(cgwd_supervisor *sup);
/* Files of sites (CGatewayWatch), where that is not done already. */
void cgwd_supervisor_watch_files(cgwd_supervisor *sup);
/* After a process has gone: stops the loop when that was the last. */
void cgwd_supervisor_check_end(cgwd_supervisor *sup);

#endif
