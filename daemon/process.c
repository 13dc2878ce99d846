/* SPDX-License-Identifier: Apache-2.0 */

#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "cgw_control.h"
#include "cgw_log.h"
#include "channel.h"
#include "check.h"
#include "child.h"
#include "group.h"
#include "jitter.h"
#include "obituary.h"
#include "output.h"
#include "stacks.h"

/* Up to this part of CGatewayMaxLifetime is taken off at random. */
#define LIFETIME_JITTER 10
/* So long may a process take to write its stack. */
#define STACK_MS 200

static const char *const state_names[] = {
#define X(sym, name) [CGWD_PROCESS_##sym] = name,
    CGWD_PROCESS_STATES(X)
#undef X
};

const char *cgwd_process_state_name(enum cgwd_process_state state)
{
    return state_names[state];
}

static const char *name_of(const cgwd_process *proc)
{
    return proc->generation->group->name;
}

/* httpd shows notices always, what is below as LogLevel says */
static int is_verbose(const cgwd_process *proc)
{
    return proc->generation->spec->log_level >= LOG_INFO;
}

static const cgwd_writer *log_of(const cgwd_process *proc)
{
    return proc->generation->group->log;
}

static void start_lifetime(cgwd_process *proc)
{
    int64_t lifetime = proc->generation->spec->max_lifetime;

    if (lifetime > 0) {
        cgwd_timer_set(proc->sup->loop, &proc->lifetime,
                       lifetime - cgwd_jitter(lifetime / LIFETIME_JITTER));
    }
}

static void handle_lifetime(cgwd_timer *timer)
{
    cgwd_process *proc = timer->owner;

    cgwd_generation_replace(proc->generation, proc, "CGatewayMaxLifetime");
}

void cgwd_process_set_state(cgwd_process *proc, enum cgwd_process_state state,
                            const char *why)
{
    if (is_verbose(proc)) {
        cgwd_log(log_of(proc), CGWD_INFO, "%s/%u pid %ld: %s -> %s (%s)",
                 name_of(proc), proc->generation->number, (long)proc->pid,
                 state_names[proc->state], state_names[state], why);
    }
    proc->state = state;
    if (state != CGWD_PROCESS_STARTING && state != CGWD_PROCESS_LAUNCHING) {
        cgwd_timer_clear(proc->sup->loop, &proc->deadline);
    }
    if (state == CGWD_PROCESS_SERVING) {
        start_lifetime(proc);
    }
    else {
        cgwd_timer_clear(proc->sup->loop, &proc->lifetime);
    }
}

void cgwd_process_leave(cgwd_process *proc, const char *why)
{
    if (is_verbose(proc)) {
        cgwd_log(log_of(proc), CGWD_INFO, "%s/%u pid %ld is replaced (%s)",
                 name_of(proc), proc->generation->number, (long)proc->pid, why);
    }
    proc->leaving = why;
}

/* ---- the end of one ----------------------------------------------------- */

void cgwd_process_stop(cgwd_process *proc)
{
    if (proc->pid > 0 && cgwd_child_is(proc->pid)) {
        proc->killed = 1;
        kill(proc->pid, SIGSTOP);
    }
}

void cgwd_process_kill(cgwd_process *proc)
{
    if (proc->pid > 0 && cgwd_child_is(proc->pid)) {
        proc->killed = 1;
        kill(proc->pid, SIGKILL);
        kill(-proc->pid, SIGKILL); /* its session's first group */
    }
}

static void free_process(cgwd_process *proc)
{
    proc->sup->nprocesses--;
    cgwd_timer_clear(proc->sup->loop, &proc->deadline);
    cgwd_timer_clear(proc->sup->loop, &proc->lifetime);
    cgwd_stall_end(proc);
    cgwd_channel_close(proc);
    cgwd_stacks_close(proc);
    cgwd_board_close(&proc->board);
    free(proc);
}

/* It has gone. */
static void bury(cgwd_process *proc)
{
    cgwd_supervisor *sup = proc->sup;

    if (proc->pid > 0) {
        apr_hash_set(sup->processes, &proc->pid, sizeof(proc->pid), NULL);
    }
    cgwd_board_total(&proc->board, &cgwd_group_past(proc->generation->group)->totals);
    cgwd_output_close(proc); /* by way of its generation, which may go now */
    cgwd_generation_lost(proc->generation, proc);
    free_process(proc);
    cgwd_supervisor_check_end(sup);
}

