/* SPDX-License-Identifier: Apache-2.0 */

#include "generation.h"

#include <string.h>

#include "admin.h"
#include "birth.h"
#include "cgw_log.h"
#include "group.h"
#include "rundir.h"
#include "staff.h"
#include "succession.h"

/* Below this age a process that dies is a sign of a crash loop. */
#define YOUNG_MS 10000
/* So long its workers have to say that they accept no more. */
#define CLOSING_MS 2000
/* So many deaths before all workers served, and the start has failed. */
#define EARLY_DEATHS_MAX 3

static const char *const state_names[] = {
#define X(sym, name) [CGWD_GENERATION_##sym] = name,
    CGWD_GENERATION_STATES(X)
#undef X
};

static void start_waiting(cgwd_supervisor *sup);

const char *cgwd_generation_state_name(enum cgwd_generation_state state)
{
    return state_names[state];
}

void cgwd_generation_set_state(cgwd_generation *gen,
                               enum cgwd_generation_state state,
                               const char *why)
{
    enum cgwd_generation_state old = gen->state;

    cgwd_log(gen->group->log, CGWD_NOTICE, "%s/%u: %s -> %s (%s)",
             gen->group->name, gen->number, state_names[old],
             state_names[state], why);
    gen->state = state;
    if (old == CGWD_GENERATION_STARTING) {
        gen->sup->starting--;
    }
    if (state == CGWD_GENERATION_STARTING) {
        gen->sup->starting++;
    }
    if (old == CGWD_GENERATION_STARTING) {
        start_waiting(gen->sup);
    }
    cgwd_admin_notify(gen->sup);
    cgwd_succession_check(gen->sup);
}

unsigned cgwd_generation_count(const cgwd_generation *gen,
                               enum cgwd_process_state state)
{
    unsigned n = 0;

    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        n += p->state == state;
    }
    return n;
}

/* Stopped first, all of them: what one loses httpd repeats at once, and another
 * one that has not got its signal yet would take it, and lose it for good. */
static void kill_all(cgwd_generation *gen)
{
    for (cgwd_process *p = gen->processes; p; p = p->next) {
        cgwd_process_stop(p);
    }
    for (cgwd_process *p = gen->processes; p; p = p->next) {
        cgwd_process_kill(p);
    }
}

/* Workers that serve already have requests, and finish them. */
static void end_failed(cgwd_generation *gen, const char *why)
{
    for (cgwd_process *p = gen->processes; p; p = p->next) {
        if (p->state == CGWD_PROCESS_SERVING) {
            cgwd_process_retire(p, why);
        }
        else if (p->state != CGWD_PROCESS_DRAINING) {
            cgwd_process_kill(p);
        }
    }
}

static void clear_timers(cgwd_generation *gen)
{
    cgwd_timer_clear(gen->sup->loop, &gen->deadline);
    cgwd_timer_clear(gen->sup->loop, &gen->closing);
    cgwd_timer_clear(gen->sup->loop, &gen->refill);
}

/* Frees a generation without processes. */
static void check_gone(cgwd_generation *gen)
{
    if (gen->processes || (gen->state != CGWD_GENERATION_DRAINING
                           && gen->state != CGWD_GENERATION_FAILED)) {
        return;
    }
    clear_timers(gen);
    cgwd_memory_stop(gen);
    if (gen->state == CGWD_GENERATION_DRAINING) {
        cgwd_generation_set_state(gen, CGWD_GENERATION_GONE, "drained");
    }
    cgwd_group_lost(gen->group, gen);
    apr_pool_destroy(gen->pool);
}

/* ---- start -------------------------------------------------------------- */

static void begin(cgwd_generation *gen)
{
    cgwd_generation_set_state(gen, CGWD_GENERATION_STARTING,
                              "importing the application");
    if (gen->spec->unready) {
        cgwd_generation_start_failed(gen, gen->spec->unready);
    }
    else if (!cgwd_birth_exec(gen)) {
        cgwd_generation_start_failed(gen, "no process could be started");
    }
}

static void start_waiting(cgwd_supervisor *sup)
{
    while (sup->waiting && sup->starting < CGWD_STARTING_MAX && !sup->ending) {
        cgwd_generation *gen = sup->waiting;
        sup->waiting = gen->next_waiting;
        if (!sup->waiting) {
            sup->waiting_end = &sup->waiting;
        }
        begin(gen);
    }
}

static void stop_waiting(cgwd_generation *gen)
{
    cgwd_generation **at = &gen->sup->waiting;

    while (*at && *at != gen) {
        at = &(*at)->next_waiting;
    }
    if (*at) {
        *at = gen->next_waiting;
        if (!*at) {
            gen->sup->waiting_end = at;
        }
    }
}

