/* SPDX-License-Identifier: Apache-2.0 */

#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cgw_closer.h"
#include "cgw_wire.h"

/* Requests refused in one turn, and the pause before the next turn. */
#define REFUSALS_PER_TURN 64
#define REFUSAL_PAUSE_MS 5
/* Where the kernel has no memory to watch the socket with. */
#define WATCH_PAUSE_MS 200
/* Of a socket that has been shut down. */
#define SHUT_PAUSE_MS 1000
/* So long accept() may wait where a process of the group has had it wait. */
#define ALARM_MS 50

/* The request is not read: its sender takes the answer all the same. */
static void refuse_one(const cgwd_queue *queue, int fd)
{
    struct cgw_buf buf = {0};
    char text[256];
    size_t frame = cgw_frame_open(&buf, CGW_FRAME_FAIL, 0);
    uint8_t kind = CGW_FAIL_UNAVAILABLE;
    int n = snprintf(text, sizeof(text), "group %.100s %.100s", queue->name,
                     queue->reason);

    cgw_buf_put(&buf, &kind, 1);
    cgw_buf_put(&buf, text, n > 0 ? (size_t)n : 0);
    if (queue->details) {
        cgw_buf_put(&buf, "", 1);
        cgw_buf_put(&buf, queue->details, strlen(queue->details));
    }
    cgw_frame_close(&buf, frame);
    if (!buf.failed
        && send(fd, buf.data, buf.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* its sender has gone: nobody waits for an answer */
    }
    cgw_buf_free(&buf);
}

static void wake_up(int sig)
{
    (void)sig; /* a system call that waits is interrupted */
}

/* Again and again, so that one that comes too early does no harm. 0: no more. */
static void set_alarm(int ms)
{
    const struct sigaction action = {.sa_handler = wake_up}; /* without SA_RESTART */
    const struct timeval time = {.tv_usec = ms * 1000};
    const struct itimerval timer = {.it_interval = time, .it_value = time};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* How many; *err says why no more. Whether accept() waits is the matter of all who
 * share the socket's descriptor: the group's processes can have it wait, at any
 * moment. */
static int refuse_turn(const cgwd_queue *queue, int *err)
{
    int n = 0;

    *err = 0;
    fcntl(queue->watch.fd, F_SETFL, O_NONBLOCK);
    set_alarm(ALARM_MS);
    while (!*err && n < REFUSALS_PER_TURN) {
        int fd = accept4(queue->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        *err = fd < 0 ? errno : 0;
        if (fd >= 0) {
            refuse_one(queue, fd);
            cgw_close_socket(fd);
            n++;
        }
    }
    set_alarm(0);
    return n;
}

/* More than a turn's worth, or no descriptor for them: let the others have theirs,
 * and do not look again at once. */
static void refuse_some(cgwd_queue *queue)
{
    int err;

    if (refuse_turn(queue, &err) == REFUSALS_PER_TURN || err != EAGAIN) {
        cgwd_watch_remove(queue->loop, &queue->watch);
        cgwd_timer_set(queue->loop, &queue->pause,
                       err == EINVAL ? SHUT_PAUSE_MS : REFUSAL_PAUSE_MS);
    }
}

static void watch(cgwd_queue *queue)
{
    if (cgwd_watch_add(queue->loop, &queue->watch)) {
        cgwd_timer_set(queue->loop, &queue->pause, WATCH_PAUSE_MS);
    }
}

static void handle_pause(cgwd_timer *timer)
{
    watch(timer->owner);
}

static void handle_watch(cgwd_watch *watch)
{
    cgwd_queue *queue = watch->owner;

    if (queue->mode == CGWD_QUEUE_REFUSED) {
        refuse_some(queue);
        return;
    }
    cgwd_queue_leave(queue);
    queue->arrived(queue);
}

void cgwd_queue_init(cgwd_queue *queue, cgwd_loop *loop, const char *name)
{
    queue->loop = loop;
    queue->name = name;
    queue->watch.fd = -1;
    queue->watch.owner = queue->pause.owner = queue;
    queue->watch.handle = handle_watch;
    queue->pause.handle = handle_pause;
}

void cgwd_queue_set(cgwd_queue *queue, int fd)
{
    cgwd_queue_leave(queue);
    queue->watch.fd = fd;
}

void cgwd_queue_leave(cgwd_queue *queue)
{
    if (queue->mode != CGWD_QUEUE_LEFT) {
        cgwd_timer_clear(queue->loop, &queue->pause);
        cgwd_watch_remove(queue->loop, &queue->watch);
        queue->mode = CGWD_QUEUE_LEFT;
    }
}

static void enter(cgwd_queue *queue, int mode)
{
    if ((int)queue->mode != mode) {
        cgwd_queue_leave(queue);
        queue->mode = mode;
        watch(queue);
    }
}

void cgwd_queue_refuse(cgwd_queue *queue, const char *reason, const char *details)
{
    queue->reason = reason;
    queue->details = details;
    enter(queue, CGWD_QUEUE_REFUSED);
}

void cgwd_queue_await(cgwd_queue *queue)
{
    enter(queue, CGWD_QUEUE_AWAITED);
}

int cgwd_queue_is_waiting(const cgwd_queue *queue)
{
    struct pollfd p = {.fd = queue->watch.fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

int cgwd_queue_is_shut(const cgwd_queue *queue)
{
    struct pollfd p = {.fd = queue->watch.fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) == 1;
}
