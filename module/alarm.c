/* SPDX-License-Identifier: Apache-2.0 */

#include "alarm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "ap_mpm.h"
#include "unixd.h"

#include "cgw_control.h"
#include "config.h"

/* Whoever has no handler for it ignores it (signal(7)), and httpd has no use for it. */
#define SIGNAL CGW_CALL_SIGNAL

/* One that has httpd's parent look again and again, a number of times at most: then it
 * looks by itself. */
typedef struct alarm_clock {
    timer_t timer;
    int is_set;
    long interval_ns;
    int most;
    volatile sig_atomic_t left; /* times to wake up */
} alarm_clock;

/* In httpd's parent. Children inherit no timer. */
static struct {
    alarm_clock restarted, called;
    int is_set;
    struct sigaction former;
} waking = {
    .restarted = {.interval_ns = 50000000, .most = 20},
    /* The end of a process begins with its descriptors, and can be seen a little later.
     * The hook of the monitor is called at every tenth look. */
    .called = {.interval_ns = 5000000, .most = 20},
};

static void set_timer(const alarm_clock *clock, long interval_ns)
{
    struct itimerspec times = {{0, interval_ns}, {0, interval_ns}};

    timer_settime(clock->timer, 0, &times, NULL);
}

static void start(alarm_clock *clock)
{
    if (clock->is_set) {
        clock->left = clock->most;
        set_timer(clock, clock->interval_ns);
    }
}

static void stop(alarm_clock *clock)
{
    clock->left = 0;
    set_timer(clock, 0);
}

/* That it comes is most of it: it interrupts the parent's sleep. */
static void ring(int signal, siginfo_t *info, void *context)
{
    alarm_clock *clock = info->si_value.sival_ptr;

    (void)signal;
    (void)context;
    if (info->si_code != SI_TIMER) {
        start(&waking.called);
    }
    else if (--clock->left <= 0) {
        stop(clock);
    }
}

static void make_timer(alarm_clock *clock)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL,
                             .sigev_value = {.sival_ptr = clock}};

    clock->is_set = timer_create(CLOCK_MONOTONIC, &event, &clock->timer) == 0;
}

static void delete_timer(alarm_clock *clock)
{
    if (clock->is_set) {
        clock->is_set = 0;
        timer_delete(clock->timer);
    }
}

/* The module may be unloaded behind this, so no signal may be left. */
static apr_status_t clear_alarm(void *data)
{
    (void)data;
    waking.is_set = 0;
    delete_timer(&waking.restarted);
    delete_timer(&waking.called);
    signal(SIGNAL, SIG_IGN);
    sigaction(SIGNAL, &waking.former, NULL);
    return APR_SUCCESS;
}

static void set_alarm(apr_pool_t *pconf)
{
    struct sigaction action = {.sa_sigaction = ring, .sa_flags = SA_RESTART | SA_SIGINFO};

    make_timer(&waking.restarted);
    make_timer(&waking.called);
    waking.is_set = 1;
    sigaction(SIGNAL, &action, &waking.former);
    apr_pool_cleanup_register(pconf, NULL, clear_alarm, apr_pool_cleanup_null);
}

/* ---- calls ---------------------------------------------------------------- */

void cgwm_alarm_at_end(int fd)
{
    struct pollfd end = {.fd = fd};

    if (fcntl(fd, F_SETSIG, SIGNAL) == 0 && fcntl(fd, F_SETOWN, getpid()) == 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    }
    if (poll(&end, 1, 0) > 0) { /* before that */
        kill(getpid(), SIGNAL);
    }
}

void cgwm_alarm_never(int fd)
{
    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_ASYNC);
    }
}

void cgwm_alarm_heard(void)
{
    if (waking.is_set) {
        stop(&waking.called);
    }
}

/* ---- hooks ---------------------------------------------------------------- */

static int is_needed(const server_rec *s)
{
    return ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG
           && cgwm_has_groups(s);
}

/* Before the supervisor is there: it may end, or call, at once. */
static int set_up(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    if (is_needed(s)) {
        set_alarm(pconf);
    }
    return OK;
}

/* The MPMs (event, worker, prefork) start what is missing when a sleep of a second
 * between two looks at their children ends, or when a child ends that they see. */
static int begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const ap_unixd_mpm_retained_data *mpm = ap_unixd_mpm_get_retained_data();

    (void)pconf;
    (void)plog;
    (void)ptemp;
    if (is_needed(s) && mpm && mpm->was_graceful) {
        start(&waking.restarted);
    }
    return OK;
}

/* One has started: once more, for those whose turn has not come with it. */
static void child_status(server_rec *s, pid_t pid, ap_generation_t gen, int slot,
                         mpm_child_status state)
{
    (void)s;
    (void)pid;
    (void)gen;
    (void)slot;
    if (waking.is_set && state == MPM_CHILD_STARTED && waking.restarted.left > 1) {
        waking.restarted.left = 1;
    }
}

void cgwm_alarm_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(set_up, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(begin, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}