/* A forked worker that was reaped, or may be, before its pid was known. */
static void lost_early(cgwd_process *proc)
{
    /* else its template has ended, as it was told to */
    if (cgwd_generation_is_alive(proc->generation) && !proc->killed) {
        cgwd_log(log_of(proc), CGWD_ERROR, CGW_LOGNO(0211)
                 "%s: a worker ended right after fork, before it could serve; a "
                 "limit on processes or memory, or a handler of "
                 "os.register_at_fork(), is a likely cause",
                 name_of(proc));
    }
    bury(proc);
}

void cgwd_process_fell_silent(cgwd_process *proc)
{
    int killed = proc->killed;

    cgwd_channel_close(proc);
    if (proc->pid == 0 || (kill(proc->pid, 0) < 0 && errno == ESRCH)) {
        lost_early(proc);
        return;
    }
    proc->silent = !cgwd_child_is_ending(proc->pid);
    /* a no-op where it is ending, as it should be */
    cgwd_process_kill(proc);
    proc->killed = killed;
}

/* ---- what takes too long ------------------------------------------------ */

/* One that was retired still has requests. */
static void drain_timed_out(cgwd_process *proc)
{
    cgwd_log(log_of(proc), CGWD_WARN, CGW_LOGNO(0275)
             "%s: pid %ld, which was replaced (%s), had not finished after "
             "%ld s and is killed; %s", name_of(proc), (long)proc->pid, proc->leaving,
             (long)(proc->generation->spec->drain_timeout / 1000),
             proc->drained ? CGWD_DRAINED_HINT
                           : "raise CGatewayDrainTimeout if its requests need longer");
    cgwd_process_kill(proc);
}

/* A fork that never came about: the template hangs, in a hook that the
 * application has for forks, or stopped. */
static void suspect_template(cgwd_generation *gen)
{
    if (gen->template) {
        cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0276)
                 "%s: template pid %ld does not fork; it is killed, and another "
                 "imports the application. A handler of os.register_at_fork() "
                 "that waits is a likely cause", gen->group->name,
                 (long)gen->template->pid);
        cgwd_stall_end_template(gen);
    }
}

/* It is asked where it is, and has a moment to say so. */
static void ask_for_stack(cgwd_process *proc)
{
    proc->overdue = 1;
    kill(proc->pid, CGW_STACK_SIGNAL);
    cgwd_timer_set(proc->sup->loop, &proc->deadline, STACK_MS);
}

static void start_timed_out(cgwd_process *proc)
{
    cgwd_generation *gen = proc->generation;

    if (proc->pid == 0) {
        suspect_template(gen);
        proc->killed = 1; /* nothing more is to be said of it */
        cgwd_process_fell_silent(proc);
        return;
    }
    cgwd_output_catch_up(proc);
    cgwd_log(log_of(proc), CGWD_ERROR, CGW_LOGNO(0220)
             "%s: pid %ld did not get from %s to serving within %ld s; raise "
             "CGatewayStartTimeout if the application needs longer. Output "
             "above may show where it was",
             name_of(proc), (long)proc->pid, state_names[proc->state],
             (long)(gen->spec->start_timeout / 1000));
    if (gen->state == CGWD_GENERATION_STARTING) {
        cgwd_generation_start_failed(gen, "CGatewayStartTimeout passed");
    }
    else {
        cgwd_process_kill(proc);
    }
}

static void handle_deadline(cgwd_timer *timer)
{
    cgwd_process *proc = timer->owner;

    if (proc->state == CGWD_PROCESS_DRAINING) {
        drain_timed_out(proc);
    }
    else if (proc->state == CGWD_PROCESS_STARTING && !proc->overdue) {
        ask_for_stack(proc);
    }
    else {
        start_timed_out(proc);
    }
}

/* ---- a new one ---------------------------------------------------------- */

/* From now on; 0 or an errno. */
static int hear(cgwd_process *proc, int control, int output)
{
    int err = cgwd_channel_open(proc, control);

    if (err) {
        return err;
    }
    err = cgwd_output_open(proc, output);
    if (err) {
        cgwd_watch_remove(proc->sup->loop, &proc->control);
    }
    return err;
}

