/* SPDX-License-Identifier: Apache-2.0 */

#include "stacks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgw_clock.h"
#include "cgw_control.h"
#include "cgw_handler.h"
#include "command.h"

#define THREADS_MAX 8192
/* Between two looks, as cgw_handler.h has it; a thread that hangs in the kernel
 * never gets to its handler. */
#define LOOK_MS 1
#define PATIENCE_MS 1000
/* One that waits for a processor will get to it. */
#define BUSY_PATIENCE_MS 10000
#define JOB_MS 20000
/* A pipe holds 64 KiB; one that never becomes empty is read no longer. */
#define READS_MAX 64
#define STACK_MAX ((size_t)64 << 10)

struct thread {
    pid_t pid, tid;
    const char *trouble;    /* why there is no stack, or NULL */
    struct cgw_buf stack;
    size_t read;            /* of the pipe, since it was asked */
    struct cgw_answer answer;
    int runs;               /* at the last look */
};

typedef struct job {
    cgwd_client *client;
    cgwd_timer timer;
    struct thread *threads;
    size_t n, at;
    int64_t begun;
    int64_t since;          /* the signal to threads[at] was sent */
    int done;
} job;

/* The pipe, opened anew: whether reading waits is the matter of all who share a
 * descriptor, and the process may have kept one. */
static int open_pipe(int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int cgwd_stacks_take(cgwd_process *proc, const cgwd_passed *end)
{
    int copy;

    if (end->origin != CGWD_ORIGIN_PIPE) {
        return 0;
    }
    copy = open_pipe(end->fd);
    if (copy >= 0) {
        cgwd_stacks_close(proc);
        proc->stacks = copy;
    }
    return 1;
}

void cgwd_stacks_close(cgwd_process *proc)
{
    if (proc->stacks >= 0) {
        close(proc->stacks);
        proc->stacks = -1;
    }
}

/* 0 where there is no such thread any more. */
static int look(const struct thread *t, struct cgw_handler *out)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/status", (long)t->pid,
             (long)t->tid);
    return cgw_handler_look(out, path, CGW_STACKS_SIGNAL);
}

/* ---- one thread after another ------------------------------------------------ */

static cgwd_process *process_of(const job *j, const struct thread *t)
{
    return apr_hash_get(j->client->sup->processes, &t->pid, sizeof(t->pid));
}

/* What is in the pipe: of t's stack, or else what others wrote too late. */
static void read_pipe(const job *j, struct thread *t, int is_stack)
{
    const cgwd_process *proc = process_of(j, t);
    char bytes[4096];
    ssize_t n;

    for (int i = 0; proc && proc->stacks >= 0 && i < READS_MAX; i++) {
        n = read(proc->stacks, bytes, sizeof(bytes));
        if (n <= 0) {
            return;
        }
        t->read += (size_t)n;
        if (is_stack && t->stack.len + (size_t)n <= STACK_MAX) {
            cgw_buf_put(&t->stack, bytes, (size_t)n);
        }
    }
}

/* Sends the signal; 0 where that is of no use. */
static int ask(const job *j, struct thread *t)
{
    const cgwd_process *proc = process_of(j, t);
    struct cgw_handler now;

    if (!proc || !look(t, &now)) {
        t->trouble = "it has ended";
    }
    else if (cgwd_now() - j->begun > JOB_MS) {
        t->trouble = "too many threads before it did not answer";
    }
    else if (proc->stacks < 0 || !now.caught) {
        t->trouble = "the process is not prepared: it starts, or the application "
                     "changed its signal handlers";
    }
    else if (now.blocked) {
        t->trouble = "it blocks signals; mostly a thread of a C library";
    }
    else {
        read_pipe(j, t, 0);
        t->read = 0;
        t->answer = (struct cgw_answer){0};
        if (syscall(SYS_tgkill, t->pid, t->tid, CGW_STACKS_SIGNAL) == 0) {
            return 1;
        }
        t->trouble = "it has ended";
    }
    return 0;
}

static int is_through(const job *j, struct thread *t)
{
    struct cgw_handler now;
    int is_there = look(t, &now);

    read_pipe(j, t, 1);
    if (!is_there) {
        t->trouble = "it has ended";
        return 1;
    }
    t->runs = now.runs;
    return cgw_answer_is_complete(&t->answer, &now, t->read);
}

static void go_on(job *j)
{
    cgwd_supervisor *sup = j->client->sup;

    while (j->at < j->n) {
        if (ask(j, &j->threads[j->at])) {
            j->since = cgwd_now();
            cgwd_timer_set(sup->loop, &j->timer, LOOK_MS);
            return;
        }
        j->at++;
    }
    j->done = 1;
    sup->stacks_busy = 0;
    cgwd_admin_notify(sup);
}

