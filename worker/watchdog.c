/* SPDX-License-Identifier: Apache-2.0 */

#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cgw_clock.h"
#include "cgw_control.h"
#include "cgw_log.h"
#include "tasks.h"

/* It looks so often within the shortest time that it measures, but not more
 * often than TICK_MIN and not less often than TICK_MAX. */
#define LOOKS 16
#define TICK_MIN_US 10000
#define TICK_MAX_US 250000
/* So long a request waits for the interpreter lock, or for half its time. */
#define RETURN_US 1000000
/* So much at least counts of the time in which the process has no processor, lest a
 * deadlock on the busiest of machines be none. */
#define STARVED_PART 16
/* So long nothing runs before it sleeps. */
#define CALM_US 1000000
#define TEXT_SIZE (CGWW_STACK_MAX + 1024)

/* One request thread. */
struct cgww_watched {
    struct cgww_connection *conn; /* NULL: there is none */
    uint64_t started;           /* of the request that is measured */
    uint64_t spent;             /* us, without its waits for the client */
    bool dealt;                 /* its deadline has passed, and that was said */
};

/* To stderr: what is formatted, `more`, and the end of the line. Unlike dprintf() it
 * takes no memory: a thread of the process may hang while it has the allocator's
 * lock. */
static void tell(const char *more, size_t len, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const char *more, size_t len, const char *format, ...)
{
    char text[1024];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n >= 0) {
        size_t size = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
        struct iovec iov[] = {{text, size}, {(void *)(intptr_t)more, len}, {"\n", 1}};
        if (writev(STDERR_FILENO, iov, 3) < 0) {
            return; /* nobody reads it any more */
        }
    }
}

/* ---- one request --------------------------------------------------------- */

static uint64_t limit_of(const struct cgw_slot *slot, uint64_t started)
{
    uint64_t deadline = CGW_SLOT_GET(slot, deadline);

    return deadline > started ? deadline - started : 0;
}

/* Time passes: `us` of it since the last look, which ended at `now`. */
static void measure(struct cgww_watched *one, uint64_t us, uint64_t now)
{
    struct cgw_slot *slot = one->conn->slot;
    /* its deadline was stored before */
    uint64_t started = atomic_load_explicit(&slot->started, memory_order_acquire);
    uint64_t age = now > started ? now - started : 0;

    if (started) {
        CGW_SLOT_SET(slot, watched, now);
    }
    if (one->started != started) {
        one->started = started;
        one->spent = age < us ? age : us;
        one->dealt = false;
    }
    else if (started && CGW_SLOT_GET(slot, state) != CGW_SLOT_CLIENT) {
        one->spent += us;
    }
}

static bool is_overdue(const struct cgww_watched *one)
{
    uint64_t limit = limit_of(one->conn->slot, one->started);

    return one->started && limit && one->spent >= limit && !one->dealt
           && CGW_SLOT_GET(one->conn->slot, state) != CGW_SLOT_CLIENT;
}

/* What httpd logs with the request. */
static size_t describe(struct cgww_watchdog *w, const struct cgww_watched *one)
{
    const struct cgw_slot *slot = one->conn->slot;
    bool waits = CGW_SLOT_GET(slot, state) == CGW_SLOT_LOCKING;
    int n = snprintf(w->text, TEXT_SIZE, "it had a worker for %.1f s, "
                     "CGatewayRequestTimeout is %.1f s. %s\n",
                     (double)one->spent / 1e6,
                     (double)limit_of(slot, one->started) / 1e6,
                     waits ? "It did not run: another thread of the process "
                             "keeps the interpreter lock"
                           : "Python stack of its thread, innermost call first:");
    size_t len = n > 0 ? (size_t)n : 0;

    return waits ? len
                 : len + cgww_stack_take(&w->stack, CGW_SLOT_GET(slot, tid),
                                         w->text + len, CGWW_STACK_MAX);
}

