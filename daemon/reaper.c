/* SPDX-License-Identifier: Apache-2.0 */

#include "reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgw_control.h"
#include "cgroup.h"
#include "process.h"
#include "succession.h"

/* The sweep's patience with processes that SIGKILL does not end at once. */
#define SWEEP_TURNS 100
#define SWEEP_PAUSE_MS 20

/* Each one is heard out before it is reaped: its last message may say why it
 * ended, and until then its pid is nobody else's. */
static void reap(cgwd_supervisor *sup)
{
    siginfo_t ended = {.si_pid = 0};
    int status;

    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0
           && ended.si_pid > 0) {
        cgwd_process_hear_out(sup, ended.si_pid);
        if (waitpid(ended.si_pid, &status, WNOHANG) != ended.si_pid) {
            break; /* at the next signal */
        }
        cgwd_process_reaped(sup, ended.si_pid, status);
        ended.si_pid = 0;
    }
    cgwd_cgroup_sweep(sup);
}

/* What the kernel says of children that were stopped or continued; each once. */
static void take_stops(cgwd_supervisor *sup)
{
    siginfo_t info = {.si_pid = 0};

    while (waitid(P_ALL, 0, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0
           && info.si_pid > 0) {
        cgwd_stall_take(sup, info.si_pid, info.si_code == CLD_STOPPED);
        info.si_pid = 0;
    }
}

/* The kernel's word that httpd has ended, to one that is succeeded; else somebody's
 * who wants this one to go. */
static void take_sigterm(cgwd_supervisor *sup)
{
    if (sup->succeeded) {
        cgwd_supervisor_end(sup, "SIGTERM", 0);
    }
    else {
        cgwd_supervisor_leave(sup);
    }
}

void cgwd_reaper_take(cgwd_supervisor *sup)
{
    struct signalfd_siginfo info;

    while (read(sup->signals->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTERM) {
            take_sigterm(sup);
        }
        else if (info.ssi_signo == CGW_SUCCESSION_SIGNAL) {
            cgwd_succession_take(sup, info.ssi_int);
        }
    }
    take_stops(sup);
    reap(sup);
}

static void handle_signal(cgwd_watch *watch)
{
    cgwd_reaper_take(watch->owner);
}

int cgwd_reaper_listen(cgwd_supervisor *sup)
{
    cgwd_watch *watch = apr_pcalloc(sup->pool, sizeof(*watch));
    sigset_t ours;

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    /* httpd's parent sends these to its process group */
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGWINCH, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is no reason to die */
    sigemptyset(&ours);
    sigaddset(&ours, SIGCHLD);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, CGW_SUCCESSION_SIGNAL);
    sigprocmask(SIG_SETMASK, &ours, NULL);
    watch->fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch->fd < 0) {
        return errno;
    }
    sup->signals = watch;
    watch->owner = sup;
    watch->handle = handle_signal;
    return cgwd_watch_add(sup->loop, watch);
}

/* Signals each child once; they are then reaped, and theirs become ours. */
static int kill_children(void)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    char *text = NULL, *at, *end;
    size_t size = 0;
    int n = 0;

    if (!file) {
        return 0;
    }
    if (getdelim(&text, &size, '\0', file) > 0) {
        for (at = text; strtol(at, &end, 10) > 0; at = end) {
            kill((pid_t)strtol(at, NULL, 10), SIGKILL);
            n++;
        }
    }
    free(text);
    fclose(file);
    return n;
}

int cgwd_reaper_sweep(void)
{
    int left = 0;

    for (int turn = 0; turn < SWEEP_TURNS; turn++) {
        left = kill_children();
        if (!left) {
            return 0;
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {
            continue;
        }
        poll(NULL, 0, turn ? SWEEP_PAUSE_MS : 0);
    }
    return left;
}
