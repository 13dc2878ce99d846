/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_PROCESS_H
#define CGWD_PROCESS_H

#include "block.h"
#include "board.h"
#include "log.h"
#include "stall.h"
#include "supervisor.h"
#include "words.h"

/* X(symbol, name) */
#define CGWD_PROCESS_STATES(X)                                                \
    X(STARTING, "starting")     /* imports the application */                 \
    X(TEMPLATE, "template")     /* forks workers when asked */                \
    X(LAUNCHING, "launching")   /* a worker about to accept */                \
    X(SERVING, "serving")                                                     \
    X(DRAINING, "draining")

enum cgwd_process_state {
#define X(sym, name) CGWD_PROCESS_##sym,
    CGWD_PROCESS_STATES(X)
#undef X
};

/* A template or a worker. What it says is not trusted. */
typedef struct cgwd_process {
    cgwd_supervisor *sup;
    struct cgwd_generation *generation;
    enum cgwd_process_state state;  /* written by cgwd_process_set_state only */
    pid_t pid;                      /* 0: forked, has not said anything yet */
    int64_t born;
    int killed;                     /* by us */
    int silent;                     /* it runs, and has closed its channel */
    int overdue;                    /* its import took too long */
    int closing;                    /* was told to drain, and may still accept */
    int drained;                    /* has no requests any more, it says */
    const char *leaving;            /* why it is to be replaced; NULL: it stays.
                                       Written by cgwd_process_leave only */
    cgwd_timer deadline;            /* of STARTING, LAUNCHING and, where it was
                                       retired, DRAINING */
    cgwd_timer lifetime;            /* of SERVING */
    cgwd_stall stall;
    cgwd_watch control, output;     /* fd -1: closed */
    int stacks;                     /* pipe of what stacks.h says, -1: none */
    cgwd_board board;               /* of a worker */
    char line[CGWD_LINE_MAX];       /* output that has no line end yet */
    size_t line_len;
    struct cgw_buf held;            /* lines that others may belong to */
    enum cgwd_block block;          /* what they are */
    int64_t held_since;
    cgwd_timer hold;                /* how long they wait for more */
    char last_words[256];
    enum cgwd_words words;          /* which ones they are */
    struct cgwd_process *next;      /* in its generation */
} cgwd_process;

/* What keeps one that is drained. */
#define CGWD_DRAINED_HINT                                                     \
    "it has no requests any more: Python waits for a thread of the application " \
    "that is no daemon, or for what it does at exit"

const char *cgwd_process_state_name(enum cgwd_process_state state);
void cgwd_process_set_state(cgwd_process *proc, enum cgwd_process_state state,
                            const char *why);

/* A new one of its generation, for birth.c: takes both descriptors over. pid 0: it
 * is not known yet. NULL with errno: there is no memory, or it
 * cannot be heard, and they are still the caller's. */
cgwd_process *cgwd_process_create(struct cgwd_generation *gen,
                                  enum cgwd_process_state state, pid_t pid,
                                  int control, int output);
/* A forked worker's pid is known now. 0 or an errno: ESRCH where it has been reaped
 * already, and proc is gone; EPERM where it cannot be one: it is no child of the
 * supervisor's, or is known as another process. */
int cgwd_process_introduce(cgwd_process *proc, pid_t pid);
/* It will say nothing more at its control channel; it is killed if it still runs.
 * proc may be gone. */
void cgwd_process_fell_silent(cgwd_process *proc);

/* Tell it to drain (a template: to end). */
void cgwd_process_drain(cgwd_process *proc);
/* Mark it as one that waits for its successor. */
void cgwd_process_leave(cgwd_process *proc, const char *why);
/* Drain it, and kill it if that takes longer than CGatewayDrainTimeout. */
void cgwd_process_retire(cgwd_process *proc, const char *why);
/* SIGSTOP, before it is killed. */
void cgwd_process_stop(cgwd_process *proc);
/* SIGKILL, to its session too. */
void cgwd_process_kill(cgwd_process *proc);

/* pid has ended and is not reaped yet: take the messages that it left. */
void cgwd_process_hear_out(cgwd_supervisor *sup, pid_t pid);
/* The kernel has reaped pid: log its obituary, tell the generation. */
void cgwd_process_reaped(cgwd_supervisor *sup, pid_t pid, int status);

#endif
