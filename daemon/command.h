/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_COMMAND_H
#define CGWD_COMMAND_H

/* What the requests at the control socket mean. */

#include "admin.h"

/* X(name, words, rights, synopsis) -- words behind the name: at least, at most;
 * a group is the first of them. rights: READ, a group's user or httpd's; OWN,
 * a group's user; root may all. */
#define CGWD_COMMANDS(X)                                                      \
    X(status, 0, 1, READ, "status [group]")                                   \
    X(ready, 0, CGW_ADMIN_WORDS_MAX - 1, READ, "ready [group...]")            \
    X(await, 0, 2, READ, "await [group [generation]]")                        \
    X(requests, 1, 1, OWN, "requests group")                                  \
    X(stacks, 1, 1, OWN, "stacks group")                                      \
    X(check, 1, 2, OWN, "check group [path]")                                 \
    X(env, 1, 1, OWN, "env group")                                            \
    X(reload, 1, 1, OWN, "reload group")                                      \
    X(restart, 1, 2, OWN, "restart group [now]")                              \
    X(start, 1, 1, OWN, "start group")                                        \
    X(stop, 1, 2, OWN, "stop group [now]")                                    \
    X(drain, 0, 1, OWN, "drain [group]")                                      \
    X(undrain, 0, 1, OWN, "undrain [group]")

enum cgwd_command_result {
    CGWD_COMMAND_DONE,      /* the answer is written */
    CGWD_COMMAND_WAIT       /* ask again when something has changed */
};

/* Checks the client's rights and writes its answer. */
enum cgwd_command_result cgwd_command_run(cgwd_client *client);

/* What each does; called by cgwd_command_run only. group is what the client
 * names, NULL where it names none. */
typedef enum cgwd_command_result cgwd_command_fn(cgwd_client *client,
                                                 cgwd_group *group);
#define X(name, fewest, most, rights, synopsis)                               \
    cgwd_command_fn cgwd_command_##name;
CGWD_COMMANDS(X)
#undef X

/* For those: the group, whoever is asked for, and whether the client may see
 * it. */
int cgwd_command_sees(const cgwd_client *client, const cgwd_group *group);

#endif
