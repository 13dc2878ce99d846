/* SPDX-License-Identifier: Apache-2.0 */

#include "command.h"

#include <string.h>

#include "activity.h"
#include "environment.h"
#include "status.h"

enum rights { READ, OWN };

int cgwd_command_sees(const cgwd_client *client, const cgwd_group *group)
{
    return cgwd_client_is_reader(client) || cgwd_client_owns(client, group);
}

enum cgwd_command_result cgwd_command_status(cgwd_client *client,
                                             cgwd_group *group)
{
    cgwd_json *json = &client->answer;
    apr_hash_t *groups = client->sup->groups;

    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 1);
    cgwd_status_supervisor(json, client->sup);
    cgwd_json_array(json, "groups");
    if (group) {
        cgwd_status_group(json, group);
    }
    for (apr_hash_index_t *i = group ? NULL : apr_hash_first(NULL, groups); i;
         i = apr_hash_next(i)) {
        void *each;
        apr_hash_this(i, NULL, NULL, &each);
        if (cgwd_command_sees(client, each)) {
            cgwd_status_group(json, each);
        }
    }
    cgwd_json_array_end(json);
    cgwd_json_object_end(json);
    return CGWD_COMMAND_DONE;
}

enum cgwd_command_result cgwd_command_requests(cgwd_client *client,
                                               cgwd_group *group)
{
    cgwd_json *json = &client->answer;

    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 1);
    cgwd_json_string(json, "group", group->name);
    cgwd_activity_requests(json, group);
    cgwd_json_object_end(json);
    return CGWD_COMMAND_DONE;
}

/* Values are secrets: what runs with one is not to read them out elsewhere. */
enum cgwd_command_result cgwd_command_env(cgwd_client *client, cgwd_group *group)
{
    cgwd_json *json = &client->answer;
    apr_pool_t *ptemp;

    apr_pool_create(&ptemp, group->pool);
    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 1);
    cgwd_json_string(json, "group", group->name);
    cgwd_json_object(json, "environment");
    for (char **env = cgwd_environment(group->spec, ptemp); *env; env++) {
        char *value = strchr(*env, '=');
        *value++ = '\0';
        cgwd_json_string(json, *env,
                         cgwd_client_is_master(client) ? value : NULL);
    }
    cgwd_json_object_end(json);
    cgwd_json_object_end(json);
    apr_pool_destroy(ptemp);
    return CGWD_COMMAND_DONE;
}

/* ---- dispatch ------------------------------------------------------------ */

typedef struct command {
    const char *name;
    int fewest, most;
    enum rights rights;
    const char *synopsis;
    cgwd_command_fn *run;
} command;

static const command commands[] = {
#define X(name, fewest, most, rights, synopsis)                               \
    {#name, fewest, most, rights, synopsis, cgwd_command_##name},
    CGWD_COMMANDS(X)
#undef X
};

static const command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int may(const cgwd_client *client, const command *cmd,
               const cgwd_group *group)
{
    return cgwd_client_is_master(client) || cgwd_client_owns(client, group)
           || (cmd->rights == READ && cgwd_client_is_reader(client));
}

/* Whether a group of that name exists is nobody else's business. */
static void refuse(cgwd_client *client, const char *name)
{
    if (cgwd_client_is_reader(client)
        && !apr_hash_get(client->sup->groups, name, APR_HASH_KEY_STRING)) {
        cgwd_client_fail(client, CGWD_ADMIN_NO_GROUP, "there is no group %s",
                         name);
        return;
    }
    cgwd_client_fail(client, CGWD_ADMIN_REFUSED,
                     "uid %ld may not do that with group %s; root and the "
                     "group's own user may", (long)client->peer.uid, name);
}

enum cgwd_command_result cgwd_command_run(cgwd_client *client)
{
    const command *cmd = find(client->words[0]);
    const char *name = client->nwords > 1 ? client->words[1] : NULL;
    cgwd_group *group;

    if (!cmd) {
        cgwd_client_fail(client, CGWD_ADMIN_USAGE, "there is no request %s",
                         client->words[0]);
        return CGWD_COMMAND_DONE;
    }
    if (client->nwords - 1 < cmd->fewest || client->nwords - 1 > cmd->most) {
        cgwd_client_fail(client, CGWD_ADMIN_USAGE, "write: %s", cmd->synopsis);
        return CGWD_COMMAND_DONE;
    }
    group = name ? apr_hash_get(client->sup->groups, name, APR_HASH_KEY_STRING)
                 : NULL;
    if (name && (!group || !may(client, cmd, group))) {
        refuse(client, name);
        return CGWD_COMMAND_DONE;
    }
    if (!name && cmd->rights == OWN && !cgwd_client_is_master(client)) {
        cgwd_client_fail(client, CGWD_ADMIN_REFUSED, "only root may do that with "
                         "all groups; name one");
        return CGWD_COMMAND_DONE;
    }
    return cmd->run(client, group);
}
