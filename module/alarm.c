/* SPDX-License-Identifier: Apache-2.0 */

#include "alarm.h"

#include <signal.h>
#include <time.h>

#include "httpd.h"
#include "http_config.h"
#include "ap_mpm.h"
#include "unixd.h"

#include "config.h"

/* Whoever has no handler for it ignores it (signal(7)), and httpd has no use for it. */
#define SIGNAL SIGURG
#define INTERVAL_NS 50000000
/* Then httpd looks by itself. */
#define MOST 20

/* In httpd's parent, since the latest graceful restart. Children inherit no timer. */
static struct {
    timer_t timer;
    int is_set;
    volatile sig_atomic_t left; /* times to wake up */
    struct sigaction former;
} waking;

static void stop_timer(void)
{
    struct itimerspec never = {{0, 0}, {0, 0}};

    timer_settime(waking.timer, 0, &never, NULL);
}

/* That it comes is all: it interrupts the parent's sleep. */
static void ring(int signal)
{
    (void)signal;
    if (--waking.left <= 0) {
        stop_timer();
    }
}

/* The module may be unloaded behind this, so no signal may be left. */
static apr_status_t clear_alarm(void *data)
{
    (void)data;
    waking.is_set = 0;
    timer_delete(waking.timer);
    signal(SIGNAL, SIG_IGN);
    sigaction(SIGNAL, &waking.former, NULL);
    return APR_SUCCESS;
}

static int set_alarm(void)
{
    struct sigaction action = {.sa_handler = ring, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL};
    struct itimerspec times = {{0, INTERVAL_NS}, {0, INTERVAL_NS}};

    if (timer_create(CLOCK_MONOTONIC, &event, &waking.timer) != 0) {
        return 0;
    }
    waking.left = MOST;
    waking.is_set = 1;
    sigaction(SIGNAL, &action, &waking.former);
    timer_settime(waking.timer, 0, &times, NULL);
    return 1;
}

/* The MPMs (event, worker, prefork) start what is missing when a sleep of a second
 * between two looks at their children ends, or when a child ends that they see. */
static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                       server_rec *s)
{
    const ap_unixd_mpm_retained_data *mpm = ap_unixd_mpm_get_retained_data();

    (void)plog;
    (void)ptemp;
    if (mpm && mpm->was_graceful && cgwm_has_groups(s) && set_alarm()) {
        apr_pool_cleanup_register(pconf, NULL, clear_alarm, apr_pool_cleanup_null);
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
    if (waking.is_set && state == MPM_CHILD_STARTED && waking.left > 1) {
        waking.left = 1;
    }
}

void cgwm_alarm_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}