/* The generation's own copy: the group's spec may change while it lives. */
static cgw_spec *copy_spec(const cgw_spec *spec, apr_pool_t *p)
{
    apr_array_header_t *bytes = apr_array_make(p, 1024, sizeof(char));
    apr_size_t pos = 0;
    cgw_spec *copy = NULL;

    cgw_spec_encode(spec, bytes);
    cgw_spec_decode(&copy, bytes->elts, (apr_size_t)bytes->nelts, &pos, p);
    return copy;
}

cgwd_generation *cgwd_generation_start(cgwd_group *group, const cgw_spec *spec)
{
    cgwd_supervisor *sup = group->sup;
    apr_pool_t *pool;
    cgwd_generation *gen;

    apr_pool_create(&pool, group->pool);
    gen = apr_pcalloc(pool, sizeof(*gen));
    gen->pool = pool;
    gen->sup = sup;
    gen->group = group;
    gen->spec = copy_spec(spec, pool);
    gen->solo = spec->preload == CGW_PRELOAD_OFF;
    gen->number = ++group->last_number;
    gen->born = cgwd_now();
    gen->output = apr_palloc(pool, CGWD_OUTPUT_KEPT);
    gen->deadline.owner = gen->closing.owner = gen;
    cgwd_staff_init(gen);
    cgwd_memory_init(gen);
    gen->next = group->generations;
    group->generations = gen;
    *sup->waiting_end = gen;
    sup->waiting_end = &gen->next_waiting;
    start_waiting(sup);
    return gen;
}

void cgwd_generation_start_failed(cgwd_generation *gen, const char *why)
{
    if (gen->state != CGWD_GENERATION_STARTING
        && gen->state != CGWD_GENERATION_READY) {
        return;
    }
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0221)
             "%s: generation %u could not be started: %s; see its output above",
             gen->group->name, gen->number, why);
    end_failed(gen, why);
    cgwd_generation_set_state(gen, CGWD_GENERATION_FAILED, why);
    cgwd_group_start_failed(gen->group, gen, why);
    check_gone(gen);
}

/* Room for len bytes more: the oldest half goes when there is none. */
static void make_room(cgwd_generation *gen, size_t len)
{
    size_t kept = CGWD_OUTPUT_KEPT / 2;

    if (gen->output_len + len >= CGWD_OUTPUT_KEPT) { /* a NUL follows in copies */
        kept = gen->output_len < kept ? gen->output_len : kept;
        memmove(gen->output, gen->output + gen->output_len - kept, kept);
        gen->output_len = kept;
    }
}

void cgwd_generation_heard(cgwd_generation *gen, const char *line, size_t len)
{
    if (gen->state == CGWD_GENERATION_SERVING
        || gen->state == CGWD_GENERATION_DRAINING) {
        return;
    }
    len = len < CGWD_OUTPUT_KEPT / 2 - 2 ? len : CGWD_OUTPUT_KEPT / 2 - 2;
    make_room(gen, len + 1);
    memcpy(gen->output + gen->output_len, line, len);
    gen->output_len += len;
    gen->output[gen->output_len++] = '\n';
}

/* ---- workers ------------------------------------------------------------ */

int cgwd_generation_is_alive(const cgwd_generation *gen)
{
    return gen->state == CGWD_GENERATION_READY
           || gen->state == CGWD_GENERATION_SERVING;
}

void cgwd_generation_ready(cgwd_generation *gen, cgwd_process *proc,
                           int forkable)
{
    if (forkable && !gen->solo) {
        cgwd_process_set_state(proc, CGWD_PROCESS_TEMPLATE, "imported");
        gen->template = proc;
    }
    else {
        if (!gen->solo) {
            cgwd_log(gen->group->log, CGWD_NOTICE,
                     "%s: the application left threads or sockets behind after "
                     "its import and cannot be forked; every worker imports it "
                     "by itself", gen->group->name);
        }
        gen->solo = 1;
        cgwd_birth_serve(proc);
    }
    cgwd_memory_imported(gen, proc);
    if (gen->state == CGWD_GENERATION_STARTING) {
        cgwd_generation_set_state(gen, CGWD_GENERATION_READY, "imported");
    }
    cgwd_staff_fill(gen);
}

void cgwd_generation_process_serves(cgwd_generation *gen, cgwd_process *proc)
{
    cgwd_process_set_state(proc, CGWD_PROCESS_SERVING, "it said so");
    cgwd_group_set_refusing(gen->group, 0);
    if (gen->state == CGWD_GENERATION_READY
        && cgwd_generation_count(gen, CGWD_PROCESS_SERVING)
               >= cgwd_staff_wanted(gen)) {
        gen->served = cgwd_now();
        cgwd_generation_set_state(gen, CGWD_GENERATION_SERVING,
                                  "all workers accept requests");
        cgwd_group_serves(gen->group, gen);
    }
    cgwd_staff_serves(gen);
}

