/* SPDX-License-Identifier: Apache-2.0 */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "cgw_control.h"
#include "cgw_log.h"
#include "check.h"
#include "group.h"
#include "jitter.h"
#include "obituary.h"
#include "output.h"
#include "overdue.h"
#include "spawn.h"
#include "stacks.h"

/* Up to this part of CGatewayMaxLifetime is taken off at random. */
#define LIFETIME_JITTER 10
/* Read of a process that has ended; whoever else has its channel may go on. */
#define LAST_MESSAGES 64
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

static int log_of(const cgwd_process *proc)
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

/* ---- output ------------------------------------------------------------- */

static void close_watch(cgwd_process *proc, cgwd_watch *watch)
{
    if (watch->fd >= 0) {
        cgwd_watch_remove(proc->sup->loop, watch);
        close(watch->fd);
        watch->fd = -1;
    }
}

static void handle_output(cgwd_watch *watch)
{
    cgwd_process *proc = watch->owner;

    if (!cgwd_output_read(proc)) {
        cgwd_output_end(proc);
        close_watch(proc, watch);
    }
}

/* ---- control ------------------------------------------------------------ */

static int is_our_child(pid_t pid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void cgwd_process_kill(cgwd_process *proc)
{
    if (proc->pid > 0 && is_our_child(proc->pid)) {
        proc->killed = 1;
        kill(proc->pid, SIGKILL);
        kill(-proc->pid, SIGKILL); /* its session's first group */
    }
}

static void distrust(cgwd_process *proc, const char *what)
{
    cgwd_log(log_of(proc), CGWD_ERROR, CGW_LOGNO(0210)
             "%s: pid %ld %s; it is killed. The application wrote to or closed "
             "descriptors that are not its own", name_of(proc), (long)proc->pid,
             what);
    cgwd_process_kill(proc);
}

static void close_stacks(cgwd_process *proc)
{
    if (proc->stacks >= 0) {
        close(proc->stacks);
        proc->stacks = -1;
    }
}

/* The library directory was upgraded below a supervisor that runs. */
static void reject_version(cgwd_process *proc)
{
    cgwd_log(log_of(proc), CGWD_ERROR, CGW_LOGNO(0294)
             "%s: pid %ld is of another version than this supervisor; "
             "mod_cgateway was upgraded, it seems: \"apachectl graceful\" brings "
             "both together", name_of(proc), (long)proc->pid);
    cgwd_process_kill(proc);
}

static void free_process(cgwd_process *proc)
{
    proc->sup->nprocesses--;
    cgwd_timer_clear(proc->sup->loop, &proc->deadline);
    cgwd_timer_clear(proc->sup->loop, &proc->lifetime);
    close_watch(proc, &proc->control);
    close_watch(proc, &proc->output);
    close_stacks(proc);
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
    cgwd_board_total(&proc->board, &proc->generation->group->gone);
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
                 "limit on processes or memory is a likely cause",
                 name_of(proc));
    }
    bury(proc);
}

/* It will say nothing more. */
static void control_ended(cgwd_process *proc)
{
    int killed = proc->killed;

    close_watch(proc, &proc->control);
    if (proc->pid == 0 || (kill(proc->pid, 0) < 0 && errno == ESRCH)) {
        lost_early(proc);
        return;
    }
    /* a no-op where it is ending, as it should be */
    cgwd_process_kill(proc);
    proc->killed = killed;
}

/* One that was retired still has requests. */
static void drain_timed_out(cgwd_process *proc)
{
    cgwd_log(log_of(proc), CGWD_WARN, CGW_LOGNO(0275)
             "%s: pid %ld, which was replaced (%s), still had requests after "
             "%ld s and is killed; raise CGatewayDrainTimeout if they need "
             "longer", name_of(proc), (long)proc->pid, proc->leaving,
             (long)(proc->generation->spec->drain_timeout / 1000));
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
        cgwd_process_kill(gen->template);
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
        control_ended(proc);
        return;
    }
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

static const char *failure_name(uint64_t failure)
{
    switch (failure) {
    case CGW_START_IMPORT: return "importing the application failed";
    case CGW_START_CALLABLE: return "the application callable was not found";
    case CGW_START_INTERPRETER: return "the interpreter cannot be used";
    default: return "it could not start";
    }
}

