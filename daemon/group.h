/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_GROUP_H
#define CGWD_GROUP_H

#include <sys/types.h>

#include "backoff.h"
#include "demand.h"
#include "ends.h"
#include "generation.h"
#include "mounts.h"
#include "history.h"
#include "trigger.h"

/* How long a group that the configuration no longer has goes on serving:
 * httpd's children of the former configuration may still ask for it. */
#define CGWD_RETIRE_MS 10000

/* Why the latest generation that could not be started was not. */
typedef struct cgwd_failure {
    unsigned generation;
    int64_t time;               /* seconds since 1970 */
    char reason[128];
    char output[CGWD_OUTPUT_KEPT]; /* the end of what it printed */
} cgwd_failure;

/* Of processes that have gone: what a group that nobody has asked for need not have. */
typedef struct cgwd_past {
    cgwd_ends ends;
    struct cgw_totals totals;   /* of workers */
} cgwd_past;

/* A named set of worker processes that serve one application. */
typedef struct cgwd_group {
    cgwd_supervisor *sup;
    apr_pool_t *pool;
    apr_pool_t *spec_pool;
    cgw_spec *spec;
    const char *name;
    const char *digest;
    int listener;               /* ours */
    const cgwd_writer *log;     /* the same */
    cgwd_mounts mounts;         /* the file system of its processes */
    dev_t socket_dev;           /* of the socket's file */
    ino_t socket_ino;           /* 0: it is not there, and httpd's parent knows */
    unsigned last_number;
    cgwd_generation *generations; /* newest first */
    cgwd_timer retry;           /* of a start that failed; retirement */
    cgwd_backoff backoff;       /* of starting */
    cgwd_failure *failure;      /* NULL: there was none */
    cgwd_history history;
    cgwd_past *past;            /* NULL: none */
    cgwd_queue queue;           /* of requests that nobody has accepted */
    int refusing;               /* them; cgwd_group_set_refusing only */
    cgwd_demand demand;
    cgwd_trigger trigger;       /* its watched files */
    int retiring;
    int64_t owes_until;         /* so long one that retires answers who waits at its
                                   socket */
    int stopped;                /* by an administrator: nothing starts */
    int restarting;             /* a generation starts once all have gone */
    int given_up;               /* the last start, for a graceful restart */
    int again;                  /* one more start, once the present one has ended */
    int unready;                /* told to say so: load balancers shall leave */
    int seen;                   /* in the configuration being applied */
} cgwd_group;

/* Takes over the pool with the spec, and both descriptors. */
void cgwd_group_create(cgwd_supervisor *sup, apr_pool_t *spec_pool,
                       cgw_spec *spec, int listener, int log);
/* how: CGW_COMMIT_* */
void cgwd_group_update(cgwd_group *group, apr_pool_t *spec_pool, cgw_spec *spec,
                       int listener, int log, int how);
/* Start a new generation of the present configuration beside the old, as a
 * graceful restart does. */
void cgwd_group_reload(cgwd_group *group, const char *why);
/* It is asleep, and a request waits. */
void cgwd_group_wake(cgwd_group *group);
/* What an administrator asks for. Each returns the number of the generation
 * that serves, or will, once it has been done; it may be superseded.
 * start: of a group that was stopped, or cannot be started; else a no-op.
 * restart: nothing of the new generation runs beside the old. */
unsigned cgwd_group_start(cgwd_group *group, const char *why);
unsigned cgwd_group_restart(cgwd_group *group, int now, const char *why);
/* Requests are refused until it is started again, or httpd is restarted. `now`:
 * running requests are lost; else they have CGatewayDrainTimeout. */
void cgwd_group_stop(cgwd_group *group, int now, const char *why);
/* The generation that answers requests, or NULL. */
const cgwd_generation *cgwd_group_serving(const cgwd_group *group);
/* Whether it answers requests, and nobody told it or everything to drain. */
int cgwd_group_is_ready(const cgwd_group *group);
/* Whether its newest generation still loads the application. */
int cgwd_group_is_starting(const cgwd_group *group);
/* The configuration no longer has it: serve so many ms longer (mostly
 * CGWD_RETIRE_MS), and until nobody waits at its socket any more, then drain. */
void cgwd_group_retire(cgwd_group *group, int64_t delay);
/* To add to what it was. */
cgwd_past *cgwd_group_past(cgwd_group *group);
/* What all its workers have counted since the group began. */
void cgwd_group_total(const cgwd_group *group, struct cgw_totals *totals);
/* Remove the socket's file if it is still ours. */
void cgwd_group_unlink(const cgwd_group *group);

/* What its generations tell it. */
void cgwd_group_serves(cgwd_group *group, cgwd_generation *gen);
void cgwd_group_start_failed(cgwd_group *group, cgwd_generation *gen,
                             const char *why);
/* Workers of the newest generation die again and again, or come back. */
void cgwd_group_set_refusing(cgwd_group *group, int on);
/* gen has gone and is freed by the caller. */
void cgwd_group_lost(cgwd_group *group, cgwd_generation *gen);

#endif
