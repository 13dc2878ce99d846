/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_COMMAND_H
#define CGWD_COMMAND_H

/* What the requests at the control socket mean. */

#include "admin.h"

/* X(name, words, rights, synopsis) -- words behind the name: at least, at most;
 * a group is the first of them. rights: READ, a group's user or httpd's; OWN,
 * a group's user; root may all. */
#define CGWD_COMMANDS(X)                                                      \
    X(status, 0, 1, READ, "status [group]")

enum cgwd_command_result {
    CGWD_COMMAND_DONE,      /* the answer is written */
    CGWD_COMMAND_WAIT       /* ask again when something has changed */
};

/* Checks the client's rights and writes its answer. */
enum cgwd_command_result cgwd_command_run(cgwd_client *client);

#endif
