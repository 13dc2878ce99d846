/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_DEMAND_H
#define CGWD_DEMAND_H

#include "queue.h"
#include "scale.h"

struct cgwd_group;

/* What requests ask of a group: to be started by the first one
 * (CGatewayStart demand), to end when there are none (CGatewayIdleTimeout), and
 * more or fewer workers (CGatewayProcesses with two numbers). A group that is
 * asleep has no processes, but perhaps some that still end, and starts when a
 * connection waits at its socket. */
typedef struct cgwd_demand {
    struct cgwd_group *group;
    int asleep;
    cgwd_timer idle;        /* the group may have been idle for long enough */
    cgwd_timer look;        /* at an elastic group */
    cgwd_scale scale;
    int64_t active;         /* when a look saw work for the last time */
    uint64_t accepted;      /* requests, at the last look */
    uint64_t waited;        /* of those, they that waited long */
} cgwd_demand;

void cgwd_demand_init(cgwd_demand *demand, struct cgwd_group *group);
/* Whether the group has to be started by requests rather than at once. */
int cgwd_demand_is_lazy(const cgwd_demand *demand);
/* Wait for the first request. Ends what serves. */
void cgwd_demand_sleep(cgwd_demand *demand, const char *why);
/* The group starts, for whatever reason. */
void cgwd_demand_wake(cgwd_demand *demand);
/* A generation of it serves now. */
void cgwd_demand_serves(cgwd_demand *demand);
/* The group goes, or is refusing: look at nothing. */
void cgwd_demand_stop(cgwd_demand *demand);

#endif
