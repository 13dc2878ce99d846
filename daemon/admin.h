/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ADMIN_H
#define CGWD_ADMIN_H

/* The control socket for administrators (include/cgw_admin.h): its clients,
 * who they are, and their requests and answers as lines. What a request means
 * is command.c's. Nothing waits for a client: each has a deadline, and so many
 * may be connected. */

#include <sys/socket.h>

#include "cgw_admin.h"
#include "group.h"
#include "json.h"

typedef struct cgwd_admin cgwd_admin;

/* A connection. */
typedef struct cgwd_client {
    cgwd_admin *admin;
    cgwd_supervisor *sup;
    struct ucred peer;          /* by the kernel */
    cgwd_watch watch;
    cgwd_timer deadline;
    char request[CGW_ADMIN_REQUEST_MAX + 1];
    size_t request_len;
    int nwords;                 /* 0: the request is not complete yet */
    const char *words[CGW_ADMIN_WORDS_MAX];
    void *job;                  /* what it waits for, if it has a state */
    void (*end_job)(struct cgwd_client *client); /* frees it; NULL: no job */
    int begun;                  /* what it asks for was done, and it waits */
    int answered;               /* answer is complete */
    cgwd_json answer;
    size_t sent;
    struct cgwd_client *next;
} cgwd_client;

enum cgwd_admin_error {
#define X(sym, name) CGWD_ADMIN_##sym,
    CGW_ADMIN_ERRORS(X)
#undef X
};

/* Makes the socket, or makes it anew where somebody removed it. Without it
 * groups are served all the same: a failure is logged, the same one once. */
void cgwd_admin_listen(cgwd_supervisor *sup);
/* Whether nothing of its name is there. */
int cgwd_admin_is_missing(const cgwd_supervisor *sup);
/* Removes the socket's file if it is still ours. */
void cgwd_admin_unlink(const cgwd_supervisor *sup);
/* A group or generation has another state: whoever waits for one is asked
 * again in the next turn of the loop. */
void cgwd_admin_notify(cgwd_supervisor *sup);

/* The client's uid may do everything. */
int cgwd_client_is_master(const cgwd_client *client);
/* The client's uid may read the status of everything. */
int cgwd_client_is_reader(const cgwd_client *client);
/* The client's uid is that of the group. */
int cgwd_client_owns(const cgwd_client *client, const cgwd_group *group);

/* Instead of an answer: drops what was written of it. */
void cgwd_client_fail(cgwd_client *client, enum cgwd_admin_error error,
                      const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
