/* SPDX-License-Identifier: Apache-2.0 */

#include "trigger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cgw_log.h"
#include "group.h"
#include "reach.h"

/* A change is complete when nothing more happened for so long; a file that was
 * made, and not closed yet, has longer. */
#define REST_MS 200
#define REST_OF_NEW_MS 1000
/* Or when it has gone on for so long. */
#define REST_LONGEST_MS 2000

static cgwd_loop *loop_of(const cgwd_trigger *trigger)
{
    return trigger->group->sup->loop;
}

/* An application that writes its own watched file must not reload for ever. */
static int must_wait(cgwd_trigger *trigger)
{
    int64_t delay;

    if (trigger->held || !cgwd_group_is_starting(trigger->group)) {
        return 0;
    }
    delay = cgwd_backoff_next(&trigger->backoff, cgwd_now());
    if (delay == 0) {
        return 0;
    }
    trigger->held = 1;
    cgwd_timer_set(loop_of(trigger), &trigger->rest, delay);
    return 1;
}

static void handle_rest(cgwd_timer *timer)
{
    cgwd_trigger *trigger = timer->owner;
    char why[300];

    if (must_wait(trigger)) {
        return;
    }
    trigger->held = 0;
    snprintf(why, sizeof(why), "%s has changed", trigger->name);
    cgwd_group_reload(trigger->group, why);
}

static void handle_changed(cgwd_subscriber *subscriber, const char *name,
                           int settled)
{
    cgwd_trigger *trigger = subscriber->owner;
    int64_t now = cgwd_now(), delay = settled ? REST_MS : REST_OF_NEW_MS;

    if (trigger->held || (trigger->rest.slot && !settled)) {
        return; /* the reload to come sees this change, too */
    }
    if (!trigger->rest.slot) {
        trigger->since = now;
    }
    if (now + delay > trigger->since + REST_LONGEST_MS) {
        delay = trigger->since + REST_LONGEST_MS - now;
    }
    snprintf(trigger->name, sizeof(trigger->name), "%s", name);
    cgwd_timer_set(loop_of(trigger), &trigger->rest, delay > 0 ? delay : 0);
}

void cgwd_trigger_init(cgwd_trigger *trigger, cgwd_group *group)
{
    trigger->group = group;
    trigger->subscriber.owner = trigger->rest.owner = trigger;
    trigger->subscriber.changed = handle_changed;
    trigger->rest.handle = handle_rest;
}

/* 0 or an errno. */
static int watch(cgwd_trigger *trigger, const cgw_spec *spec,
                 const cgwd_passed *dir, const char *name)
{
    cgwd_notify *notify = trigger->group->sup->notify;

    return !notify ? ENOSYS
           : dir->origin != CGWD_ORIGIN_PATH ? EXDEV
           : !cgwd_may_search(dir->fd, spec) ? EACCES
           : cgwd_notify_add(notify, &trigger->subscriber, dir->fd, name);
}

static void add(cgwd_trigger *trigger, const cgw_spec *spec,
                const cgwd_passed *dir, const char *name)
{
    const cgwd_group *group = trigger->group;
    int err = watch(trigger, spec, dir, name);

    if (err && err != EACCES) { /* of a parent directory, not the user's own */
        cgwd_log(group->log, CGWD_WARN, CGW_LOGNO(0290)
                 "%s: cannot watch %s for changes: %s; reload by hand after a "
                 "deploy%s", group->name, name, strerror(err), err == ENOSPC
                 ? ", or raise fs.inotify.max_user_watches, which is used up" : "");
    }
}

int cgwd_trigger_take(cgwd_trigger *trigger, cgwd_generation *gen,
                      const struct cgw_message *msg, const cgwd_passed *dir)
{
    const cgwd_group *group = trigger->group;
    cgwd_wishes *wishes = &gen->wishes;

    if (msg->arg == CGW_WATCH_END) {
        if (!wishes->complete && group->sup->notify) {
            cgwd_notify_end(group->sup->notify, &trigger->subscriber);
        }
        wishes->complete = 1;
        return 1;
    }
    if (msg->arg != CGW_WATCH_NAME || dir->fd < 0 || !*msg->text
        || strchr(msg->text, '/') || wishes->names >= CGWD_WATCH_NAMES_MAX) {
        return 0;
    }
    if (!wishes->complete && !group->retiring && !group->sup->succeeded) {
        if (wishes->names++ == 0) {
            cgwd_notify_begin(&trigger->subscriber);
        }
        add(trigger, gen->spec, dir, msg->text);
    }
    return 1;
}

void cgwd_trigger_rest(cgwd_trigger *trigger)
{
    cgwd_timer_clear(loop_of(trigger), &trigger->rest);
    trigger->held = 0;
}

void cgwd_trigger_stop(cgwd_trigger *trigger)
{
    cgwd_trigger_rest(trigger);
    if (trigger->group->sup->notify) {
        cgwd_notify_remove(trigger->group->sup->notify, &trigger->subscriber);
    }
}