static void tell_stderr(const struct cgww_watchdog *w, const struct cgw_slot *slot,
                        size_t len)
{
    struct cgw_slot_view view;

    cgw_slot_read(slot, &view);
    tell(w->text, len, CGW_LOGNO(0440) "group '%s': \"%s\" did not end in time, and "
         "httpd takes no word of it any more: ", w->group, view.text);
}

/* It has waited for the interpreter lock so long that another worker had better
 * run it. */
static bool is_to_be_returned(const struct cgww_watched *one)
{
    uint64_t limit = limit_of(one->conn->slot, one->started) / 2;

    return one->started && !one->dealt && one->conn->repeatable
           && CGW_SLOT_GET(one->conn->slot, state) == CGW_SLOT_LOCKING
           && one->spent >= (limit && limit < RETURN_US ? limit : RETURN_US);
}

/* Its client gets 504, or sees the response break off. */
static void deal_with(struct cgww_watchdog *w, struct cgww_watched *one)
{
    size_t len = describe(w, one);
    enum cgww_cut cut = cgww_connection_cut(one->conn, one->started, w->text, len);

    if (cut == CGWW_CUT_BUSY) {
        return; /* it sends at the moment: at the next look */
    }
    one->dealt = true;
    if (cut == CGWW_CUT_OVER) {
        return; /* it has just ended */
    }
    if (cut == CGWW_CUT_SILENT) {
        tell_stderr(w, one->conn->slot, len);
    }
    cgw_message_send(CGW_CONTROL_FD, CGW_MSG_OVERDUE, one->spent / 1000, NULL, 0);
}

/* ---- the interpreter lock -------------------------------------------------- */

static void read_name(pid_t tid, char *name, size_t size)
{
    char path[64];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, name, size - 1);
        close(fd);
    }
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

static void tell_thread(pid_t tid, void *baton)
{
    struct cgww_watchdog *w = baton;
    char name[32];
    size_t len = cgww_stack_take(&w->stack, tid, w->text, CGWW_STACK_MAX);

    if (len > 0) {
        read_name(tid, name, sizeof(name));
        tell(w->text, len, "thread %d (%s):\n", (int)tid, name);
    }
}

/* Those that ran are not repeated, lest they take another process with them. */
static void give_up_requests(struct cgww_watchdog *w)
{
    static const char why[] = "no thread of its process gets the interpreter lock; "
                              "the process is replaced";

    for (unsigned i = 0; i < w->size; i++) {
        struct cgww_watched *one = &w->watched[i];
        if (one->conn && one->started
            && !(one->conn->repeatable
                 && cgww_connection_return(one->conn, one->started)
                        < CGWW_CUT_OVER)) {
            cgww_connection_cut(one->conn, one->started, why, sizeof(why) - 1);
        }
    }
}

static void report_deadlock(struct cgww_watchdog *w)
{
    w->reported = true;
    tell("", 0, CGW_LOGNO(0441) "group '%s': no thread has got the interpreter lock "
         "for %.1f s (CGatewayDeadlockTimeout); this process is replaced. One of these "
         "threads keeps it, in C code that waits or computes; Python stacks, innermost "
         "call first:", w->group, (double)w->unanswered_us / 1e6);
    cgww_tasks_each(tell_thread, w);
    give_up_requests(w);
    cgw_message_send(CGW_CONTROL_FD, CGW_MSG_DEADLOCKED, w->unanswered_us / 1000,
                     NULL, 0);
}

static bool is_asking(const struct cgww_watchdog *w)
{
    return atomic_load(&w->asked) != atomic_load(&w->answered);
}

/* Changes whenever a request ends or begins to run, which takes the lock. */
static uint64_t work_of(const struct cgww_watchdog *w)
{
    uint64_t work = 0;

    for (unsigned i = 0; i < w->size; i++) {
        const struct cgw_slot *slot = w->watched[i].conn ? w->watched[i].conn->slot
                                                         : NULL;
        if (slot) {
            work += CGW_SLOT_GET(slot, requests);
        }
        if (slot && CGW_SLOT_GET(slot, state) >= CGW_SLOT_RUNNING) {
            work += CGW_SLOT_GET(slot, started);
        }
    }
    return work;
}

