/* SPDX-License-Identifier: Apache-2.0 */
/* A group's processes say, print and do anything, in any order: the supervisor
 * follows, and nothing is left when they have gone. */

#include "supervisor.h"

#include <sys/socket.h>

#include "cgw_control.h"
#include "daemon/child.h"
#include "daemon/process.h"

#define ENDS_MOST 8
/* More than are ever open. */
#define DESCRIPTORS 256

/* The processes' ends, as far as the supervisor has made some. */
static struct end { int control, output; } ends[ENDS_MOST];
static unsigned nends;

static void add_end(int control, int output)
{
    if (nends < ENDS_MOST) {
        ends[nends++] = (struct end){control, output};
        return;
    }
    close(control);
    close(output);
}

static void close_end(struct end *end)
{
    if (end->control >= 0) {
        close(end->control);
        close(end->output);
    }
    end->control = end->output = -1;
}

/* All are this very process: the kernel says so with each message, and the
 * supervisor kills only its children. */
pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    (void)p;
    *what = NULL;
    add_end(fcntl(spawn->control, F_DUPFD_CLOEXEC, 0),
            fcntl(spawn->output, F_DUPFD_CLOEXEC, 0));
    return getpid();
}

int cgwd_child_is(pid_t pid)
{
    (void)pid;
    return 0;
}

int cgwd_child_is_new(const cgwd_supervisor *sup, pid_t pid)
{
    (void)sup;
    (void)pid;
    return 1;
}

char cgwd_child_state(pid_t pid)
{
    (void)pid;
    return '?';
}

int cgwd_child_is_ending(pid_t pid)
{
    (void)pid;
    return 0;
}

/* What the supervisor has told a process: an order to fork makes another. */
static void take_orders(struct end *end)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], flags;

    if (end->control < 0) {
        return;
    }
    flags = fcntl(end->control, F_GETFL);
    fcntl(end->control, F_SETFL, flags | O_NONBLOCK);
    while (end->control >= 0
           && cgw_message_recv(end->control, &msg, fds, NULL) == 0) {
        if (msg.type == CGW_MSG_FORK && fds[1] >= 0) {
            add_end(fds[0], fds[1]);
            fds[0] = fds[1] = -1;
        }
        for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
            if (fds[i] >= 0) {
                close(fds[i]);
            }
        }
    }
}

/* ---- what the data says ------------------------------------------------------ */

static const uint16_t types[] = {CGW_MSG_WATCH, CGW_MSG_READY, CGW_MSG_FAILED,
                                 CGW_MSG_SERVING, CGW_MSG_DRAINED, CGW_MSG_HELLO,
                                 CGW_MSG_WORN, CGW_MSG_CLOSED, CGW_MSG_CONFIG,
                                 CGW_MSG_FORK};

static void say(struct end *end, uint8_t type, uint8_t arg, const uint8_t *text,
                size_t len)
{
    char word[CGW_MESSAGE_TEXT_MAX + 1];
    int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    memcpy(word, text, len);
    word[len] = '\0';
    cgw_message_send_text(end->control,
                          types[(type & 0x7f) % (sizeof(types) / sizeof(types[0]))], arg, word,
                          &dir, type & 0x80 ? 1 : 0);
    close(dir);
}

static void reap(cgwd_supervisor *sup, uint8_t status)
{
    cgwd_process_reaped(sup, getpid(), status);
}

/* Reads one deed from the data and does it; returns what is left. */
static size_t act(cgwd_supervisor *sup, const uint8_t *data, size_t size)
{
    struct end *end = &ends[nends ? data[1] % nends : 0];
    size_t len = data[3] < size - 4 ? data[3] : size - 4;
    const uint8_t *rest = data + 4;

    for (unsigned i = 0; i < nends; i++) {
        take_orders(&ends[i]);
    }
    if (data[0] % 8 == 7) {
        reap(sup, data[2]);
    }
    else if (data[0] % 8 == 6) {
        cgwd_group_reload(apr_hash_get(sup->groups, "shop", APR_HASH_KEY_STRING), "fuzz");
    }
    else if (nends && end->control >= 0) {
        switch (data[0] % 8) {
        case 5: close_end(end); break;
        case 4: if (write(end->output, rest, len) < 0) { break; } break;
        case 3: if (send(end->control, rest, len, MSG_DONTWAIT) < 0) { break; } break;
        default: say(end, data[0] >> 3 | (data[2] & 0x80), data[2] & 0x7f, rest, len);
        }
    }
    turn(sup);
    return size - 4 - len;
}

/* ---- the end -------------------------------------------------------------------- */

static void bury_all(cgwd_supervisor *sup, cgwd_group *group)
{
    while (group->generations) {
        cgwd_generation *gen = group->generations;
        cgwd_process *proc = gen->processes;
        if (!proc) {
            cgwd_generation_abandon(gen, "the end");
            continue;
        }
        proc->pid = getpid();
        apr_hash_set(sup->processes, &proc->pid, sizeof(proc->pid), proc);
        cgwd_process_reaped(sup, proc->pid, 0);
    }
}

static void tear_down(cgwd_supervisor *sup, cgwd_group *group)
{
    sup->ending = 1;
    cgwd_group_set_refusing(group, 0);
    cgwd_demand_stop(&group->demand);
    cgwd_timer_clear(sup->loop, &group->retry);
    cgwd_trigger_stop(&group->trigger);
    cgwd_generation *next;
    for (cgwd_generation *g = group->generations; g; g = next) {
        next = g->next;
        cgwd_generation_abandon(g, "the end");
    }
    bury_all(sup, group);
    if (sup->nprocesses != 0 || sup->starting != 0) {
        abort();
    }
    apr_hash_set(sup->groups, group->name, APR_HASH_KEY_STRING, NULL);
    close(group->listener);
    close(group->log->fd);
    apr_pool_destroy(group->spec_pool);
    apr_pool_destroy(group->pool);
    for (unsigned i = 0; i < nends; i++) {
        close_end(&ends[i]);
    }
    sup->ending = 0;
    memset(sup->strays, 0, sizeof(sup->strays));
}

static cgwd_supervisor *the_supervisor;

static unsigned open_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void overflow(void *data)
{
    (void)data;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    ignore_signals();
    apr_initialize();
    the_supervisor = make_supervisor(); /* one: to end inotify is slow */
    the_supervisor->notify = cgwd_notify_create(the_supervisor->loop, overflow, NULL,
                                                the_supervisor->pool);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned open_before = open_descriptors();
    cgwd_supervisor *sup = the_supervisor;
    cgwd_group *group;

    nends = 0;
    group = make_group(sup, 0);
    while (size >= 4) {
        size_t left = act(sup, data, size);
        data += size - left;
        size = left;
    }
    tear_down(sup, group);
    if (open_descriptors() != open_before) {
        abort();
    }
    return 0;
}
