/* SPDX-License-Identifier: Apache-2.0 */

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_strings.h"

#include "cgw_control.h"

/* How long httpd's parent waits for cgatewayd to take a configuration. It
 * answers within milliseconds: only a stopped process takes longer. */
#define ANSWER_TIMEOUT_SECONDS 10

struct plan {
    char *argv[4], *envp[3];
};

void cgwm_program_identify(cgwm_program_id *id, const char *path)
{
    struct stat st;

    memset(id, 0, sizeof(*id));
    if (stat(path, &st) == 0) {
        id->dev = st.st_dev;
        id->ino = st.st_ino;
        id->changed = st.st_mtim;
    }
}

int cgwm_program_is(const cgwm_program_id *id, const char *path)
{
    cgwm_program_id other;

    cgwm_program_identify(&other, path);
    return other.dev == id->dev && other.ino == id->ino
           && other.changed.tv_sec == id->changed.tv_sec
           && other.changed.tv_nsec == id->changed.tv_nsec;
}

/* In the child of fork(): async-signal-safe calls only. */
static void exec_supervisor(const struct plan *plan, int control, int lock,
                            int predecessor, int failure)
{
    sigset_t none;
    int devnull;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* prefork signals its whole process group */
    /* out of the way of the descriptors that are about to be placed */
    control = fcntl(control, F_DUPFD_CLOEXEC, 10);
    lock = fcntl(lock, F_DUPFD_CLOEXEC, 10);
    failure = fcntl(failure, F_DUPFD_CLOEXEC, 10);
    if (predecessor >= 0) {
        predecessor = fcntl(predecessor, F_DUPFD_CLOEXEC, 10);
    }
    devnull = open("/dev/null", O_RDWR);
    if (control >= 0 && lock >= 0 && failure >= 0 && devnull >= 0
        && dup2(devnull, STDIN_FILENO) >= 0 && dup2(devnull, STDOUT_FILENO) >= 0
        && dup2(control, CGW_SUPERVISOR_FD) >= 0 && dup2(lock, CGW_LOCK_FD) >= 0
        && (predecessor < 0 || dup2(predecessor, CGW_PREDECESSOR_FD) >= 0)) {
        execve(plan->argv[0], plan->argv, plan->envp);
    }
    int err = errno;
    if (write(failure, &err, sizeof(err)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static void set_timeouts(int fd)
{
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_SECONDS};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* errno of the exec, 0 where it succeeded (the pipe closed on exec) */
static int exec_result(int fd)
{
    int err = 0;
    ssize_t n;

    do {
        n = read(fd, &err, sizeof(err));
    } while (n < 0 && errno == EINTR);
    return n == sizeof(err) ? err : 0;
}

static void make_plan(struct plan *plan, const cgwm_launch *launch, apr_pool_t *p)
{
    const char *tz = getenv("TZ");

    memset(plan, 0, sizeof(*plan));
    plan->argv[0] = apr_pstrdup(p, launch->program);
    plan->argv[1] = apr_pstrdup(p, launch->rundir);
    if (launch->predecessor > 0) {
        plan->argv[2] = apr_ltoa(p, (long)launch->predecessor);
    }
    plan->envp[0] = apr_pstrdup(p, "PATH=/usr/local/sbin:/usr/local/bin:"
                                   "/usr/sbin:/usr/bin:/sbin:/bin");
    plan->envp[1] = tz ? apr_pstrcat(p, "TZ=", tz, NULL) : NULL;
}

static void close_pair(const int *fds)
{
    close(fds[0]);
    close(fds[1]);
}

/* Forks with both pairs open; closes the child's ends. 0 or errno. */
static int fork_and_exec(cgwm_launch *launch, const struct plan *plan,
                         const int *pair, const int *failure)
{
    int predecessor = -1, err = 0;

    if (launch->predecessor > 0) {
        predecessor = (int)syscall(SYS_pidfd_open, launch->predecessor, 0);
        if (predecessor < 0) {
            return errno;
        }
    }
    launch->pid = fork();
    if (launch->pid == 0) {
        exec_supervisor(plan, pair[1], launch->lock, predecessor, failure[1]);
    }
    err = launch->pid < 0 ? errno : 0;
    if (predecessor >= 0) {
        close(predecessor);
    }
    return err;
}

apr_status_t cgwm_launch_run(cgwm_launch *launch, apr_pool_t *ptemp)
{
    int pair[2], failure[2], err;
    struct plan plan;

    make_plan(&plan, launch, ptemp);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return errno;
    }
    if (pipe2(failure, O_CLOEXEC) < 0) {
        err = errno;
        close_pair(pair);
        return err;
    }
    err = fork_and_exec(launch, &plan, pair, failure);
    close(pair[1]);
    close(failure[1]);
    if (!err && (err = exec_result(failure[0])) != 0) {
        waitpid(launch->pid, NULL, 0);
    }
    close(failure[0]);
    if (err) {
        close(pair[0]);
        return err;
    }
    launch->control = pair[0];
    set_timeouts(launch->control);
    return APR_SUCCESS;
}
