/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_GENERATION_H
#define CGWD_GENERATION_H

#include "backoff.h"
#include "cgw_spec.h"
#include "memory.h"
#include "process.h"
#include "trigger.h"

/* X(symbol, name) */
#define CGWD_GENERATION_STATES(X)                                             \
    X(WAITING, "waiting")       /* for others that start */                   \
    X(STARTING, "starting")     /* its first process imports */               \
    X(READY, "ready")           /* workers are being forked */                \
    X(SERVING, "serving")                                                     \
    X(DRAINING, "draining")                                                   \
    X(FAILED, "failed")                                                       \
    X(GONE, "gone")

enum cgwd_generation_state {
#define X(sym, name) CGWD_GENERATION_##sym,
    CGWD_GENERATION_STATES(X)
#undef X
};

struct cgwd_group;

/* One load of a group's application. */
typedef struct cgwd_generation {
    cgwd_supervisor *sup;
    struct cgwd_group *group;
    apr_pool_t *pool;
    cgw_spec *spec;
    unsigned number;
    uint32_t python;            /* sys.hexversion of its interpreter, 0: unknown */
    int64_t born, served;       /* served: when it began to, 0: not yet */
    char *output;               /* the end of what it printed until it served */
    size_t output_len;
    enum cgwd_generation_state state; /* cgwd_generation_set_state only */
    cgwd_process *processes;
    cgwd_process *template;     /* NULL: none (any more), or solo */
    int solo;                   /* is not forked: every worker is exec'ed */
    cgwd_timer deadline;        /* of draining */
    cgwd_timer closing;         /* it is not waited for any longer */
    unsigned early_deaths;      /* of processes, before it served */
    int starved;                /* its latest process was not to be had: the system's
                                 * fault, not the application's */
    cgwd_wishes wishes;         /* of its processes: files to be watched */
    cgwd_memory memory;
    cgwd_timer refill;
    int64_t refilled;           /* when a worker that had done well was replaced */
    int mourned;                /* a death is in the log since the last refill */
    unsigned unmourned;         /* those that are not */
    cgwd_backoff backoff;       /* of replacing its processes */
    struct cgwd_generation *next;         /* in its group, newest first */
    struct cgwd_generation *next_waiting;
} cgwd_generation;

/* Bytes of output that a generation keeps. */
#define CGWD_OUTPUT_KEPT 8192

const char *cgwd_generation_state_name(enum cgwd_generation_state state);
void cgwd_generation_set_state(cgwd_generation *gen,
                               enum cgwd_generation_state state,
                               const char *why);

/* A generation with a copy of spec; starts as soon as not too many others
 * start. */
cgwd_generation *cgwd_generation_start(struct cgwd_group *group,
                                       const cgw_spec *spec);
void cgwd_generation_drain(cgwd_generation *gen, const char *why);
/* Kill everything, with no word but the reason. */
void cgwd_generation_abandon(cgwd_generation *gen, const char *why);

/* Whether some of its workers may still accept requests, though they were told
 * to drain. One that does not answer is no longer counted after a moment. */
int cgwd_generation_is_closing(const cgwd_generation *gen);

/* ready or serving */
int cgwd_generation_is_alive(const cgwd_generation *gen);

/* Start a worker and, once that one serves, drain proc. Until then, and where
 * no other can be started, proc goes on serving. A no-op for one that is
 * already being replaced, or does not serve. `why` is kept, not copied. */
void cgwd_generation_replace(cgwd_generation *gen, cgwd_process *proc,
                             const char *why);

unsigned cgwd_generation_count(const cgwd_generation *gen,
                               enum cgwd_process_state state);

/* What its processes tell it. A line of output, as it goes to the log: */
void cgwd_generation_heard(cgwd_generation *gen, const char *line, size_t len);
void cgwd_generation_ready(cgwd_generation *gen, cgwd_process *proc,
                           int forkable);
void cgwd_generation_process_serves(cgwd_generation *gen, cgwd_process *proc);
/* A no-op unless it is starting or ready. */
void cgwd_generation_start_failed(cgwd_generation *gen, const char *why);
/* proc has gone and is freed by the caller. */
void cgwd_generation_lost(cgwd_generation *gen, cgwd_process *proc);

#endif
