/* SPDX-License-Identifier: Apache-2.0 */

#include "staff.h"

#include <syslog.h>

#include "birth.h"
#include "group.h"

/* For each worker that takes the place of one that had done well. */
#define PACE_MS 100
/* Of replaced workers that still finish their requests, so many times the
 * configured number of workers may be there. The next ones wait. */
#define LINGERING_MAX 2

unsigned cgwd_staff_wanted(const cgwd_generation *gen)
{
    unsigned target = gen->group->demand.scale.target;
    unsigned least = (unsigned)gen->spec->processes;
    unsigned most = (unsigned)gen->spec->processes_max;

    return target < least ? least : target > most ? most : target;
}

static int is_coming(const cgwd_generation *gen, const cgwd_process *proc)
{
    return proc->state == CGWD_PROCESS_LAUNCHING
           || (gen->solo && proc->state == CGWD_PROCESS_STARTING);
}

/* How many workers have to be started. */
static unsigned missing(const cgwd_generation *gen)
{
    unsigned wanted = cgwd_staff_wanted(gen);
    unsigned staying = 0, leaving = 0, lingering = 0, lack;

    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        int works = p->state == CGWD_PROCESS_SERVING || is_coming(gen, p);
        staying += works && !p->leaving;
        leaving += works && p->leaving;
        lingering += p->state == CGWD_PROCESS_DRAINING;
    }
    lack = wanted > staying ? wanted - staying : 0;
    if (lingering >= LINGERING_MAX * wanted) {
        lack = lack > leaving ? lack - leaving : 0;
    }
    return lack;
}

/* How many of them now: imports are costly, forks are not. */
static unsigned startable(const cgwd_generation *gen)
{
    unsigned lack = missing(gen);
    unsigned importing = cgwd_generation_count(gen, CGWD_PROCESS_STARTING);

    if (!gen->solo) {
        return lack;
    }
    if (importing >= CGWD_STARTING_MAX) {
        return 0;
    }
    return lack < CGWD_STARTING_MAX - importing ? lack
                                                : CGWD_STARTING_MAX - importing;
}

void cgwd_staff_fill(cgwd_generation *gen)
{
    if (!gen->solo && !gen->template) {
        /* a new template imports first, and then fills */
        if (!cgwd_generation_count(gen, CGWD_PROCESS_STARTING)
            && !cgwd_birth_exec(gen)) {
            cgwd_staff_fill_later(gen);
        }
        return;
    }
    for (unsigned n = startable(gen); n > 0; n--) {
        cgwd_process *proc = gen->solo ? cgwd_birth_exec(gen) : cgwd_birth_fork(gen);
        if (!proc) {
            cgwd_staff_fill_later(gen);
            return;
        }
    }
}

void cgwd_staff_fill_later(cgwd_generation *gen)
{
    int64_t delay = cgwd_backoff_next(&gen->backoff, cgwd_now());

    if (delay >= CGWD_HOPELESS_MS
        && !cgwd_generation_count(gen, CGWD_PROCESS_SERVING)) {
        cgwd_group_set_refusing(gen->group, 1);
    }
    cgwd_timer_set(gen->sup->loop, &gen->refill, delay);
}

void cgwd_staff_fill_soon(cgwd_generation *gen)
{
    int64_t now = cgwd_now(), due = gen->refilled + PACE_MS * cgwd_staff_wanted(gen);

    gen->backoff = (cgwd_backoff){.until = now}; /* this is the first try */
    if (gen->refill.slot) {
        return;
    }
    gen->refilled = due > now ? due : now;
    cgwd_timer_set(gen->sup->loop, &gen->refill, gen->refilled - now);
}

static void handle_refill(cgwd_timer *timer)
{
    cgwd_generation *gen = timer->owner;

    gen->mourned = 0;
    if (cgwd_generation_is_alive(gen)) {
        cgwd_staff_fill(gen);
    }
}

void cgwd_staff_init(cgwd_generation *gen)
{
    gen->refill.owner = gen;
    gen->refill.handle = handle_refill;
}

/* Where a start has failed, its backoff is not cut short. */
static void fill_on(cgwd_generation *gen)
{
    if (!gen->refill.slot) {
        cgwd_staff_fill(gen);
    }
}

/* The one that has been there longest; the list is newest first. */
static cgwd_process *next_leaver(const cgwd_generation *gen)
{
    cgwd_process *found = NULL;

    for (cgwd_process *p = gen->processes; p; p = p->next) {
        if (p->leaving && p->state == CGWD_PROCESS_SERVING) {
            found = p;
        }
    }
    return found;
}

/* Whom the group can do without best: one that is to go anyhow, or the one with
 * the fewest requests. */
static cgwd_process *least_needed(const cgwd_generation *gen)
{
    cgwd_process *found = next_leaver(gen);
    unsigned fewest = ~0U;

    for (cgwd_process *p = found ? NULL : gen->processes; p; p = p->next) {
        unsigned busy = cgwd_board_busy(&p->board);
        if (p->state == CGWD_PROCESS_SERVING && busy < fewest) {
            fewest = busy;
            found = p;
        }
    }
    return found;
}

void cgwd_staff_resize(cgwd_generation *gen)
{
    unsigned serving = cgwd_generation_count(gen, CGWD_PROCESS_SERVING);
    cgwd_process *proc;

    if (gen->spec->log_level >= LOG_INFO) {
        cgwd_log(gen->group->log, CGWD_INFO, "%s: %u workers serve, %u are wanted now",
                 gen->group->name, serving, cgwd_staff_wanted(gen));
    }
    for (; serving > cgwd_staff_wanted(gen) && (proc = least_needed(gen)); serving--) {
        cgwd_process_retire(proc, "there is too little to do");
    }
    fill_on(gen);
}

void cgwd_staff_serves(cgwd_generation *gen)
{
    unsigned serving = cgwd_generation_count(gen, CGWD_PROCESS_SERVING);
    cgwd_process *proc;

    for (; serving > cgwd_staff_wanted(gen) && (proc = next_leaver(gen)); serving--) {
        cgwd_process_retire(proc, proc->leaving);
    }
    fill_on(gen);
}

void cgwd_staff_relieved(cgwd_generation *gen)
{
    fill_on(gen);
}
