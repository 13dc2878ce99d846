/* SPDX-License-Identifier: Apache-2.0 */

#include "obituary.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

#include "cgw_log.h"
#include "group.h"

/* Who sent SIGKILL, and why if it was us; *cause is set where that says more. */
static const char *killer(cgwd_supervisor *sup, int silent, const char **cause)
{
    if (silent) {
        *cause = "closed its channel";
        return ", by this supervisor: its application had closed descriptors that "
               "are not its own, or started another program in its place,";
    }
    switch (cgwd_oom_explains(&sup->oom, cgwd_oom_count())) {
    case CGWD_OOM_YES:
        *cause = "out of memory";
        return ", which the kernel sent for want of memory,";
    case CGWD_OOM_NO:
        return ", sent neither by this supervisor nor by the kernel for want of "
               "memory,";
    default:
        return ", not sent by this supervisor; want of memory is a likely cause "
               "(dmesg),";
    }
}

static void describe_requests(char *out, size_t size, unsigned n)
{
    if (n == 0) {
        snprintf(out, size, "it had no requests; another takes its place");
    }
    else {
        snprintf(out, size, "it had %u request%s, lost unless %s can be repeated; "
                 "another takes its place", n, n == 1 ? "" : "s",
                 n == 1 ? "it" : "they");
    }
}

/* What it means for requests. A worker may have one before it has said that it serves. */
static void describe_loss(char *out, size_t size, const cgwd_process *proc)
{
    unsigned busy = cgwd_board_busy(&proc->board);

    switch (proc->state) {
    case CGWD_PROCESS_TEMPLATE:
        snprintf(out, size, "no request is lost: its workers serve on, and another "
                 "template imports the application");
        break;
    case CGWD_PROCESS_STARTING:
        snprintf(out, size, "it had no requests yet");
        break;
    case CGWD_PROCESS_LAUNCHING:
        if (busy == 0) {
            snprintf(out, size, "it had no requests yet; another takes its place");
            break;
        }
        /* fall through */
    default:
        describe_requests(out, size, busy);
    }
}

static const char *kind_of(const cgwd_process *proc)
{
    switch (proc->state) {
    case CGWD_PROCESS_TEMPLATE: return "template";
    case CGWD_PROCESS_STARTING: return "process"; /* it may become either */
    default: return "worker";
    }
}

static void describe_end(char *out, size_t size, int status)
{
    if (WIFSIGNALED(status)) {
        snprintf(out, size, "was ended by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    }
    else {
        snprintf(out, size, "exited with code %d", WEXITSTATUS(status));
    }
}

/* In few words; how it ended by itself, or NULL. */
static const char *cause_of_end(const cgwd_process *proc, const char *by_itself)
{
    if (proc->leaving || by_itself) {
        return proc->leaving ? proc->leaving : by_itself;
    }
    switch (proc->generation->state) {
    case CGWD_GENERATION_DRAINING: return "reload or stop";
    case CGWD_GENERATION_FAILED: return "failed or abandoned start";
    default: return "killed by the supervisor";
    }
}

/* In a crash loop, one death is told for each attempt to start another. */
static int is_one_of_many(cgwd_generation *gen)
{
    int waits = gen->backoff.delay > 0 || gen->refilled > cgwd_now();

    if (gen->mourned && waits && gen->refill.slot) {
        gen->unmourned++;
        return 1;
    }
    gen->mourned = 1;
    return 0;
}

/* How many were not told of. */
static const char *others(cgwd_generation *gen, char *out, size_t size)
{
    out[0] = '\0';
    if (gen->unmourned) {
        snprintf(out, size, " (and so did %u others before it)", gen->unmourned);
        gen->unmourned = 0;
    }
    return out;
}

/* It is no surprise. */
static void note_end(const cgwd_process *proc, const char *end)
{
    const cgwd_generation *gen = proc->generation;

    if (gen->spec->log_level >= LOG_INFO) {
        cgwd_log(gen->group->log, CGWD_INFO, "%s/%u pid %ld %s", gen->group->name,
                 gen->number, (long)proc->pid, end);
    }
}

void cgwd_obituary_write(cgwd_process *proc, int status)
{
    cgwd_generation *gen = proc->generation;
    int expected = proc->state == CGWD_PROCESS_DRAINING || proc->killed
                   || gen->state == CGWD_GENERATION_FAILED;
    char end[128], loss[128], more[64];
    const char *by = "", *cause = end;

    describe_end(end, sizeof(end), status);
    if (!expected && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        by = killer(gen->sup, proc->silent, &cause);
    }
    cgwd_ends_add(&cgwd_group_past(gen->group)->ends, proc->pid,
                  cause_of_end(proc, expected ? NULL : cause), proc->last_words);
    if (expected) {
        note_end(proc, end);
        return;
    }
    if (is_one_of_many(gen)) {
        return;
    }
    describe_loss(loss, sizeof(loss), proc);
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0213)
             "%s: %s pid %ld %s%s while %s; %s%s. Last words: %s", gen->group->name,
             kind_of(proc), (long)proc->pid, end, by,
             cgwd_process_state_name(proc->state), loss, others(gen, more, sizeof(more)),
             proc->last_words[0] ? proc->last_words : "(none)");
}