/* Where C code keeps the lock again and again, those that wait for it have their
 * turns: there may be many before the one that answers. */
static bool has_worked(struct cgww_watchdog *w)
{
    uint64_t work = work_of(w), before = w->work;

    w->work = work;
    return work != before;
}

/* The one that keeps the lock may be ready to go on, and have no processor: nobody
 * knows which one that is. */
static bool is_deadlocked(const struct cgww_watchdog *w)
{
    uint64_t delay;

    if (w->unanswered_us < w->deadlock_us) {
        return false;
    }
    delay = cgww_delay_most(&w->delay);
    return w->unanswered_us >= w->deadlock_us + delay
           || w->unanswered_us / STARVED_PART >= w->deadlock_us;
}

/* Asks a few times within the time that it may last. */
static void look_at_lock(struct cgww_watchdog *w, uint64_t us)
{
    if (!w->deadlock_us || w->reported) {
        return;
    }
    if (!is_asking(w)) {
        w->quiet_us += us;
        if (w->quiet_us >= w->deadlock_us / LOOKS) {
            cgww_delay_begin(&w->delay);
            atomic_fetch_add(&w->asked, 1);
            w->unanswered_us = 0;
            pthread_cond_signal(&w->question);
        }
        return;
    }
    w->quiet_us = 0;
    w->unanswered_us += us;
    if (has_worked(w)) {
        w->unanswered_us = 0;
        cgww_delay_begin(&w->delay);
    }
    if (is_deadlocked(w)) {
        report_deadlock(w);
    }
}

bool cgww_watchdog_await_question(struct cgww_watchdog *w)
{
    bool ending;

    pthread_mutex_lock(&w->lock);
    while (!is_asking(w) && !w->ending) {
        pthread_cond_wait(&w->question, &w->lock);
    }
    ending = w->ending;
    pthread_mutex_unlock(&w->lock);
    return !ending;
}

void cgww_watchdog_answer(struct cgww_watchdog *w)
{
    atomic_store(&w->answered, atomic_load(&w->asked));
}

/* ---- the thread ------------------------------------------------------------ */

/* Does any request run? */
static bool is_busy(const struct cgww_watchdog *w)
{
    for (unsigned i = 0; i < w->size; i++) {
        if (w->watched[i].conn
            && CGW_SLOT_GET(w->watched[i].conn->slot, started) != 0) {
            return true;
        }
    }
    return is_asking(w);
}

/* Microseconds until the next look. */
static uint64_t next_look(const struct cgww_watchdog *w)
{
    uint64_t tick = atomic_load(&w->shortest_us) / LOOKS;

    tick = tick < TICK_MIN_US ? TICK_MIN_US : tick > TICK_MAX_US ? TICK_MAX_US : tick;
    for (unsigned i = 0; i < w->size; i++) {
        const struct cgww_watched *one = &w->watched[i];
        uint64_t limit = one->conn && one->started && !one->dealt
                             ? limit_of(one->conn->slot, one->started) : 0;
        if (limit > one->spent && limit - one->spent < tick) {
            tick = limit - one->spent;
        }
    }
    return tick;
}

/* With the lock, until it is woken or `us` are over. */
static void doze(struct cgww_watchdog *w, uint64_t us)
{
    uint64_t until = cgw_clock_us() + us;
    struct timespec at = {.tv_sec = (time_t)(until / 1000000),
                          .tv_nsec = (long)(until % 1000000) * 1000};

    pthread_cond_timedwait(&w->wake, &w->lock, &at);
}

/* Nothing runs: until a request wakes it. Its thread stores that it runs before
 * it looks whether this one sleeps, as this one does the other way around. */
