/* SPDX-License-Identifier: Apache-2.0 */

#include "overdue.h"

#include "cgw_log.h"
#include "group.h"

/* Its other requests may finish. */
static void replace_slow(cgwd_process *proc, uint64_t ms)
{
    cgwd_generation *gen = proc->generation;

    if (proc->leaving || proc->state == CGWD_PROCESS_DRAINING) {
        return;
    }
    cgwd_log(gen->group->log, CGWD_WARN, CGW_LOGNO(0260)
             "%s: pid %ld: a request took %.1f s, longer than "
             "CGatewayRequestTimeout; its client was answered, its Python stack is "
             "logged with it. The process is replaced; its other requests have "
             "CGatewayDrainTimeout (%ld s) to finish", gen->group->name,
             (long)proc->pid, (double)ms / 1000,
             (long)(gen->spec->drain_timeout / 1000));
    cgwd_generation_replace(gen, proc, "CGatewayRequestTimeout");
}

/* Nothing in it can finish: its successor need not serve first. */
static void replace_dead(cgwd_process *proc, uint64_t ms)
{
    cgwd_generation *gen = proc->generation;

    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0261)
             "%s: pid %ld: no thread got the interpreter lock for %.1f s "
             "(CGatewayDeadlockTimeout); the process is killed, with the requests "
             "that it has, and another takes its place. The Python stacks of its "
             "threads are above", gen->group->name, (long)proc->pid,
             (double)ms / 1000);
    cgwd_generation_replace(gen, proc, "CGatewayDeadlockTimeout");
    cgwd_process_kill(proc);
}

int cgwd_overdue_take(cgwd_process *proc, const struct cgw_message *msg)
{
    if (msg->type == CGW_MSG_OVERDUE) {
        replace_slow(proc, msg->arg);
    }
    else if (msg->type == CGW_MSG_DEADLOCKED) {
        replace_dead(proc, msg->arg);
    }
    else {
        return 0;
    }
    return 1;
}
