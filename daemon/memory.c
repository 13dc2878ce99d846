/* SPDX-License-Identifier: Apache-2.0 */

#include "memory.h"

#include "cgw_log.h"
#include "footprint.h"
#include "group.h"

/* The kernel counts for PSS page by page: that is asked for less often. */
#define LOOK_RSS_MS 1000
#define LOOK_PSS_MS 5000
/* The successor of a worker that is younger would not do better. */
#define YOUNG_MS 10000
#define MIB (1024 * 1024)

/* ---- judging ------------------------------------------------------------------- */

static void kill_it(cgwd_generation *gen, cgwd_process *proc, int64_t size)
{
    cgwd_log(gen->group->log, CGWD_ERROR, CGW_LOGNO(0278)
             "%s: pid %ld has %ld MiB of memory, more than CGatewayMaxMemory's hard "
             "limit of %ld MiB, and is killed; its requests are lost",
             gen->group->name, (long)proc->pid, (long)(size / MIB),
             (long)(gen->spec->max_memory_hard / MIB));
    cgwd_process_kill(proc);
}

/* Whether a successor would be smaller. How much a forked one has of what it
 * shares cannot be told before it serves. */
static int can_help(const cgwd_generation *gen, const cgwd_process *proc)
{
    if (gen->spec->max_memory_pss && !gen->solo) {
        return cgwd_now() - proc->born >= YOUNG_MS;
    }
    return gen->memory.imported <= gen->spec->max_memory;
}

static void judge(cgwd_generation *gen, cgwd_process *proc)
{
    const cgw_spec *spec = gen->spec;
    int64_t size;

    if (proc->pid <= 0 || proc->killed
        || (proc->state != CGWD_PROCESS_SERVING
            && proc->state != CGWD_PROCESS_DRAINING)) {
        return;
    }
    size = cgwd_footprint(proc->pid, spec->max_memory_pss != 0);
    if (spec->max_memory_hard > 0 && size > spec->max_memory_hard) {
        kill_it(gen, proc, size);
    }
    else if (size > spec->max_memory && can_help(gen, proc)) {
        cgwd_generation_replace(gen, proc, "CGatewayMaxMemory");
    }
}

static void set_timer(cgwd_generation *gen)
{
    cgwd_timer_set(gen->sup->loop, &gen->memory.timer,
                   gen->spec->max_memory_pss ? LOOK_PSS_MS : LOOK_RSS_MS);
}

static void handle_timer(cgwd_timer *timer)
{
    cgwd_generation *gen = timer->owner;

    for (cgwd_process *p = gen->processes; p; p = p->next) {
        judge(gen, p);
    }
    set_timer(gen);
}

/* ---- life ------------------------------------------------------------------------ */

void cgwd_memory_init(cgwd_generation *gen)
{
    gen->memory.timer.owner = gen;
    gen->memory.timer.handle = handle_timer;
}

static int is_too_low(const cgwd_generation *gen, int64_t size)
{
    return size > gen->spec->max_memory
           && (gen->solo || !gen->spec->max_memory_pss);
}

void cgwd_memory_imported(cgwd_generation *gen, const cgwd_process *proc)
{
    int is_first = gen->memory.imported == 0;
    int64_t size;

    if (gen->spec->max_memory <= 0) {
        return;
    }
    size = cgwd_footprint(proc->pid, gen->spec->max_memory_pss != 0);
    gen->memory.imported = size;
    if (is_first && is_too_low(gen, size)) {
        cgwd_log(gen->group->log, CGWD_WARN, CGW_LOGNO(0277)
                 "%s: CGatewayMaxMemory is %ld MiB, but a process has %ld MiB when it "
                 "has imported the application; none is replaced for its size. Raise "
                 "the limit", gen->group->name, (long)(gen->spec->max_memory / MIB),
                 (long)(size / MIB));
    }
    set_timer(gen);
}

void cgwd_memory_stop(cgwd_generation *gen)
{
    cgwd_timer_clear(gen->sup->loop, &gen->memory.timer);
}
