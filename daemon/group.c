/* SPDX-License-Identifier: Apache-2.0 */

#include "group.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin.h"
#include "backlog.h"
#include "cgroup.h"
#include "cgw_control.h"
#include "cgw_log.h"
#include "output.h"
#include "succession.h"

/* How often one that is removed is looked at. */
#define RETIRED_LOOK_MS 1000

void cgwd_group_set_refusing(cgwd_group *group, int on)
{
    if (group->refusing == on) {
        return;
    }
    group->refusing = on;
    if (on) {
        cgwd_demand_stop(&group->demand);
        cgwd_queue_refuse(&group->queue,
                          group->stopped ? "was stopped; cgatewayctl start "
                                           "starts it again"
                                         : "has no worker that can serve; the "
                                           "error log above tells why",
                          group->failure && !group->stopped
                              ? group->failure->output : NULL);
    }
    else {
        cgwd_queue_leave(&group->queue);
        cgwd_demand_serves(&group->demand);
    }
}

/* ---- generations -------------------------------------------------------- */

static int has_serving(const cgwd_group *group)
{
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        if (g->state == CGWD_GENERATION_SERVING
            || g->state == CGWD_GENERATION_READY) {
            return 1;
        }
    }
    return 0;
}

const cgwd_generation *cgwd_group_serving(const cgwd_group *group)
{
    const cgwd_generation *g = group->generations;

    while (g && g->state != CGWD_GENERATION_SERVING) {
        g = g->next;
    }
    return g;
}

int cgwd_group_is_starting(const cgwd_group *group)
{
    return group->generations
           && (group->generations->state == CGWD_GENERATION_STARTING
               || group->generations->state == CGWD_GENERATION_WAITING);
}

int cgwd_group_is_ready(const cgwd_group *group)
{
    return (cgwd_group_serving(group) || group->demand.asleep)
           && !group->stopped && !group->unready && !group->retiring
           && !group->sup->unready && !group->sup->ending;
}

static void start(cgwd_group *group)
{
    struct cgw_totals totals;

    group->restarting = group->again = 0;
    if (!group->retiring) { /* its end stays set */
        cgwd_timer_clear(group->sup->loop, &group->retry);
    }
    cgwd_demand_wake(&group->demand);
    cgwd_trigger_rest(&group->trigger);
    cgwd_group_total(group, &totals);
    cgwd_history_open(&group->history, &totals);
    cgwd_generation_start(group, group->spec);
}

/* Where requests start it, the next attempt is made when the next one comes. */
static void handle_retry(cgwd_timer *timer)
{
    cgwd_group *group = timer->owner;

    if (!group->restarting && cgwd_demand_is_lazy(&group->demand)
        && !has_serving(group)) {
        cgwd_group_set_refusing(group, 0);
        cgwd_demand_sleep(&group->demand, "it could not be started");
        return;
    }
    start(group);
}

void cgwd_group_wake(cgwd_group *group)
{
    cgwd_log(group->log, CGWD_NOTICE, "%s: a request wakes it", group->name);
    start(group);
}

/* At the beginning, and when httpd restarts. */
static void begin(cgwd_group *group)
{
    if (group->spec->start_on_demand) {
        cgwd_demand_sleep(&group->demand, "CGatewayStart demand");
    }
    else {
        start(group);
    }
}

static void handle_again(cgwd_timer *timer)
{
    cgwd_group *group = timer->owner;

    cgwd_log(group->log, CGWD_NOTICE, "%s: reload: httpd was told to restart "
             "gracefully while the former start was under way", group->name);
    start(group);
}

/* A start has come to its end, whatever it was. */
static void start_has_ended(cgwd_group *group)
{
    int again = group->again;

    group->given_up = group->again = 0;
    if (again && has_serving(group) && !group->retiring && !group->stopped
        && !group->restarting && !group->sup->ending) {
        /* in the next turn: the caller has the generation in its hands */
        group->retry.handle = handle_again;
        cgwd_timer_set(group->sup->loop, &group->retry, 0);
    }
}

void cgwd_group_serves(cgwd_group *group, cgwd_generation *gen)
{
    cgwd_generation *next;

    cgwd_group_set_refusing(group, 0);
    memset(&group->backoff, 0, sizeof(group->backoff));
    for (cgwd_generation *g = gen->next; g; g = next) {
        next = g->next;
        cgwd_generation_drain(g, "a newer one serves");
    }
    cgwd_demand_serves(&group->demand);
    if (gen == group->generations) {
        start_has_ended(group);
    }
}

