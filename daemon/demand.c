/* SPDX-License-Identifier: Apache-2.0 */

#include "demand.h"

#include "cgw_clock.h"
#include "group.h"
#include "staff.h"

/* An elastic group is looked at so often while it works, and not at all when
 * it has not done anything for the second time: then its next request tells. */
#define LOOK_MS 50
#define QUIET_MS 1000
/* Requests that waited too long: as long as a bucket of the histogram begins. */
#define WAITED_US 65536

static cgwd_loop *loop_of(const cgwd_demand *demand)
{
    return demand->group->sup->loop;
}

/* The one whose workers accept, or NULL. */
static cgwd_generation *serving(const cgwd_group *group)
{
    cgwd_generation *g = group->generations;

    while (g && g->state != CGWD_GENERATION_SERVING) {
        g = g->next;
    }
    return g;
}

static int is_elastic(const cgwd_generation *gen)
{
    return gen->spec->processes_max > gen->spec->processes;
}

/* ---- sleep ------------------------------------------------------------------ */

int cgwd_demand_is_lazy(const cgwd_demand *demand)
{
    const cgw_spec *spec = demand->group->spec;

    return spec->start_on_demand || spec->idle_timeout > 0;
}

void cgwd_demand_sleep(cgwd_demand *demand, const char *why)
{
    cgwd_group *group = demand->group;
    cgwd_generation *next;

    cgwd_demand_stop(demand);
    demand->asleep = 1;
    demand->scale.target = 0;
    if (group->generations) {
        cgwd_log(group->log, CGWD_NOTICE, "%s: sleeps (%s)", group->name, why);
    }
    /* the next start reads the files anew */
    cgwd_trigger_stop(&group->trigger);
    for (cgwd_generation *g = group->generations; g; g = next) {
        next = g->next;
        cgwd_generation_drain(g, why);
    }
    cgwd_queue_await(&group->queue);
}

void cgwd_demand_wake(cgwd_demand *demand)
{
    if (demand->asleep) {
        demand->asleep = 0;
        cgwd_queue_leave(&demand->group->queue);
    }
}

/* ms since the last request ended; 0 while there is one. What a worker says of
 * itself keeps its own group awake or not, nobody else's. */
static int64_t idle_for(const cgwd_group *group)
{
    int64_t now = (int64_t)(cgw_clock_us() / 1000), last = 0;

    if (cgwd_queue_is_waiting(&group->queue)) {
        return 0;
    }
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (const cgwd_process *p = g->processes; p; p = p->next) {
            int64_t used = cgwd_board_used(&p->board, now);
            last = used > last ? used : last;
        }
    }
    return now - last;
}

static void handle_idle(cgwd_timer *timer)
{
    cgwd_demand *demand = timer->owner;
    cgwd_group *group = demand->group;
    int64_t timeout = group->spec->idle_timeout, idle = idle_for(group);
    const cgwd_generation *gen = serving(group);

    if (timeout <= 0 || !gen) {
        return; /* the next one to serve begins again */
    }
    if (gen != group->generations) { /* a newer one starts, or failed to */
        cgwd_timer_set(loop_of(demand), timer, timeout);
        return;
    }
    if (idle > cgwd_now() - gen->served) {
        idle = cgwd_now() - gen->served;
    }
    if (idle >= timeout) {
        cgwd_demand_sleep(demand, "CGatewayIdleTimeout");
        return;
    }
    cgwd_timer_set(loop_of(demand), &demand->idle, timeout - idle);
}

/* ---- more and fewer ----------------------------------------------------------- */

/* Fills in how busy it is; 1 where anything happened since the last look. */
static int take_load(cgwd_demand *demand, const cgwd_generation *gen,
                     cgwd_load *load)
{
    struct cgw_totals totals;
    uint64_t accepted, waited = 0;
    int waiting = cgwd_queue_is_waiting(&demand->group->queue);
    int moved;

    cgwd_group_total(demand->group, &totals);
    for (unsigned i = cgw_bucket(WAITED_US); i < CGW_BUCKETS; i++) {
        waited += totals.queue[i];
    }
    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        load->busy += cgwd_board_busy(&p->board);
    }
    accepted = totals.requests + load->busy;
    moved = accepted != demand->accepted;
    load->stuck = waiting && (!moved || waited != demand->waited);
    load->threads = (unsigned)gen->spec->threads;
    load->coming = cgwd_generation_count(gen, CGWD_PROCESS_LAUNCHING)
                   || cgwd_generation_count(gen, CGWD_PROCESS_STARTING);
    demand->accepted = accepted;
    demand->waited = waited;
    return moved || waiting || load->busy;
}

/* While nothing happens, the next request tells, and perhaps the time that a
 * worker too many may still stay. */
static void rest(cgwd_demand *demand, const cgwd_generation *gen)
{
    int64_t left = cgwd_scale_next(&demand->scale) - cgwd_now();

    cgwd_queue_await(&demand->group->queue);
    if (demand->scale.target > (unsigned)gen->spec->processes) {
        cgwd_timer_set(loop_of(demand), &demand->look, left > 0 ? left : LOOK_MS);
    }
}

static void handle_look(cgwd_timer *timer)
{
    cgwd_demand *demand = timer->owner;
    cgwd_generation *gen = serving(demand->group);
    cgwd_load load = {0};
    unsigned target = demand->scale.target;
    int64_t now = cgwd_now();

    if (!gen || !is_elastic(gen)) {
        return; /* the next one to serve begins again */
    }
    if (take_load(demand, gen, &load)) {
        demand->active = now;
    }
    cgwd_scale_look(&demand->scale, &load, (unsigned)gen->spec->processes,
                    (unsigned)gen->spec->processes_max, now);
    if (demand->scale.target != target && target > 0) {
        cgwd_staff_resize(gen);
    }
    if (now - demand->active < QUIET_MS) {
        cgwd_queue_leave(&demand->group->queue);
        cgwd_timer_set(loop_of(demand), timer, LOOK_MS);
    }
    else {
        rest(demand, gen);
    }
}

static void handle_arrived(cgwd_queue *queue)
{
    cgwd_group *group = queue->owner;
    cgwd_demand *demand = &group->demand;

    if (demand->asleep) {
        cgwd_group_wake(group);
        return;
    }
    demand->active = cgwd_now();
    cgwd_timer_set(loop_of(demand), &demand->look, LOOK_MS);
}

/* ---- life ----------------------------------------------------------------------- */

void cgwd_demand_init(cgwd_demand *demand, cgwd_group *group)
{
    demand->group = group;
    demand->idle.owner = demand->look.owner = demand;
    demand->idle.handle = handle_idle;
    demand->look.handle = handle_look;
    group->queue.owner = group;
    group->queue.arrived = handle_arrived;
}

void cgwd_demand_serves(cgwd_demand *demand)
{
    const cgwd_generation *gen = serving(demand->group);

    if (!gen || demand->asleep) {
        return;
    }
    if (gen->spec->idle_timeout > 0) {
        cgwd_timer_set(loop_of(demand), &demand->idle, gen->spec->idle_timeout);
    }
    if (is_elastic(gen)) {
        demand->active = cgwd_now();
        cgwd_timer_set(loop_of(demand), &demand->look, 0);
    }
}

void cgwd_demand_stop(cgwd_demand *demand)
{
    cgwd_timer_clear(loop_of(demand), &demand->idle);
    cgwd_timer_clear(loop_of(demand), &demand->look);
    if (demand->group->queue.mode == CGWD_QUEUE_AWAITED) {
        cgwd_queue_leave(&demand->group->queue);
    }
}
