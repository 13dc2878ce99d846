/* SPDX-License-Identifier: Apache-2.0 */

#include "sampler.h"

#include "backlog.h"
#include "group.h"

/* How many threads are; looks after their processes by the way. */
static unsigned busy_threads(const cgwd_group *group)
{
    unsigned n = 0;

    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (cgwd_process *p = g->processes; p; p = p->next) {
            n += cgwd_board_busy(&p->board);
            cgwd_stall_look(p);
        }
    }
    return n;
}

static void handle_sample(cgwd_timer *timer)
{
    cgwd_supervisor *sup = timer->owner;

    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *value;
        struct cgw_totals totals;
        apr_hash_this(i, NULL, NULL, &value);
        cgwd_group *group = value;
        cgwd_group_total(group, &totals);
        cgwd_history_take(&group->history, &totals, busy_threads(group),
                          cgwd_backlog(group->listener), cgwd_now());
        if (!group->generations) {
            cgwd_history_rest(&group->history);
        }
    }
    cgwd_oom_sample(&sup->oom, cgwd_oom_count());
    cgwd_timer_set(sup->loop, timer, CGWD_SAMPLE_MS);
}

void cgwd_sampler_start(cgwd_supervisor *sup)
{
    cgwd_oom_init(&sup->oom, cgwd_oom_count());
    sup->sampler.owner = sup;
    sup->sampler.handle = handle_sample;
    cgwd_timer_set(sup->loop, &sup->sampler, CGWD_SAMPLE_MS);
}
