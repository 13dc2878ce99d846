/* SPDX-License-Identifier: Apache-2.0 */

#include "birth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgw_control.h"
#include "cgw_log.h"
#include "group.h"
#include "jitter.h"
#include "spawn.h"

struct ends {
    int control[2], output[2]; /* [0] ours */
};

static unsigned threads_of(const cgwd_generation *gen)
{
    return (unsigned)gen->spec->threads;
}

static void close_pair(int *fds)
{
    close(fds[0]);
    close(fds[1]);
}

static int open_ends(struct ends *ends)
{
    int on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->control) < 0) {
        return errno;
    }
    if (pipe2(ends->output, O_CLOEXEC) < 0) {
        int err = errno;
        close_pair(ends->control);
        return err;
    }
    if (fcntl(ends->control[0], F_SETFL, O_NONBLOCK) < 0
        || fcntl(ends->output[0], F_SETFL, O_NONBLOCK) < 0
        || setsockopt(ends->control[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        int err = errno;
        close_pair(ends->control);
        close_pair(ends->output);
        return err;
    }
    return 0;
}

static void cannot_start(cgwd_generation *gen, int err)
{
    gen->starved = 1;
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0212)
             "%s: cannot start a process: %s; it is tried again. Limits on "
             "processes, descriptors or memory of httpd's service are the "
             "usual cause", gen->group->name, strerror(err));
}

static void cgroup_failed(const cgwd_generation *gen, const char *what, int err)
{
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0279)
             "%s: CGatewayCgroup: cannot use %s: %s; CGatewayCgroupParent must be a "
             "control group without processes of its own that the supervisor may "
             "write, and its parent must pass the controllers on",
             gen->group->name, what, strerror(err));
}

/* Whether the group's file system is as its configuration wants it. */
static int prepare_mounts(const cgwd_generation *gen, apr_pool_t *p)
{
    const char *step = "";
    int err = cgwd_mounts_prepare(&gen->group->mounts, gen->spec, &step, p);

    if (err) {
        cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0214)
                 "%s: cannot make the file system of its processes: %s: %s; it is "
                 "tried again. Correct or remove CGatewayPrivateTmp, "
                 "CGatewayReadOnlySystem or CGatewayAllowWrite", gen->group->name,
                 step, strerror(err));
    }
    return !err;
}

/* Fork and exec; -1 with errno where there is no process. */
static pid_t exec(const cgwd_generation *gen, const struct ends *ends,
                  apr_pool_t *p)
{
    const char *what = NULL;
    cgwd_spawn spawn = {.spec = gen->spec, .library = gen->sup->library,
                        .control = ends->control[1], .output = ends->output[1],
                        .listener = gen->group->listener,
                        .owner = gen->sup->httpd_uid,
                        .mounts = &gen->group->mounts,
                        .descriptors = gen->sup->descriptors,
                        .generation = gen->number, .solo = gen->solo};
    pid_t pid = cgwd_spawn_exec(&spawn, &what, p);
    int err = errno;

    if (pid < 0 && what) {
        cgroup_failed(gen, what, err);
    }
    errno = err;
    return pid;
}

cgwd_process *cgwd_birth_exec(cgwd_generation *gen)
{
    struct ends ends;
    cgwd_process *proc = NULL;
    apr_pool_t *ptemp;
    int err = open_ends(&ends);
    pid_t pid = 0;

    if (err) {
        cannot_start(gen, err);
        return NULL;
    }
    apr_pool_create(&ptemp, gen->pool);
    if (prepare_mounts(gen, ptemp)) {
        pid = exec(gen, &ends, ptemp);
        err = errno;
    }
    apr_pool_destroy(ptemp);
    close(ends.control[1]);
    close(ends.output[1]);
    if (pid > 0) {
        proc = cgwd_process_create(gen, CGWD_PROCESS_STARTING, pid, ends.control[0],
                                   ends.output[0]);
        err = errno;
    }
    if (!proc) {
        if (pid) {
            cannot_start(gen, err);
        }
        close(ends.control[0]);
        close(ends.output[0]);
    }
    gen->starved = !proc;
    return proc;
}

void cgwd_birth_load(cgwd_process *proc)
{
    int err = cgw_message_send(proc->control.fd, CGW_MSG_LOAD, 0, NULL, 0);

    if (err && err != EPIPE) {
        cannot_start(proc->generation, err);
        cgwd_process_kill(proc);
    }
}

/* How many requests the next worker may serve; 0: any number. */
static uint64_t allowed_requests(const cgwd_generation *gen)
{
    return (uint64_t)(gen->spec->max_requests
                      + cgwd_jitter(gen->spec->max_requests_jitter));
}

/* Tells the template to fork; closes what it was sent. 0 or an errno. */
static int order_fork(const cgwd_generation *gen, const struct ends *ends,
                      cgwd_board *board)
{
    int fds[] = {ends->control[1], ends->output[1],
                 cgwd_board_open(board, threads_of(gen))};
    int err = fds[2] < 0 ? errno
                         : cgw_message_send(gen->template->control.fd,
                                            CGW_MSG_FORK, allowed_requests(gen),
                                            fds, 3);

    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return err;
}

cgwd_process *cgwd_birth_fork(cgwd_generation *gen)
{
    struct ends ends;
    cgwd_board board = {0};
    cgwd_process *proc = NULL;
    int err = open_ends(&ends);

    if (err) {
        cannot_start(gen, err);
        return NULL;
    }
    err = order_fork(gen, &ends, &board);
    if (!err) {
        proc = cgwd_process_create(gen, CGWD_PROCESS_LAUNCHING, 0, ends.control[0],
                                   ends.output[0]);
        err = errno;
    }
    if (!proc) {
        /* without its channel the template has just died, which is said, and
         * another one started, once it is reaped */
        if (err != EPIPE && err != EBADF) {
            cannot_start(gen, err);
        }
        cgwd_board_close(&board);
        close(ends.control[0]);
        close(ends.output[0]);
        return NULL;
    }
    proc->board = board;
    gen->starved = 0;
    return proc;
}

void cgwd_birth_serve(cgwd_process *proc)
{
    int fd = cgwd_board_open(&proc->board, threads_of(proc->generation));
    int err = fd < 0 ? errno
                     : cgw_message_send(proc->control.fd, CGW_MSG_SERVE,
                                        allowed_requests(proc->generation), &fd, 1);

    cgwd_process_set_state(proc, CGWD_PROCESS_LAUNCHING, "imported");
    if (fd >= 0) {
        close(fd);
    }
    if (err) {
        cannot_start(proc->generation, err);
        cgwd_process_kill(proc);
    }
}
