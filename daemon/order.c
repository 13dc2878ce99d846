/* SPDX-License-Identifier: Apache-2.0 */

/* The requests at the control socket that change something, or wait for a
 * change. Each says at once what it has begun; "await" is for waiting. */

#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers --------------------------------------------------------------- */

static void begin_answer(cgwd_client *client)
{
    cgwd_json_object(&client->answer, NULL);
    cgwd_json_bool(&client->answer, "ok", 1);
}

static enum cgwd_command_result end_answer(cgwd_client *client)
{
    cgwd_json_object_end(&client->answer);
    return CGWD_COMMAND_DONE;
}

static enum cgwd_command_result answer_number(cgwd_client *client,
                                              const cgwd_group *group,
                                              unsigned number)
{
    begin_answer(client);
    cgwd_json_string(&client->answer, "group", group->name);
    cgwd_json_number(&client->answer, "generation", number);
    return end_answer(client);
}

static const char *whose_order(const cgwd_client *client, char *out, size_t size)
{
    snprintf(out, size, "uid %ld asked for it", (long)client->peer.uid);
    return out;
}

/* Whether the group takes orders; if not, the client is told. */
static int takes_orders(cgwd_client *client, const cgwd_group *group)
{
    if (group->sup->ending || group->retiring) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "group %s is %s", group->name,
                         group->retiring ? "not in the configuration any more"
                                         : "ending with httpd");
        return 0;
    }
    return 1;
}

/* The word behind the group: 0 none, 1 "now", -1 another (the client is told). */
static int wants_now(cgwd_client *client)
{
    if (client->nwords < 3) {
        return 0;
    }
    if (strcmp(client->words[2], "now") == 0) {
        return 1;
    }
    cgwd_client_fail(client, CGWD_ADMIN_USAGE, "write: %s group [now]",
                     client->words[0]);
    return -1;
}

/* ---- orders ---------------------------------------------------------------- */

enum cgwd_command_result cgwd_command_reload(cgwd_client *client,
                                             cgwd_group *group)
{
    char why[64];

    if (!takes_orders(client, group)) {
        return CGWD_COMMAND_DONE;
    }
    if (group->stopped) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "group %s was stopped; start "
                         "it", group->name);
        return CGWD_COMMAND_DONE;
    }
    cgwd_group_reload(group, whose_order(client, why, sizeof(why)));
    return answer_number(client, group,
                         group->last_number + (unsigned)group->restarting);
}

enum cgwd_command_result cgwd_command_restart(cgwd_client *client,
                                              cgwd_group *group)
{
    char why[64];
    int now = wants_now(client);

    if (now < 0 || !takes_orders(client, group)) {
        return CGWD_COMMAND_DONE;
    }
    return answer_number(client, group,
                         cgwd_group_restart(group, now, whose_order(client, why,
                                                                    sizeof(why))));
}

enum cgwd_command_result cgwd_command_start(cgwd_client *client,
                                            cgwd_group *group)
{
    char why[64];

    if (!takes_orders(client, group)) {
        return CGWD_COMMAND_DONE;
    }
    return answer_number(client, group,
                         cgwd_group_start(group, whose_order(client, why,
                                                             sizeof(why))));
}

/* Answers once every process has gone. */
enum cgwd_command_result cgwd_command_stop(cgwd_client *client, cgwd_group *group)
{
    char why[64];
    int now = wants_now(client);

    if (now < 0 || !takes_orders(client, group)) {
        return CGWD_COMMAND_DONE;
    }
    if (!client->begun) {
        client->begun = 1;
        cgwd_group_stop(group, now, whose_order(client, why, sizeof(why)));
    }
    if (!group->stopped) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "group %s was started again "
                         "meanwhile", group->name);
        return CGWD_COMMAND_DONE;
    }
    if (group->generations) {
        return CGWD_COMMAND_WAIT;
    }
    begin_answer(client);
    cgwd_json_string(&client->answer, "group", group->name);
    return end_answer(client);
}

static enum cgwd_command_result set_unready(cgwd_client *client,
                                            cgwd_group *group, int on)
{
    if (group) {
        group->unready = on;
    }
    else {
        client->sup->unready = on;
    }
    begin_answer(client);
    cgwd_json_bool(&client->answer, "draining", on);
    return end_answer(client);
}

enum cgwd_command_result cgwd_command_drain(cgwd_client *client,
                                            cgwd_group *group)
{
    return set_unready(client, group, 1);
}