static void record_failure(cgwd_group *group, const cgwd_generation *gen,
                           const char *why)
{
    cgwd_failure *failure = group->failure;

    if (!failure) {
        failure = group->failure = apr_palloc(group->pool, sizeof(*failure));
    }
    failure->generation = gen->number;
    failure->time = apr_time_sec(apr_time_now());
    apr_cpystrn(failure->reason, why, sizeof(failure->reason));
    memcpy(failure->output, gen->output, gen->output_len);
    failure->output[gen->output_len] = '\0';
}

/* What the system has not got at the moment is waited for by requests, too, as long as
 * there is hope. */
static void try_again(cgwd_group *group, int starved)
{
    int64_t delay = cgwd_backoff_next(&group->backoff, cgwd_now());

    if (delay == 0) {
        delay = cgwd_backoff_next(&group->backoff, cgwd_now());
    }
    if (has_serving(group) || (starved && delay < CGWD_HOPELESS_MS)) {
        cgwd_log(group->log, CGWD_WARN, CGW_LOGNO(0232)
                 "%s: %s; the next attempt to start a new one is in %ld s",
                 group->name, has_serving(group)
                     ? "the former generation goes on serving" : "requests wait",
                 (long)(delay / 1000));
    }
    else {
        cgwd_log(group->log, CGWD_ERROR, CGW_LOGNO(0231)
                 "%s: no worker can serve, requests are answered 503; the next "
                 "attempt is in %ld s", group->name, (long)(delay / 1000));
        cgwd_group_set_refusing(group, 1);
    }
    group->retry.handle = handle_retry;
    cgwd_timer_set(group->sup->loop, &group->retry, delay);
}

void cgwd_group_start_failed(cgwd_group *group, cgwd_generation *gen,
                             const char *why)
{
    record_failure(group, gen, why);

    if (group->retiring && !has_serving(group) && !group->sup->ending) {
        cgwd_group_set_refusing(group, 1); /* who waited for it */
    }
    if (group->retiring || group->stopped || group->sup->ending
        || group->generations != gen) {
        return;
    }
    if (has_serving(group) && !gen->starved) {
        cgwd_log(group->log, CGWD_WARN, CGW_LOGNO(0230)
                 "%s: the former generation goes on serving; repair the "
                 "application and reload", group->name);
        start_has_ended(group);
        return;
    }
    start_has_ended(group);
    try_again(group, gen->starved);
}

static void destroy(cgwd_group *group)
{
    cgwd_supervisor *sup = group->sup;

    cgwd_demand_stop(&group->demand);
    cgwd_group_set_refusing(group, 0);
    cgwd_timer_clear(group->sup->loop, &group->retry);
    cgwd_trigger_stop(&group->trigger);
    cgwd_mounts_close(&group->mounts);
    apr_hash_set(group->sup->groups, group->name, APR_HASH_KEY_STRING, NULL);
    cgwd_cgroup_leave(sup, group->spec->cgroup_dir);
    close(group->listener);
    close(group->log->fd);
    apr_pool_destroy(group->spec_pool);
    apr_pool_destroy(group->pool);
    cgwd_succession_group_gone(sup);
}

void cgwd_group_lost(cgwd_group *group, cgwd_generation *gen)
{
    cgwd_generation **at = &group->generations;

    while (*at != gen) {
        at = &(*at)->next;
    }
    *at = gen->next;
    if (group->restarting && !group->generations && !group->sup->ending) {
        /* in the next turn: the caller still has a generation in its hands */
        group->retry.handle = handle_retry;
        cgwd_timer_set(group->sup->loop, &group->retry, 0);
    }
    cgwd_admin_notify(group->sup);
}

/* ---- configuration ------------------------------------------------------ */

static const cgwd_writer *writer_of(const cgw_spec *spec, int log, apr_pool_t *p)
{
    cgwd_writer *writer = apr_palloc(p, sizeof(*writer));

    *writer = (cgwd_writer){.fd = log, .format = spec->error_format,
                            .server = spec->server_name,
                            .facility = (int)spec->syslog_facility,
                            .tag = spec->syslog_tag};
    return writer;
}

static void take_config(cgwd_group *group, apr_pool_t *spec_pool, cgw_spec *spec,
                        int listener, int log)
{
    struct stat st;

    group->spec_pool = spec_pool;
    group->spec = spec;
    group->digest = cgw_spec_digest(spec, spec_pool);
    group->listener = listener;
    cgwd_queue_set(&group->queue, listener);
    group->log = writer_of(spec, log, spec_pool);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    group->socket_ino = 0;
    if (stat(spec->socket, &st) == 0) {
        group->socket_dev = st.st_dev;
        group->socket_ino = st.st_ino;
    }
}

