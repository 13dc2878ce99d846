/* SPDX-License-Identifier: Apache-2.0 */

#include "obituary.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

#include "cgw_log.h"
#include "group.h"

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
    if (gen->mourned && gen->backoff.delay > 0 && gen->refill.slot) {
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

void cgwd_obituary_write(cgwd_process *proc, int status)
{
    cgwd_generation *gen = proc->generation;
    int expected = proc->state == CGWD_PROCESS_DRAINING || proc->killed
                   || gen->state == CGWD_GENERATION_FAILED;
    char end[128], more[64];

    describe_end(end, sizeof(end), status);
    cgwd_ends_add(&gen->group->ends, proc->pid,
                  cause_of_end(proc, expected ? NULL : end), proc->last_words);
    if (expected) {
        if (gen->spec->log_level >= LOG_INFO) {
            cgwd_log(gen->group->log, CGWD_INFO, "%s/%u pid %ld %s",
                     gen->group->name, gen->number, (long)proc->pid, end);
        }
        return;
    }
    if (is_one_of_many(gen)) {
        return;
    }
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0213)
             "%s: %s pid %ld %s while %s; its requests are lost, another takes "
             "its place%s. Last words: %s", gen->group->name,
             proc->state == CGWD_PROCESS_TEMPLATE ? "template" : "worker",
             (long)proc->pid, end, cgwd_process_state_name(proc->state),
             others(gen, more, sizeof(more)),
             proc->last_words[0] ? proc->last_words : "(none)");
}