static void handle_look(cgwd_timer *timer)
{
    job *j = timer->owner;
    struct thread *t = &j->threads[j->at];

    if (!is_through(j, t)) {
        if (cgwd_now() - j->since < (t->runs ? BUSY_PATIENCE_MS : PATIENCE_MS)) {
            cgwd_timer_set(j->client->sup->loop, timer, LOOK_MS);
            return;
        }
        t->trouble = "it does not answer: it hangs in the kernel, or was stopped";
    }
    j->at++;
    go_on(j);
}

/* ---- the job ------------------------------------------------------------------ */

static void add_threads(job *j, const cgwd_process *proc)
{
    char path[32];
    DIR *dir;
    const struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)proc->pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) && j->n < THREADS_MAX) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct thread *more = tid > 0 ? realloc(j->threads,
                                                (j->n + 1) * sizeof(*more))
                                      : NULL;
        if (more) {
            j->threads = more;
            more[j->n++] = (struct thread){.pid = proc->pid, .tid = tid};
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static void end_job(cgwd_client *client)
{
    job *j = client->job;

    if (!j->done) {
        client->sup->stacks_busy = 0;
        cgwd_admin_notify(client->sup);
    }
    cgwd_timer_clear(client->sup->loop, &j->timer);
    for (size_t i = 0; i < j->n; i++) {
        cgw_buf_free(&j->threads[i].stack);
    }
    free(j->threads);
    free(j);
}

static int begin_job(cgwd_client *client, const cgwd_group *group)
{
    job *j = calloc(1, sizeof(*j));

    if (!j) {
        return 0;
    }
    j->client = client;
    j->begun = cgwd_now();
    j->timer.owner = j;
    j->timer.handle = handle_look;
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (const cgwd_process *p = g->processes; p; p = p->next) {
            if (p->pid > 0) {
                add_threads(j, p);
            }
        }
    }
    client->job = j;
    client->end_job = end_job;
    client->sup->stacks_busy = 1;
    go_on(j);
    return 1;
}

/* ---- the answer ----------------------------------------------------------------- */

/* The slot of a request thread, 0: it is none. */
static unsigned find_slot(const cgwd_process *proc, pid_t tid,
                          struct cgw_slot_view *view)
{
    for (unsigned i = 0; proc->board.map && i < proc->board.threads; i++) {
        cgw_slot_read(cgw_scoreboard_slot(proc->board.map, i), view);
        if (view->tid == tid && view->state != CGW_SLOT_ABSENT) {
            return i + 1;
        }
    }
    return 0;
}

static void put_request(cgwd_json *json, const cgwd_process *proc, pid_t tid)
{
    struct cgw_slot_view view;
    unsigned number = find_slot(proc, tid, &view);
    uint64_t now = cgw_clock_us();

    if (!number) {
        return;
    }
    cgwd_json_number(json, "thread", number);
    cgwd_json_string(json, "state", cgw_slot_state_name(view.state));
    if (view.started && view.started <= now) {
        cgwd_json_string(json, "request", view.text);
        cgwd_json_number(json, "age_ms", (int64_t)((now - view.started) / 1000));
    }
}

static void put_thread(cgwd_json *json, const cgwd_process *proc,
                       const struct thread *t)
{
    cgwd_json_object(json, NULL);
    cgwd_json_number(json, "tid", t->tid);
    if (proc) {
        put_request(json, proc, t->tid);
    }
    cgwd_json_text(json, "stack", (const char *)t->stack.data, t->stack.len);
    cgwd_json_string(json, "trouble", t->trouble);
    cgwd_json_object_end(json);
}

static void put_process(cgwd_json *json, const job *j, size_t first)
{
    const cgwd_process *proc = process_of(j, &j->threads[first]);

    cgwd_json_object(json, NULL);
    cgwd_json_number(json, "pid", j->threads[first].pid);
    cgwd_json_string(json, "state",
                     proc ? cgwd_process_state_name(proc->state) : "gone");
    cgwd_json_array(json, "threads");
    for (size_t i = first; i < j->n && j->threads[i].pid == j->threads[first].pid;
         i++) {
        put_thread(json, proc, &j->threads[i]);
    }
    cgwd_json_array_end(json);
    cgwd_json_object_end(json);
}

enum cgwd_command_result cgwd_command_stacks(cgwd_client *client,
                                             cgwd_group *group)
{
    cgwd_json *json = &client->answer;
    const job *j = client->job;

    if (!j && (client->sup->stacks_busy || !begin_job(client, group))) {
        return CGWD_COMMAND_WAIT; /* for another client's */
    }
    j = client->job;
    if (!j->done) {
        return CGWD_COMMAND_WAIT;
    }
    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 1);
    cgwd_json_string(json, "group", group->name);
    cgwd_json_array(json, "processes");
    for (size_t i = 0; i < j->n; i++) {
        if (i == 0 || j->threads[i].pid != j->threads[i - 1].pid) {
            put_process(json, j, i);
        }
    }
    cgwd_json_array_end(json);
    cgwd_json_object_end(json);
    return CGWD_COMMAND_DONE;
}