void cgwd_group_create(cgwd_supervisor *sup, apr_pool_t *spec_pool,
                       cgw_spec *spec, int listener, int log)
{
    apr_pool_t *pool;
    cgwd_group *group;

    apr_pool_create(&pool, sup->pool);
    group = apr_pcalloc(pool, sizeof(*group));
    group->pool = pool;
    group->sup = sup;
    group->name = apr_pstrdup(pool, spec->name);
    group->seen = 1;
    group->history.parent = pool;
    group->history.queue_empty = cgwd_now();
    group->retry.owner = group;
    group->mounts = (cgwd_mounts)CGWD_MOUNTS_NONE;
    cgwd_queue_init(&group->queue, sup->loop, group->name);
    cgwd_demand_init(&group->demand, group);
    cgwd_trigger_init(&group->trigger, group);
    take_config(group, spec_pool, spec, listener, log);
    apr_hash_set(sup->groups, group->name, APR_HASH_KEY_STRING, group);
    begin(group);
}

/* How many were. */
static int abandon_unfinished(cgwd_group *group, int all)
{
    cgwd_generation *next;
    int abandoned = 0;

    for (cgwd_generation *g = group->generations; g; g = next) {
        next = g->next;
        if (all || g->state == CGWD_GENERATION_STARTING
            || g->state == CGWD_GENERATION_WAITING) {
            cgwd_generation_abandon(g, all ? "httpd restarts"
                                           : "a newer configuration");
            abandoned++;
        }
    }
    return abandoned;
}

/* Not each graceful restart gives up the start that is under way: where they come faster
 * than the application imports, none would ever serve. */
static void reload_gracefully(cgwd_group *group, int changed)
{
    if (!changed && group->given_up && cgwd_group_is_starting(group)) {
        group->again = 1;
        return;
    }
    group->given_up = abandon_unfinished(group, 0) > 0;
    start(group);
}

/* httpd's parent binds anew where somebody removed the socket's file. */
static int is_same_socket(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

/* The log becomes another one. */
static void flush_outputs(const cgwd_group *group)
{
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (cgwd_process *p = g->processes; p; p = p->next) {
            cgwd_output_flush(p);
        }
    }
}

/* What came of a configuration that changes nothing of it. */
static void keep(cgwd_group *group, apr_pool_t *spec_pool, int listener, int log)
{
    apr_pool_destroy(spec_pool);
    close(listener);
    close(log);
    group->seen = 1;
}

void cgwd_group_update(cgwd_group *group, apr_pool_t *spec_pool, cgw_spec *spec,
                       int listener, int log, int how)
{
    int restart = how == CGW_COMMIT_RESTART;
    int refusing = group->refusing;
    int changed = strcmp(group->digest, cgw_spec_digest(spec, spec_pool)) != 0;
    int moved = !is_same_socket(group->listener, listener);
    int was_retiring = group->retiring;
    int former = group->listener;
    const char *cgroup = group->spec->cgroup_dir
                             ? apr_pstrdup(spec_pool, group->spec->cgroup_dir) : NULL;

    if (how == CGW_COMMIT_REPAIR && !changed && !moved && !was_retiring) {
        keep(group, spec_pool, listener, log);
        return;
    }
    cgwd_group_set_refusing(group, 0);
    cgwd_timer_clear(group->sup->loop, &group->retry);
    flush_outputs(group);
    close(group->log->fd);
    apr_pool_destroy(group->spec_pool);
    take_config(group, spec_pool, spec, listener, log);
    close(former); /* now that the queue has left it: httpd keeps the socket open */
    cgwd_cgroup_leave(group->sup, cgroup);
    group->seen = 1;
    group->retiring = 0;
    group->stopped = group->stopped && !restart;
    if (!spec->watch_application && spec->watch->nelts == 0) {
        cgwd_trigger_stop(&group->trigger);
    }
    if (group->stopped) {
        cgwd_group_set_refusing(group, 1);
        return;
    }
    if (restart) {
        abandon_unfinished(group, 1);
        begin(group);
    }
    else if (group->demand.asleep && cgwd_demand_is_lazy(&group->demand)) {
        cgwd_queue_await(&group->queue); /* the next request sees what is new */
    }
    else if (changed || moved || was_retiring || spec->reload_on_graceful
             || !has_serving(group)) {
        reload_gracefully(group, changed || moved || was_retiring);
    }
    else {
        cgwd_demand_serves(&group->demand);
    }
    cgwd_group_set_refusing(group, refusing && !restart && !has_serving(group));
}

void cgwd_group_reload(cgwd_group *group, const char *why)
{
    int refusing = group->refusing;

    if (group->retiring || group->stopped || group->restarting
        || group->sup->ending) {
        return;
    }
    cgwd_log(group->log, CGWD_NOTICE, "%s: reload: %s", group->name, why);
    abandon_unfinished(group, 0);
    start(group);
    cgwd_group_set_refusing(group, refusing && !has_serving(group));
}

