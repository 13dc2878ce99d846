/* SPDX-License-Identifier: Apache-2.0 */

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "admin.h"
#include "birth.h"
#include "cgw_closer.h"
#include "cgw_control.h"
#include "cgw_log.h"
#include "group.h"
#include "origin.h"
#include "output.h"
#include "overdue.h"
#include "stacks.h"

/* Read of a process that has ended; whoever else has its channel may go on. */
#define LAST_MESSAGES 64
#define NARROW_SAY_MS 60000

static void distrust(cgwd_process *proc, const char *what)
{
    cgwd_log(proc->generation->group->log, CGWD_ERROR, CGW_LOGNO(0210)
             "%s: pid %ld %s; it is killed. The application wrote to or closed "
             "descriptors that are not its own", proc->generation->group->name,
             (long)proc->pid, what);
    cgwd_process_kill(proc);
}

/* The library directory was upgraded below a supervisor that runs. */
static void reject_version(cgwd_process *proc)
{
    cgwd_log(proc->generation->group->log, CGWD_ERROR, CGW_LOGNO(0294)
             "%s: pid %ld is of another version than this supervisor; "
             "mod_cgateway was upgraded, it seems: \"apachectl graceful\" brings "
             "both together", proc->generation->group->name, (long)proc->pid);
    cgwd_process_kill(proc);
}

/* ---- messages ----------------------------------------------------------- */

static const char *failure_name(uint64_t failure)
{
    switch (failure) {
    case CGW_START_IMPORT: return "importing the application failed";
    case CGW_START_CALLABLE: return "there is no such application callable";
    case CGW_START_INTERPRETER: return "the interpreter cannot be used";
    default: return "it could not start";
    }
}

/* It says what to watch before it loads the application. */
static void take_wish(cgwd_process *proc, const struct cgw_message *msg,
                      const cgwd_passed *dir)
{
    cgwd_generation *gen = proc->generation;

    if (!cgwd_trigger_take(&gen->group->trigger, gen, msg, dir)) {
        distrust(proc, "asked to watch what it may not");
    }
    else if (msg->arg == CGW_WATCH_END) {
        cgwd_birth_load(proc);
    }
}

static int is_worker(const cgwd_process *proc)
{
    return proc->state == CGWD_PROCESS_LAUNCHING
           || proc->state == CGWD_PROCESS_SERVING
           || proc->state == CGWD_PROCESS_DRAINING;
}

/* What is logged then comes behind what the process has printed. */
static int refers_to_output(const struct cgw_message *msg)
{
    return msg->type == CGW_MSG_READY || msg->type == CGW_MSG_FAILED
           || msg->type == CGW_MSG_OVERDUE || msg->type == CGW_MSG_DEADLOCKED;
}

static void take_message(cgwd_process *proc, const struct cgw_message *msg,
                         const cgwd_passed *passed)
{
    cgwd_generation *gen = proc->generation;

    if (msg->type == CGW_MSG_STACKS) {
        if (!cgwd_stacks_take(proc, passed)) {
            distrust(proc, "passed something else than the pipe of its stacks");
        }
        return;
    }
    if (msg->type == CGW_MSG_CLOSED && is_worker(proc)) {
        proc->closing = 0;
        cgwd_admin_notify(proc->sup);
        return;
    }
    if (msg->type == CGW_MSG_DRAINED && is_worker(proc)) {
        proc->drained = 1;
        return;
    }
    if (gen->state == CGWD_GENERATION_FAILED || proc->overdue
        || gen->state == CGWD_GENERATION_DRAINING) {
        return; /* it is on its way out, whatever it says */
    }
    if (refers_to_output(msg)) {
        cgwd_output_catch_up(proc);
    }
    if (msg->type == CGW_MSG_WATCH && proc->state == CGWD_PROCESS_STARTING) {
        take_wish(proc, msg, passed);
    }
    else if (msg->type == CGW_MSG_READY && proc->state == CGWD_PROCESS_STARTING) {
        gen->python = (uint32_t)(msg->arg >> CGW_READY_PYTHON_SHIFT);
        cgwd_generation_ready(gen, proc, (msg->arg & CGW_READY_FORKABLE) != 0);
    }
    else if (msg->type == CGW_MSG_FAILED
             && proc->state == CGWD_PROCESS_STARTING) {
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
    else if (msg->type == CGW_MSG_SERVING || msg->type == CGW_MSG_HELLO
             || msg->type == CGW_MSG_WORN) {
        return; /* told to drain meanwhile, or its pid was all it had to say */
    }
    else {
        distrust(proc, "sent a control message out of turn");
    }
}

/* The template's own, mostly, in place of the worker that it should have forked;
 * whose channel it is, is gone with it. */
static void reject_stranger(cgwd_process *proc, pid_t pid)
{
    const cgwd_generation *gen = proc->generation;
    cgwd_process *known = apr_hash_get(proc->sup->processes, &pid, sizeof(pid));

    if (known && known->generation == gen) {
        distrust(known, "speaks for another process");
    }
    else {
        cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0215)
                 "%s: pid %ld speaks for a worker that it is not; nobody listens to "
                 "it", gen->group->name, (long)pid);
    }
    proc->killed = 1; /* nothing more is to be said of it */
    cgwd_process_fell_silent(proc);
}

