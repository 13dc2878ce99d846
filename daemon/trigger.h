/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_TRIGGER_H
#define CGWD_TRIGGER_H

#include "backoff.h"
#include "cgw_control.h"
#include "notify.h"
#include "origin.h"

struct cgwd_generation;
struct cgwd_group;

/* Reloads a group when one of its watched files changes and has come to rest
 * (CGatewayWatch). Which files those are, the group's processes say, who look
 * them up as the group's user and by Python's rules. */
typedef struct cgwd_trigger {
    struct cgwd_group *group;
    cgwd_subscriber subscriber;
    cgwd_timer rest;            /* until the change counts as complete */
    int64_t since;              /* the first event of the change */
    cgwd_backoff backoff;       /* of changes while the application loads */
    int held;                   /* by that backoff */
    char name[256];             /* of what changed last */
} cgwd_trigger;

/* How many names the processes of a generation may ask for. */
#define CGWD_WATCH_NAMES_MAX 1000

/* What a generation has asked for: its first process does for all. */
typedef struct cgwd_wishes {
    unsigned names;
    int complete;
} cgwd_wishes;

void cgwd_trigger_init(cgwd_trigger *trigger, struct cgwd_group *group);
/* A WATCH message of a process of the generation that starts, with the directory. Only
 * what the generation's user may search is watched: events tell of names. 0 where the
 * message is malformed. */
int cgwd_trigger_take(cgwd_trigger *trigger, struct cgwd_generation *gen,
                      const struct cgw_message *msg, const cgwd_passed *dir);
/* What has changed so far is seen by the generation that starts now. */
void cgwd_trigger_rest(cgwd_trigger *trigger);
/* Watch nothing. */
void cgwd_trigger_stop(cgwd_trigger *trigger);

#endif
