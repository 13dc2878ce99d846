/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "spawn.h"

/* Imports are costly: so many at a time, the others wait. */
#define CHECKS_MAX 2
#define OUTPUT_MAX ((size_t)256 << 10)
#define OUTPUT_PER_TURN 16

typedef struct cgwd_check {
    cgwd_client *client;
    pid_t pid;              /* 0: reaped */
    int status;
    int timed_out;
    cgwd_watch output;      /* fd -1: it ended */
    cgwd_timer deadline;
    struct cgw_buf text;
    struct cgwd_check *next;
} check;

/* ---- what it says, and its end ------------------------------------------------ */

static void close_output(check *c)
{
    cgwd_watch_close(c->client->sup->loop, &c->output);
}

/* What is there. */
static void read_output(check *c)
{
    char bytes[4096];

    for (int i = 0; i < OUTPUT_PER_TURN && c->output.fd >= 0; i++) {
        ssize_t n = read(c->output.fd, bytes, sizeof(bytes));
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            close_output(c);
        }
        else if (c->text.len + (size_t)n <= OUTPUT_MAX) {
            cgw_buf_put(&c->text, bytes, (size_t)n);
        }
    }
}

static void handle_output(cgwd_watch *watch)
{
    read_output(watch->owner);
}

static void end_process(check *c)
{
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        kill(-c->pid, SIGKILL);
    }
}

static void handle_deadline(cgwd_timer *timer)
{
    check *c = timer->owner;

    c->timed_out = 1;
    end_process(c);
}

int cgwd_check_reaped(cgwd_supervisor *sup, pid_t pid, int status)
{
    for (check *c = sup->checks; c; c = c->next) {
        if (c->pid == pid) {
            c->pid = 0;
            c->status = status;
            read_output(c);
            cgwd_admin_notify(sup);
            return 1;
        }
    }
    return 0;
}

/* ---- the job ------------------------------------------------------------------ */

static void end_job(cgwd_client *client)
{
    check *c = client->job, **at = &client->sup->checks;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    end_process(c);
    close_output(c);
    cgwd_timer_clear(client->sup->loop, &c->deadline);
    cgw_buf_free(&c->text);
    free(c);
    cgwd_admin_notify(client->sup); /* another may begin */
}

/* -1: errno */
static pid_t start(const cgwd_group *group, const char *path, int output,
                   apr_pool_t *ptemp)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const char *what = NULL;
    cgwd_spawn spawn = {.spec = group->spec, .library = group->sup->library,
                        .control = null, .listener = null, .output = output,
                        .owner = group->sup->httpd_uid,
                        .mounts = &group->mounts,
                        .descriptors = group->sup->descriptors, .check = path};
    pid_t pid = null < 0 ? -1 : cgwd_spawn_exec(&spawn, &what, ptemp);
    int err = errno;

    if (null >= 0) {
        close(null);
    }
    errno = err;
    return pid;
}

/* 0, or an errno */
static int begin_job(cgwd_client *client, const cgwd_group *group)
{
    const char *path = client->nwords > 2 ? client->words[2] : "";
    check *c = calloc(1, sizeof(*c));
    apr_pool_t *ptemp;
    int ends[2], err;

    if (!c || pipe2(ends, O_CLOEXEC) < 0) {
        err = errno;
        free(c);
        return err;
    }
    apr_pool_create(&ptemp, group->pool);
    c->pid = start(group, path, ends[1], ptemp);
    err = c->pid < 0 ? errno : 0;
    apr_pool_destroy(ptemp);
    close(ends[1]);
    if (err) {
        close(ends[0]);
        free(c);
        return err;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    c->client = client;
    c->output = (cgwd_watch){.fd = ends[0], .owner = c, .handle = handle_output};
    c->deadline = (cgwd_timer){.owner = c, .handle = handle_deadline};
    cgwd_watch_add(client->sup->loop, &c->output);
    cgwd_timer_set(client->sup->loop, &c->deadline, group->spec->start_timeout);
    c->next = client->sup->checks;
    client->sup->checks = c;
    client->job = c;
    client->end_job = end_job;
    return 0;
}

static unsigned count(const cgwd_supervisor *sup)
{
    unsigned n = 0;

    for (const check *c = sup->checks; c; c = c->next) {
        n++;
    }
    return n;
}

/* ---- the answer ----------------------------------------------------------------- */

static void put_answer(cgwd_json *json, const cgwd_group *group, const check *c)
{
    int exited = WIFEXITED(c->status);

    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 1);
    cgwd_json_string(json, "group", group->name);
    cgwd_json_bool(json, "passed", exited && WEXITSTATUS(c->status) == 0);
    cgwd_json_bool(json, "timed_out", c->timed_out);
    if (exited) {
        cgwd_json_number(json, "exit_code", WEXITSTATUS(c->status));
        cgwd_json_null(json, "signal");
    }
    else {
        cgwd_json_null(json, "exit_code");
        cgwd_json_number(json, "signal", WTERMSIG(c->status));
    }
    cgwd_json_text(json, "output", (const char *)c->text.data, c->text.len);
    cgwd_json_object_end(json);
}

enum cgwd_command_result cgwd_command_check(cgwd_client *client,
                                            cgwd_group *group)
{
    int err = 0;

    if (client->nwords > 2 && client->words[2][0] != '/') {
        cgwd_client_fail(client, CGWD_ADMIN_USAGE, "a path begins with a slash");
        return CGWD_COMMAND_DONE;
    }
    if (group->spec->unready) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "%s", group->spec->unready);
        return CGWD_COMMAND_DONE;
    }
    if (!client->job && count(client->sup) < CHECKS_MAX) {
        err = begin_job(client, group);
    }
    if (err) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "no process could be started: "
                         "%s", strerror(err));
        return CGWD_COMMAND_DONE;
    }
    if (!client->job || ((const check *)client->job)->pid) {
        return CGWD_COMMAND_WAIT;
    }
    put_answer(&client->answer, group, client->job);
    return CGWD_COMMAND_DONE;
}