static void check_sender(cgwd_process *proc, const struct cgw_message *msg,
                         const cgwd_passed *passed, pid_t pid)
{
    int rv = !proc->pid && pid > 0 ? cgwd_process_introduce(proc, pid) : 0;

    if (rv == EPERM) {
        reject_stranger(proc, pid);
    }
    if (rv) {
        return;
    }
    if (pid != proc->pid) {
        distrust(proc, "let another process speak for it");
        return;
    }
    take_message(proc, msg, passed);
}

/* Files are not watched, say, or stacks not to be had, which is no reason to end it.
 * At most a line a minute. */
static void take_nothing(cgwd_process *proc, const struct cgw_message *msg)
{
    cgwd_supervisor *sup = proc->sup;
    int64_t now = cgwd_now();

    if (sup->narrow_said && now - sup->narrow_said < NARROW_SAY_MS) {
        return;
    }
    sup->narrow_said = now;
    cgwd_log(proc->generation->group->log, CGWD_WARN, CGW_LOGNO(0216)
             "%s: the supervisor has no descriptor left for what pid %ld passes to it "
             "(%s), and does without; raise the limit on descriptors of httpd's service",
             proc->generation->group->name, (long)proc->pid, cgw_message_name(msg->type));
}

static void take_with_descriptors(cgwd_process *proc, const struct cgw_message *msg,
                                  const int *fds, pid_t pid)
{
    cgwd_passed passed[CGW_MESSAGE_MAX_FDS];

    for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
        passed[i].fd = fds[i];
        passed[i].origin = cgwd_origin_of(fds[i], &proc->generation->group->mounts);
    }
    check_sender(proc, msg, passed, pid); /* it may be gone then */
    for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
        if (passed[i].origin != CGWD_ORIGIN_UNKNOWN) {
            close(fds[i]);
        }
        else if (fds[i] >= 0) {
            cgw_close_passed(fds[i]);
        }
    }
}

static void handle_control(cgwd_watch *watch)
{
    cgwd_process *proc = watch->owner;
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], pid;
    int rv = cgw_message_recv(watch->fd, &msg, fds, &pid);

    /* nothing there, or no memory for it: it is read later */
    if (rv == EMFILE) {
        take_nothing(proc, &msg);
    }
    else if (rv == EPROTONOSUPPORT) {
        reject_version(proc);
        cgwd_channel_close(proc);
    }
    else if (rv == EPROTO) {
        distrust(proc, "sent a malformed control message");
        cgwd_channel_close(proc);
    }
    else if (rv == EPIPE) {
        cgwd_process_fell_silent(proc);
    }
    else if (!rv) {
        take_with_descriptors(proc, &msg, fds, pid);
    }
}

/* ---- the channel -------------------------------------------------------- */

int cgwd_channel_open(cgwd_process *proc, int fd)
{
    proc->control = (cgwd_watch){.fd = fd, .owner = proc, .handle = handle_control};
    return cgwd_watch_add(proc->sup->loop, &proc->control);
}

void cgwd_channel_close(cgwd_process *proc)
{
    if (proc->control.fd >= 0) {
        cgwd_watch_remove(proc->sup->loop, &proc->control);
        cgw_close_socket(proc->control.fd);
        proc->control.fd = -1;
    }
}

void cgwd_channel_hear_out(cgwd_process *proc)
{
    struct pollfd p = {.events = POLLIN};

    for (int i = 0; i < LAST_MESSAGES; i++) {
        p.fd = proc->control.fd;
        if (p.fd < 0 || poll(&p, 1, 0) <= 0) {
            break;
        }
        handle_control(&proc->control);
    }
}
