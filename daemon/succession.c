/* SPDX-License-Identifier: Apache-2.0 */

#include "succession.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgw_control.h"
#include "cgw_log.h"
#include "group.h"
#include "rundir.h"

/* A successor that dies before its groups serve says nothing. */
#define LONGEST_MS 120000

/* ---- the later one ------------------------------------------------------- */

static int is_starting(const cgwd_group *group)
{
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        if (g->state == CGWD_GENERATION_WAITING
            || g->state == CGWD_GENERATION_STARTING
            || g->state == CGWD_GENERATION_READY) {
            return 1;
        }
    }
    return 0;
}

static void handle_check(cgwd_timer *timer)
{
    cgwd_supervisor *sup = timer->owner;
    siginfo_t info = {.si_signo = CGW_SUCCESSION_SIGNAL, .si_code = SI_QUEUE};

    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        if (is_starting(group)) {
            return;
        }
    }
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = CGW_SUCCESSOR_SERVES;
    syscall(SYS_pidfd_send_signal, sup->predecessor, CGW_SUCCESSION_SIGNAL,
            &info, 0);
    close(sup->predecessor);
    sup->predecessor = -1;
}

void cgwd_succession_check(cgwd_supervisor *sup)
{
    if (sup->predecessor < 0 || !sup->admin) {
        return; /* none, or no configuration yet */
    }
    /* in the next turn: the caller may be on its way through the groups, and a
     * table has one iterator */
    sup->check_timer.owner = sup;
    sup->check_timer.handle = handle_check;
    cgwd_timer_set(sup->loop, &sup->check_timer, 0);
}

/* ---- the former one ------------------------------------------------------ */

/* Where the sockets are shared, the successor's workers accept from them, and
 * nothing waits for ours. Else httpd's children of the former configuration
 * may still come. */
static void drain_all(cgwd_supervisor *sup)
{
    int64_t delay = sup->succeeded == CGW_SUCCEEDED_SHARED ? 0 : CGWD_RETIRE_MS;

    cgwd_timer_clear(sup->loop, &sup->end_timer);
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        cgwd_group_retire(group, delay);
    }
    cgwd_succession_group_gone(sup);
}

static void handle_silence(cgwd_timer *timer)
{
    drain_all(timer->owner);
}

static void begin(cgwd_supervisor *sup, int how)
{
    cgwd_log(sup->log, CGWD_NOTICE, "another supervisor takes over; this one "
             "(pid %ld) serves until that one does", (long)getpid());
    sup->succeeded = how;
    cgwd_rundir_leave(sup);
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        cgwd_trigger_stop(&((cgwd_group *)group)->trigger);
    }
    sup->end_timer.owner = sup;
    sup->end_timer.handle = handle_silence;
    cgwd_timer_set(sup->loop, &sup->end_timer, LONGEST_MS);
    /* the end of the control channel told us of httpd's end */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != sup->parent) {
        cgwd_supervisor_end(sup, "httpd has ended", 0);
    }
}

void cgwd_succession_take(cgwd_supervisor *sup, int value)
{
    int how = value & ~CGW_SUCCEEDED_NOW;

    if (sup->ending) {
        return;
    }
    if (how == CGW_SUCCEEDED_SHARED || how == CGW_SUCCEEDED_APART
        || how == CGW_SUCCEEDED_ELSEWHERE) {
        begin(sup, how);
        if (how != value) {
            cgwd_supervisor_end(sup, "httpd restarts", 0);
        }
    }
    else if (value == CGW_SUCCESSOR_SERVES) {
        /* Where every group sleeps it has nothing to wait for, and is quicker
         * than httpd's parent. */
        sup->successor_serves = 1;
    }
    if (sup->succeeded && sup->successor_serves) {
        drain_all(sup);
    }
}

void cgwd_succession_group_gone(cgwd_supervisor *sup)
{
    if (sup->succeeded && apr_hash_count(sup->groups) == 0) {
        cgwd_supervisor_end(sup, "the former supervisor, its requests are "
                            "finished", 0);
    }
}