cgwd_process *cgwd_process_create(cgwd_generation *gen,
                                  enum cgwd_process_state state, pid_t pid,
                                  int control, int output)
{
    cgwd_process *proc = calloc(1, sizeof(*proc));

    if (!proc) {
        return NULL;
    }
    proc->sup = gen->sup;
    proc->generation = gen;
    errno = hear(proc, control, output);
    if (errno) {
        free(proc);
        return NULL;
    }
    proc->state = state;
    proc->pid = pid;
    proc->born = cgwd_now();
    proc->stacks = -1;
    proc->deadline.owner = proc;
    proc->deadline.handle = handle_deadline;
    proc->lifetime.owner = proc;
    proc->lifetime.handle = handle_lifetime;
    cgwd_stall_init(proc);
    cgwd_timer_set(gen->sup->loop, &proc->deadline, gen->spec->start_timeout);
    proc->next = gen->processes;
    gen->processes = proc;
    gen->sup->nprocesses++;
    if (pid) {
        apr_hash_set(gen->sup->processes, &proc->pid, sizeof(proc->pid), proc);
    }
    return proc;
}

/* Whether it was reaped before it was known. */
static int was_reaped(cgwd_supervisor *sup, pid_t pid, int *status)
{
    for (unsigned i = 0; i < CGWD_STRAYS; i++) {
        struct cgwd_stray *stray = &sup->strays[i];
        if (stray->pid == pid && kill(pid, 0) < 0 && errno == ESRCH) {
            stray->pid = 0;
            *status = stray->status;
            return 1;
        }
    }
    return 0;
}

int cgwd_process_introduce(cgwd_process *proc, pid_t pid)
{
    cgwd_supervisor *sup = proc->sup;
    int status, reaped = was_reaped(sup, pid, &status);

    if (!reaped && !cgwd_child_is_new(sup, pid)) {
        return EPERM;
    }
    proc->pid = pid;
    apr_hash_set(sup->processes, &proc->pid, sizeof(proc->pid), proc);
    if (reaped) {
        cgwd_process_reaped(sup, pid, status);
        return ESRCH;
    }
    proc->killed = 0; /* as it may have seemed, or could not be yet */
    if (proc->generation->state == CGWD_GENERATION_FAILED) {
        cgwd_process_kill(proc);
    }
    return 0;
}

/* ---- orders ------------------------------------------------------------- */

void cgwd_process_drain(cgwd_process *proc)
{
    if (proc->state == CGWD_PROCESS_DRAINING) {
        return;
    }
    proc->closing = proc->state == CGWD_PROCESS_SERVING
                    || proc->state == CGWD_PROCESS_LAUNCHING;
    cgwd_process_set_state(proc, CGWD_PROCESS_DRAINING, "told to");
    if (proc->control.fd >= 0
        && cgw_message_send(proc->control.fd, CGW_MSG_DRAIN, 0, NULL, 0)) {
        shutdown(proc->control.fd, SHUT_WR); /* means the same, and needs no memory */
    }
}

void cgwd_process_retire(cgwd_process *proc, const char *why)
{
    proc->leaving = why;
    cgwd_process_drain(proc);
    cgwd_timer_set(proc->sup->loop, &proc->deadline,
                   proc->generation->spec->drain_timeout);
}

/* ---- death -------------------------------------------------------------- */

void cgwd_process_hear_out(cgwd_supervisor *sup, pid_t pid)
{
    cgwd_process *proc = apr_hash_get(sup->processes, &pid, sizeof(pid));

    if (proc) {
        cgwd_channel_hear_out(proc);
    }
}

void cgwd_process_reaped(cgwd_supervisor *sup, pid_t pid, int status)
{
    cgwd_process *proc = apr_hash_get(sup->processes, &pid, sizeof(pid));

    if (!proc && cgwd_check_reaped(sup, pid, status)) {
        return;
    }
    if (!proc) {
        /* a worker's orphan, or one that has not said yet who it is */
        sup->strays[sup->next_stray++ % CGWD_STRAYS] =
            (struct cgwd_stray){.pid = pid, .status = status};
        return;
    }
    cgwd_output_end(proc);
    cgwd_obituary_write(proc, status);
    bury(proc);
}