/* ---- an administrator's orders -------------------------------------------- */

static void end_all(cgwd_group *group, int now, const char *why)
{
    cgwd_generation *next;

    for (cgwd_generation *g = group->generations; g; g = next) {
        next = g->next;
        if (now) {
            cgwd_generation_abandon(g, why);
        }
        else {
            cgwd_generation_drain(g, why);
        }
    }
}

void cgwd_group_stop(cgwd_group *group, int now, const char *why)
{
    cgwd_log(group->log, CGWD_NOTICE, "%s: stop%s: %s", group->name,
             now ? " now" : "", why);
    group->stopped = 1;
    group->restarting = 0;
    cgwd_timer_clear(group->sup->loop, &group->retry);
    cgwd_trigger_rest(&group->trigger);
    cgwd_demand_wake(&group->demand);
    end_all(group, now, why);
    cgwd_group_set_refusing(group, 0); /* for another reason, perhaps */
    cgwd_group_set_refusing(group, 1);
}

unsigned cgwd_group_start(cgwd_group *group, const char *why)
{
    if (group->stopped
        || (!group->restarting && !has_serving(group)
            && !cgwd_group_is_starting(group))) {
        cgwd_log(group->log, CGWD_NOTICE, "%s: start: %s", group->name, why);
        group->stopped = 0;
        abandon_unfinished(group, 0);
        start(group);
        cgwd_group_set_refusing(group, 0);
    }
    return group->last_number + (unsigned)group->restarting;
}

unsigned cgwd_group_restart(cgwd_group *group, int now, const char *why)
{
    cgwd_log(group->log, CGWD_NOTICE, "%s: restart%s: %s", group->name,
             now ? " now" : "", why);
    group->stopped = 0;
    group->restarting = 1;
    cgwd_timer_clear(group->sup->loop, &group->retry);
    end_all(group, now, why);
    cgwd_group_set_refusing(group, 0);
    if (group->generations) {
        return group->last_number + 1;
    }
    start(group);
    return group->last_number;
}

/* Whether requests wait at its socket, and somebody may still come to take them. Not
 * for ever: what is older than CGatewayQueueTimeout is not waited for by anybody. */
static int owes_answers(const cgwd_group *group)
{
    return (has_serving(group) || cgwd_group_is_starting(group))
           && group->sup->succeeded != CGW_SUCCEEDED_SHARED
           && cgwd_now() < group->owes_until && cgwd_backlog(group->listener) > 0;
}

static void handle_retired(cgwd_timer *timer)
{
    cgwd_group *group = timer->owner;
    cgwd_generation *next;

    if (owes_answers(group)) {
        cgwd_timer_set(group->sup->loop, &group->retry, RETIRED_LOOK_MS);
        return;
    }
    cgwd_group_unlink(group);
    cgwd_demand_stop(&group->demand);
    for (cgwd_generation *g = group->generations; g; g = next) {
        next = g->next;
        cgwd_generation_drain(g, "not configured any more");
    }
    if (!group->generations) {
        destroy(group);
        return;
    }
    cgwd_timer_set(group->sup->loop, &group->retry, RETIRED_LOOK_MS);
}

void cgwd_group_retire(cgwd_group *group, int64_t delay)
{
    if (group->retiring) {
        return;
    }
    group->retiring = 1;
    group->restarting = 0;
    group->owes_until = cgwd_now() + delay + group->spec->start_timeout
                        + group->spec->queue_timeout;
    cgwd_trigger_stop(&group->trigger);
    if (has_serving(group) || group->sup->succeeded == CGW_SUCCEEDED_SHARED) {
        abandon_unfinished(group, 0); /* else requests may be waiting for it */
    }
    cgwd_group_set_refusing(group, group->stopped);
    group->retry.handle = handle_retired;
    cgwd_timer_set(group->sup->loop, &group->retry, delay);
}

void cgwd_group_unlink(const cgwd_group *group)
{
    struct stat st;

    if (group->sup->succeeded == CGW_SUCCEEDED_SHARED) {
        return; /* it is the successor's, too */
    }
    if (stat(group->spec->socket, &st) == 0 && st.st_dev == group->socket_dev
        && st.st_ino == group->socket_ino) {
        unlink(group->spec->socket);
    }
}

cgwd_past *cgwd_group_past(cgwd_group *group)
{
    if (!group->past) {
        group->past = apr_pcalloc(group->pool, sizeof(*group->past));
    }
    return group->past;
}

void cgwd_group_total(const cgwd_group *group, struct cgw_totals *totals)
{
    *totals = group->past ? group->past->totals : (struct cgw_totals){0};
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (const cgwd_process *p = g->processes; p; p = p->next) {
            cgwd_board_total(&p->board, totals);
        }
    }
}