/* It says what to watch before it loads the application. */
static void take_wish(cgwd_process *proc, const struct cgw_message *msg, int dir)
{
    cgwd_generation *gen = proc->generation;

    if (!cgwd_trigger_take(&gen->group->trigger, &gen->wishes, msg, dir)) {
        distrust(proc, "asked to watch what it may not");
    }
    else if (msg->arg == CGW_WATCH_END) {
        cgw_message_send(proc->control.fd, CGW_MSG_LOAD, 0, NULL, 0);
    }
}

/* The end of a pipe where it will write the stacks of its threads. */
static void take_stacks(cgwd_process *proc, int fd)
{
    int copy = cgwd_stacks_is_pipe(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (copy >= 0) {
        close_stacks(proc);
        proc->stacks = copy;
    }
}

static int is_worker(const cgwd_process *proc)
{
    return proc->state == CGWD_PROCESS_LAUNCHING
           || proc->state == CGWD_PROCESS_SERVING
           || proc->state == CGWD_PROCESS_DRAINING;
}

static void take_message(cgwd_process *proc, const struct cgw_message *msg,
                         const int *fds)
{
    cgwd_generation *gen = proc->generation;

    if (msg->type == CGW_MSG_STACKS) {
        take_stacks(proc, fds[0]);
        return;
    }
    if (gen->state == CGWD_GENERATION_FAILED || proc->overdue
        || gen->state == CGWD_GENERATION_DRAINING) {
        return; /* it is on its way out, whatever it says */
    }
    if (msg->type == CGW_MSG_WATCH && proc->state == CGWD_PROCESS_STARTING) {
        take_wish(proc, msg, fds[0]);
    }
    else if (msg->type == CGW_MSG_READY && proc->state == CGWD_PROCESS_STARTING) {
        gen->python = (uint32_t)(msg->arg >> CGW_READY_PYTHON_SHIFT);
        cgwd_generation_ready(gen, proc, (msg->arg & CGW_READY_FORKABLE) != 0);
    }
    else if (msg->type == CGW_MSG_FAILED
             && proc->state == CGWD_PROCESS_STARTING) {
        cgwd_output_read(proc);
        cgwd_generation_start_failed(gen, failure_name(msg->arg));
    }
    else if (msg->type == CGW_MSG_SERVING
             && proc->state == CGWD_PROCESS_LAUNCHING) {
        cgwd_generation_process_serves(gen, proc);
    }
    else if (msg->type == CGW_MSG_WORN
             && (proc->state == CGWD_PROCESS_SERVING
                 || proc->state == CGWD_PROCESS_LAUNCHING)) {
        cgwd_generation_replace(gen, proc, "CGatewayMaxRequests");
    }
    else if (is_worker(proc) && cgwd_overdue_take(proc, msg)) {
        return;
    }
    else if (msg->type == CGW_MSG_SERVING || msg->type == CGW_MSG_DRAINED
             || msg->type == CGW_MSG_HELLO || msg->type == CGW_MSG_WORN) {
        return; /* told to drain meanwhile, or its pid was all it had to say */
    }
    else {
        distrust(proc, "sent a control message out of turn");
    }
}

/* A forked worker's pid is known now. Returns 0 where it has been reaped
 * already; proc is then gone. */
static int introduce(cgwd_process *proc, pid_t pid)
{
    cgwd_supervisor *sup = proc->sup;

    proc->pid = pid;
    apr_hash_set(sup->processes, &proc->pid, sizeof(proc->pid), proc);
    for (unsigned i = 0; i < CGWD_STRAYS; i++) {
        struct cgwd_stray *stray = &sup->strays[i];
        if (stray->pid == pid && kill(pid, 0) < 0 && errno == ESRCH) {
            stray->pid = 0;
            cgwd_process_reaped(sup, pid, stray->status);
            return 0;
        }
    }
    return 1;
}

static void check_sender(cgwd_process *proc, const struct cgw_message *msg,
                         const int *fds, pid_t pid)
{
    if (!proc->pid && pid > 0 && !introduce(proc, pid)) {
        return;
    }
    if (pid != proc->pid) {
        distrust(proc, "let another process speak for it");
        return;
    }
    take_message(proc, msg, fds);
}

static void handle_control(cgwd_watch *watch)
{
    cgwd_process *proc = watch->owner;
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], pid;
    int rv = cgw_message_recv(watch->fd, &msg, fds, &pid);

    if (rv == EAGAIN) {
        return;
    }
    if (rv == EPROTONOSUPPORT) {
        reject_version(proc);
        close_watch(proc, watch);
    }
    else if (rv == EPROTO) {
        distrust(proc, "sent a malformed control message");
        close_watch(proc, watch);
    }
    else if (rv) {
        control_ended(proc);
    }
    else {
        check_sender(proc, &msg, fds, pid);
        for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
            if (fds[i] >= 0) {
                close(fds[i]);
            }
        }
    }
}