enum cgwd_command_result cgwd_command_undrain(cgwd_client *client,
                                              cgwd_group *group)
{
    return set_unready(client, group, 0);
}

/* ---- waiting --------------------------------------------------------------- */

/* Whether what it replaces accepts no more. */
static int serves_alone(const cgwd_generation *serving)
{
    for (const cgwd_generation *g = serving->next; g; g = g->next) {
        if (cgwd_generation_is_closing(g)) {
            return 0;
        }
    }
    return 1;
}

/* One generation, or a later one that takes its place: 1 it serves, and no
 * other, 0 it may still, -1 it could not be started (the client is told). */
static int has_come(cgwd_client *client, const cgwd_group *group, uint64_t number)
{
    const cgwd_generation *serving = cgwd_group_serving(group);

    if (serving && serving->number >= number) {
        return serves_alone(serving);
    }
    if (group->stopped || group->retiring) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "group %s was %s meanwhile",
                         group->name, group->stopped ? "stopped" : "removed");
        return -1;
    }
    if (group->failure && group->failure->generation >= number
        && group->failure->generation == group->last_number) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "group %s: generation %u "
                         "could not be started: %s", group->name,
                         group->failure->generation, group->failure->reason);
        return -1;
    }
    return 0;
}

/* All that the client sees, or the one that it names. */
static int all_serve(const cgwd_client *client, const cgwd_group *named)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, client->sup->groups); i;
         i = apr_hash_next(i)) {
        void *value;
        apr_hash_this(i, NULL, NULL, &value);
        const cgwd_group *group = value;
        if ((!named || named == group) && cgwd_command_sees(client, group)
            && !group->retiring && !cgwd_group_serving(group)
            && !group->demand.asleep) {
            return 0;
        }
    }
    return 1;
}

/* With a number, a start that fails ends the waiting. Without, it is tried
 * again by itself, and waited for. */
enum cgwd_command_result cgwd_command_await(cgwd_client *client,
                                            cgwd_group *group)
{
    char *end = NULL;
    uint64_t number = client->nwords > 2 ? strtoull(client->words[2], &end, 10) : 0;
    int come;

    if (end && (*end || number == 0)) {
        cgwd_client_fail(client, CGWD_ADMIN_USAGE, "%s is no generation",
                         client->words[2]);
        return CGWD_COMMAND_DONE;
    }
    if (client->sup->ending) {
        cgwd_client_fail(client, CGWD_ADMIN_FAILED, "httpd ends");
        return CGWD_COMMAND_DONE;
    }
    come = group && number ? has_come(client, group, number) : all_serve(client, group);
    if (come == 0) {
        return CGWD_COMMAND_WAIT;
    }
    if (come < 0) {
        return CGWD_COMMAND_DONE;
    }
    if (group && cgwd_group_serving(group)) {
        return answer_number(client, group, cgwd_group_serving(group)->number);
    }
    begin_answer(client);
    return end_answer(client);
}

/* ---- readiness ------------------------------------------------------------- */

static int put_ready(cgwd_client *client, const cgwd_group *group)
{
    int ready = cgwd_group_is_ready(group);

    cgwd_json_bool(&client->answer, group->name, ready);
    return ready;
}

static int put_ready_of_all(cgwd_client *client)
{
    int ready = !client->sup->unready && !client->sup->ending;

    for (apr_hash_index_t *i = apr_hash_first(NULL, client->sup->groups); i;
         i = apr_hash_next(i)) {
        void *value;
        apr_hash_this(i, NULL, NULL, &value);
        const cgwd_group *group = value;
        if (cgwd_command_sees(client, group) && !group->retiring) {
            ready &= put_ready(client, group);
        }
    }
    return ready;
}

/* The first group is known, and may be seen; a further one that is unknown is
 * not ready. */
enum cgwd_command_result cgwd_command_ready(cgwd_client *client,
                                            cgwd_group *first)
{
    int ready = 1;

    begin_answer(client);
    cgwd_json_object(&client->answer, "groups");
    if (!first) {
        ready = put_ready_of_all(client);
    }
    for (int i = 1; i < client->nwords; i++) {
        const cgwd_group *group = apr_hash_get(client->sup->groups,
                                               client->words[i],
                                               APR_HASH_KEY_STRING);
        ready &= group && cgwd_command_sees(client, group)
                     ? put_ready(client, group) : 0;
    }
    cgwd_json_object_end(&client->answer);
    cgwd_json_bool(&client->answer, "ready", ready);
    return end_answer(client);
}
