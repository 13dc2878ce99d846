/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_FUZZ_SUPERVISOR_H
#define CGW_FUZZ_SUPERVISOR_H

/* A supervisor without processes, for the fuzzers of what it reads and for unit
 * tests: the real loop, group, generation and process, where a spawn starts
 * nothing. */

#include <apr_general.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/group.h"
#include "daemon/spawn.h"

#define UNUSED __attribute__((unused)) /* by some who include this */

#ifndef CGW_OWN_SUPERVISOR_END
/* main.c's; nothing of it is called by what comes from outside. */
void cgwd_supervisor_end(cgwd_supervisor *sup, const char *why, int httpd_ended)
{
    (void)sup;
    (void)why;
    (void)httpd_ended;
}
#endif

void cgwd_supervisor_watch_files(cgwd_supervisor *sup)
{
    (void)sup;
}

void cgwd_supervisor_leave(cgwd_supervisor *sup)
{
    (void)sup;
}

void cgwd_supervisor_check_end(cgwd_supervisor *sup)
{
    (void)sup;
}

static void stop_loop(cgwd_timer *timer)
{
    cgwd_loop_stop(timer->owner);
}

/* One turn of the loop, with what is due now. */
UNUSED static void turn(cgwd_supervisor *sup)
{
    cgwd_timer stop = {.handle = stop_loop, .owner = sup->loop};

    cgwd_timer_set(sup->loop, &stop, 0);
    cgwd_loop_run(sup->loop);
    cgwd_timer_clear(sup->loop, &stop);
}

UNUSED static void ignore_signals(void)
{
    for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
        signal(sig, SIG_IGN); /* stacks are asked for with one of them */
    }
    signal(SIGPIPE, SIG_IGN);
}

/* Pools are not searched for pointers when leaks are looked for. */
static cgwd_loop *the_loop;

UNUSED static cgwd_supervisor *make_supervisor(void)
{
    apr_pool_t *pool;
    cgwd_supervisor *sup;

    apr_pool_create(&pool, NULL);
    sup = apr_pcalloc(pool, sizeof(*sup));
    sup->pool = pool;
    sup->library = sup->rundir = "/nonexistent";
    sup->lock = -1;
    /* what it does with an input, for who looks at one: CGW_FUZZ_LOG=1 */
    sup->log = apr_pcalloc(pool, sizeof(*sup->log));
    sup->log->fd = getenv("CGW_FUZZ_LOG") ? dup(STDERR_FILENO)
                                          : open("/dev/null", O_WRONLY | O_CLOEXEC);
    sup->httpd_uid = geteuid();
    sup->born = cgwd_now();
    sup->groups = apr_hash_make(pool);
    sup->processes = apr_hash_make(pool);
    sup->waiting_end = &sup->waiting;
    sup->loop = the_loop = cgwd_loop_create();
    return sup;
}

UNUSED static cgwd_group *make_group(cgwd_supervisor *sup, int on_demand)
{
    apr_pool_t *pool;
    cgw_spec *spec;

    apr_pool_create(&pool, sup->pool);
    spec = cgw_spec_create(pool);
    spec->name = "shop";
    spec->application = "shop.wsgi";
    spec->python = "/usr/bin/python3";
    spec->socket = "/nonexistent/shop.sock";
    spec->start_on_demand = on_demand;
    spec->max_memory = on_demand ? 0 : 1 << 30;
    /* it is not a socket, and nothing waits at it */
    cgwd_group_create(sup, pool, spec, open("/dev/null", O_RDONLY | O_CLOEXEC),
                      dup(sup->log->fd));
    return apr_hash_get(sup->groups, "shop", APR_HASH_KEY_STRING);
}

#endif