void cgwd_generation_replace(cgwd_generation *gen, cgwd_process *proc,
                             const char *why)
{
    if (!cgwd_generation_is_alive(gen) || proc->leaving
        || (proc->state != CGWD_PROCESS_SERVING
            && proc->state != CGWD_PROCESS_LAUNCHING)) {
        return;
    }
    cgwd_process_leave(proc, why);
    cgwd_staff_fill(gen);
}

/* ---- end ---------------------------------------------------------------- */

/* As far as its workers say. */
static int has_requests(const cgwd_generation *gen)
{
    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        if (p->board.map && !p->drained) {
            return 1;
        }
    }
    return 0;
}

static void handle_drain_timeout(cgwd_timer *timer)
{
    cgwd_generation *gen = timer->owner;
    int busy = has_requests(gen);

    cgwd_log(gen->group->log, CGWD_WARN, CGW_LOGNO(0222)
             "%s: generation %u %s after %ld s and is killed; %s",
             gen->group->name, gen->number,
             busy ? "still had requests" : "had not ended",
             (long)(gen->spec->drain_timeout / 1000),
             busy ? "raise CGatewayDrainTimeout if they need longer"
                  : CGWD_DRAINED_HINT);
    kill_all(gen);
}

/* One that is stopped, say, or whose interpreter lock nobody gets. */
static void handle_closing(cgwd_timer *timer)
{
    cgwd_generation *gen = timer->owner;

    for (cgwd_process *p = gen->processes; p; p = p->next) {
        p->closing = 0;
    }
    cgwd_admin_notify(gen->sup);
}

int cgwd_generation_is_closing(const cgwd_generation *gen)
{
    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        if (p->closing) {
            return 1;
        }
    }
    return 0;
}

void cgwd_generation_drain(cgwd_generation *gen, const char *why)
{
    if (!cgwd_generation_is_alive(gen)) {
        if (gen->state == CGWD_GENERATION_STARTING
            || gen->state == CGWD_GENERATION_WAITING) {
            cgwd_generation_abandon(gen, why);
        }
        return;
    }
    cgwd_timer_clear(gen->sup->loop, &gen->refill);
    cgwd_generation_set_state(gen, CGWD_GENERATION_DRAINING, why);
    gen->deadline.handle = handle_drain_timeout;
    cgwd_timer_set(gen->sup->loop, &gen->deadline, gen->spec->drain_timeout);
    gen->closing.handle = handle_closing;
    cgwd_timer_set(gen->sup->loop, &gen->closing, CLOSING_MS);
    for (cgwd_process *p = gen->processes; p; p = p->next) {
        cgwd_process_drain(p);
    }
    check_gone(gen);
}

void cgwd_generation_abandon(cgwd_generation *gen, const char *why)
{
    stop_waiting(gen);
    kill_all(gen);
    if (gen->state != CGWD_GENERATION_FAILED) {
        cgwd_generation_set_state(gen, CGWD_GENERATION_FAILED, why);
    }
    clear_timers(gen);
    check_gone(gen);
}

static void unlink_process(cgwd_generation *gen, cgwd_process *proc)
{
    cgwd_process **at = &gen->processes;

    while (*at != proc) {
        at = &(*at)->next;
    }
    *at = proc->next;
    if (gen->template == proc) {
        gen->template = NULL;
    }
}

/* Did it get as far as a request, or live long? Then it did start well. */
static int has_done_well(const cgwd_process *proc)
{
    struct cgw_totals totals = {0};

    cgwd_board_total(&proc->board, &totals);
    return totals.requests > 0 || cgwd_board_busy(&proc->board) > 0
           || cgwd_now() - proc->born >= YOUNG_MS;
}

void cgwd_generation_lost(cgwd_generation *gen, cgwd_process *proc)
{
    int did_well = has_done_well(proc);
    int relieved = proc->state == CGWD_PROCESS_DRAINING;

    unlink_process(gen, proc);
    cgwd_rundir_doubt(gen->group);
    if (proc->closing) {
        cgwd_admin_notify(gen->sup);
    }
    if (gen->state == CGWD_GENERATION_STARTING) {
        cgwd_generation_start_failed(gen, "its process ended");
        return;
    }
    if (gen->state == CGWD_GENERATION_READY && !relieved && !did_well
        && ++gen->early_deaths >= EARLY_DEATHS_MAX) {
        cgwd_generation_start_failed(gen, "its workers die before they serve");
        return;
    }
    if (cgwd_generation_is_alive(gen)) {
        if (relieved) {
            cgwd_staff_relieved(gen);
            return;
        }
        if (did_well) {
            cgwd_staff_fill_soon(gen);
        }
        else {
            cgwd_staff_fill_later(gen);
        }
        return;
    }
    check_gone(gen);
}
