/* SPDX-License-Identifier: Apache-2.0 */

#include "stall.h"

#include <string.h>

#include "cgw_clock.h"
#include "cgw_log.h"
#include "child.h"
#include "group.h"

/* A template that is stopped loses nobody's request when it is ended. */
#define TEMPLATE_MS 5000
/* After a longer time between two looks we have not run ourselves. */
#define LOOK_MAX_MS (CGWD_SAMPLE_MS + CGWD_SAMPLE_MS / 10)

const char *cgwd_stall_word(char letter)
{
    switch (letter) {
    case 'T': return "it is stopped (SIGSTOP)";
    case 't': return "a debugger has stopped it";
    case 'D': return "it hangs in the kernel";
    default: return NULL;
    }
}

/* ---- workers ------------------------------------------------------------------ */

static int is_replaceable(const cgwd_process *proc)
{
    return proc->state == CGWD_PROCESS_SERVING && !proc->leaving && !proc->killed
           && cgwd_generation_is_alive(proc->generation);
}

static void replace(cgwd_process *proc, int64_t ms, const char *why)
{
    cgwd_generation *gen = proc->generation;
    const char *word = cgwd_stall_word(cgwd_child_state(proc->pid));

    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0262)
             "%s: pid %ld has not run for %ld s (%s): %s. Another one takes its "
             "place; its requests have CGatewayDrainTimeout (%ld s) to finish, should "
             "it run again", gen->group->name, (long)proc->pid, (long)(ms / 1000), why,
             word ? word : "not even its watchdog does; a frozen control group, or a "
                           "machine that is overloaded",
             (long)(gen->spec->drain_timeout / 1000));
    cgwd_generation_replace(gen, proc, why);
}

void cgwd_stall_look(cgwd_process *proc)
{
    uint64_t watched = cgwd_board_watched(&proc->board);
    int64_t patience = proc->generation->spec->deadlock_timeout;
    int64_t now = cgwd_now(), since = now - proc->stall.looked;

    proc->stall.looked = now;
    if (watched != proc->stall.watched || !is_replaceable(proc)
        || !cgwd_board_has_requests(&proc->board)) {
        proc->stall.watched = watched;
        proc->stall.silent = 0;
        return;
    }
    if (since > LOOK_MAX_MS) {
        return;
    }
    proc->stall.silent += CGWD_SAMPLE_MS;
    if (cgwd_board_is_late(&proc->board, cgw_clock_us())) {
        replace(proc, proc->stall.silent, "CGatewayRequestTimeout");
    }
    else if (patience > 0 && proc->stall.silent >= patience) {
        replace(proc, proc->stall.silent, "CGatewayDeadlockTimeout");
    }
}

/* ---- templates ----------------------------------------------------------------- */

void cgwd_stall_end_template(cgwd_generation *gen)
{
    for (cgwd_process *p = gen->processes; p; p = p->next) {
        p->killed |= p->pid == 0; /* what it was still to fork */
    }
    cgwd_process_kill(gen->template);
    gen->template = NULL; /* nothing more is asked of it while it dies */
}

static void end_stopped_template(cgwd_process *proc)
{
    cgwd_generation *gen = proc->generation;

    if (!cgwd_generation_is_alive(gen) || gen->template != proc) {
        return;
    }
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0263)
             "%s: template pid %ld is stopped (SIGSTOP); it is killed, and another "
             "imports the application. Its workers serve on", gen->group->name,
             (long)proc->pid);
    cgwd_stall_end_template(gen);
}

/* ---- what the kernel says -------------------------------------------------------- */

static void handle_stopped(cgwd_timer *timer)
{
    cgwd_process *proc = timer->owner;

    if (proc->state == CGWD_PROCESS_TEMPLATE) {
        end_stopped_template(proc);
    }
    else if (is_replaceable(proc)) {
        replace(proc, proc->generation->spec->deadlock_timeout,
                "CGatewayDeadlockTimeout");
    }
}

/* Other processes than these have a deadline of their own. */
void cgwd_stall_take(cgwd_supervisor *sup, pid_t pid, int is_stopped)
{
    cgwd_process *proc = apr_hash_get(sup->processes, &pid, sizeof(pid));
    int64_t patience;

    if (!proc) {
        return; /* somebody's orphan */
    }
    patience = proc->state == CGWD_PROCESS_TEMPLATE
                   ? TEMPLATE_MS : proc->generation->spec->deadlock_timeout;
    if (is_stopped && patience > 0) {
        cgwd_timer_set(sup->loop, &proc->stall.stopped, patience);
    }
    else {
        cgwd_timer_clear(sup->loop, &proc->stall.stopped);
    }
}

void cgwd_stall_init(cgwd_process *proc)
{
    proc->stall.stopped.owner = proc;
    proc->stall.stopped.handle = handle_stopped;
}

void cgwd_stall_end(cgwd_process *proc)
{
    cgwd_timer_clear(proc->sup->loop, &proc->stall.stopped);
}