static void sleep_until_noted(struct cgww_watchdog *w)
{
    atomic_store(&w->asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    while (atomic_load(&w->asleep) && !w->ending && !is_busy(w)) {
        pthread_cond_wait(&w->wake, &w->lock);
    }
    atomic_store(&w->asleep, false);
    w->calm_us = 0;
    w->quiet_us = 0;
}

static void look(struct cgww_watchdog *w, uint64_t us, uint64_t now)
{
    w->calm_us = is_busy(w) ? 0 : w->calm_us + us;
    for (unsigned i = 0; i < w->size; i++) {
        struct cgww_watched *one = &w->watched[i];
        if (one->conn) {
            measure(one, us, now);
            if (is_to_be_returned(one)) {
                one->dealt = cgww_connection_return(one->conn, one->started)
                             < CGWW_CUT_OVER;
            }
            if (is_overdue(one)) {
                deal_with(w, one);
            }
        }
    }
    look_at_lock(w, us);
}

static void *run(void *data)
{
    struct cgww_watchdog *w = data;
    uint64_t last, now, tick;

    pthread_setname_np(pthread_self(), "cgw-watchdog");
    pthread_mutex_lock(&w->lock);
    last = cgw_clock_us();
    while (!w->ending) {
        if (w->calm_us >= CALM_US) {
            sleep_until_noted(w);
            last = cgw_clock_us();
            continue;
        }
        tick = next_look(w);
        doze(w, tick);
        now = cgw_clock_us();
        /* of a longer time it has not seen what happened in it */
        look(w, now - last < 2 * tick ? now - last : 2 * tick, now);
        last = now;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- life ------------------------------------------------------------------ */

static void init_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

/* Signals are for the threads of Python. */
static int start_thread(struct cgww_watchdog *w)
{
    sigset_t all, former;
    int rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    rv = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return rv;
}

int cgww_watchdog_start(struct cgww_watchdog *w,
                        const struct cgww_watchdog_options *options)
{
    int rv;

    w->watched = calloc(options->threads, sizeof(*w->watched));
    w->text = malloc(TEXT_SIZE);
    if (!w->watched || !w->text) {
        rv = ENOMEM;
    }
    else {
        w->size = options->threads;
        w->stack = options->stack;
        snprintf(w->group, sizeof(w->group), "%s", options->group);
        w->deadlock_us = options->deadlock_us;
        atomic_store(&w->shortest_us,
                     options->deadlock_us ? options->deadlock_us : UINT64_MAX);
        pthread_mutex_init(&w->lock, NULL);
        init_condition(&w->wake);
        init_condition(&w->question);
        rv = start_thread(w);
        w->runs = rv == 0;
    }
    if (rv != 0) {
        free(w->watched);
        free(w->text);
        w->watched = NULL;
        w->text = NULL;
        w->size = 0;
    }
    return rv;
}

void cgww_watchdog_stop(struct cgww_watchdog *w)
{
    if (!w->runs) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->wake);
    pthread_cond_broadcast(&w->question);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->runs = false;
    free(w->watched);
    free(w->text);
    w->watched = NULL;
    w->text = NULL;
    w->size = 0;
}

void cgww_watchdog_forget(struct cgww_watchdog *w)
{
    w->runs = false;
}

void cgww_watchdog_enlist(struct cgww_watchdog *w, unsigned n,
                          struct cgww_connection *conn)
{
    if (!w->runs) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->watched[n] = (struct cgww_watched){.conn = conn};
    pthread_mutex_unlock(&w->lock);
}

void cgww_watchdog_note(struct cgww_watchdog *w, uint32_t deadline_ms)
{
    uint64_t us = (uint64_t)deadline_ms * 1000;
    bool shorter = us && us < atomic_load_explicit(&w->shortest_us,
                                                   memory_order_relaxed);

    atomic_thread_fence(memory_order_seq_cst);
    if (!w->runs
        || !(shorter || atomic_load_explicit(&w->asleep, memory_order_relaxed))) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    if (shorter) {
        atomic_store(&w->shortest_us, us);
    }
    atomic_store(&w->asleep, false);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}