/* ---- birth -------------------------------------------------------------- */

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
    fcntl(ends->control[0], F_SETFL, O_NONBLOCK);
    fcntl(ends->output[0], F_SETFL, O_NONBLOCK);
    setsockopt(ends->control[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    return 0;
}

static void init_watch(cgwd_process *proc, cgwd_watch *watch, int fd,
                       void (*handle)(cgwd_watch *))
{
    watch->fd = fd;
    watch->owner = proc;
    watch->handle = handle;
    cgwd_watch_add(proc->sup->loop, watch);
}

static cgwd_process *create(cgwd_generation *gen, const struct ends *ends,
                            enum cgwd_process_state state, pid_t pid)
{
    cgwd_process *proc = calloc(1, sizeof(*proc));

    if (!proc) {
        return NULL;
    }
    proc->sup = gen->sup;
    proc->generation = gen;
    proc->state = state;
    proc->pid = pid;
    proc->born = cgwd_now();
    proc->stacks = -1;
    proc->deadline.owner = proc;
    proc->deadline.handle = handle_deadline;
    proc->lifetime.owner = proc;
    proc->lifetime.handle = handle_lifetime;
    cgwd_timer_set(gen->sup->loop, &proc->deadline, gen->spec->start_timeout);
    proc->next = gen->processes;
    gen->processes = proc;
    gen->sup->nprocesses++;
    init_watch(proc, &proc->control, ends->control[0], handle_control);
    init_watch(proc, &proc->output, ends->output[0], handle_output);
    if (pid) {
        apr_hash_set(gen->sup->processes, &proc->pid, sizeof(proc->pid), proc);
    }
    return proc;
}

static void cannot_start(const cgwd_generation *gen, int err)
{
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
                        .mounts = gen->group->mounts.ns,
                        .descriptors = gen->sup->descriptors,
                        .generation = gen->number};
    pid_t pid = cgwd_spawn_exec(&spawn, &what, p);
    int err = errno;

    if (pid < 0 && what) {
        cgroup_failed(gen, what, err);
    }
    errno = err;
    return pid;
}

cgwd_process *cgwd_process_exec(cgwd_generation *gen)
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
        proc = create(gen, &ends, CGWD_PROCESS_STARTING, pid);
        err = ENOMEM;
    }
    if (!proc) {
        if (pid) {
            cannot_start(gen, err);
        }
        close(ends.control[0]);
        close(ends.output[0]);
    }
    return proc;
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

cgwd_process *cgwd_process_fork(cgwd_generation *gen)
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
        proc = create(gen, &ends, CGWD_PROCESS_LAUNCHING, 0);
        err = ENOMEM;
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
    return proc;
}

/* ---- orders ------------------------------------------------------------- */

void cgwd_process_serve(cgwd_process *proc)
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

void cgwd_process_drain(cgwd_process *proc)
{
    if (proc->state == CGWD_PROCESS_DRAINING) {
        return;
    }
    cgwd_process_set_state(proc, CGWD_PROCESS_DRAINING, "told to");
    if (proc->control.fd >= 0) {
        cgw_message_send(proc->control.fd, CGW_MSG_DRAIN, 0, NULL, 0);
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
    struct pollfd p = {.events = POLLIN};

    for (int i = 0; proc && i < LAST_MESSAGES; i++) {
        p.fd = proc->control.fd;
        if (p.fd < 0 || poll(&p, 1, 0) <= 0) {
            break;
        }
        handle_control(&proc->control);
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
    if (proc->output.fd >= 0) {
        cgwd_output_read(proc);
    }
    cgwd_output_end(proc);
    cgwd_obituary_write(proc, status);
    bury(proc);
}
