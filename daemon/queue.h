/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_QUEUE_H
#define CGWD_QUEUE_H

#include "loop.h"

/* What the supervisor does at a group's listening socket, whose connections the
 * workers accept: mostly nothing. Embedded in its owner; one thing at a time. */
typedef struct cgwd_queue {
    cgwd_loop *loop;
    cgwd_watch watch;       /* its fd belongs to the owner */
    cgwd_timer pause;       /* of watching */
    enum { CGWD_QUEUE_LEFT, CGWD_QUEUE_REFUSED, CGWD_QUEUE_AWAITED } mode;
    const char *name;       /* of the group, for those who are refused */
    const char *reason;     /* for them; a literal */
    const char *details;    /* for CGatewayDebug; NULL: none */
    void (*arrived)(struct cgwd_queue *queue);
    void *owner;
} cgwd_queue;

void cgwd_queue_init(cgwd_queue *queue, cgwd_loop *loop, const char *name);
/* The socket is another one now. Ends refusing and awaiting. */
void cgwd_queue_set(cgwd_queue *queue, int fd);
/* Answer all that comes at once: the group "has no worker that can serve". */
void cgwd_queue_refuse(cgwd_queue *queue, const char *reason, const char *details);
/* Call `arrived`, once, as soon as a connection waits, and leave it there. */
void cgwd_queue_await(cgwd_queue *queue);
/* Leave it to the workers. */
void cgwd_queue_leave(cgwd_queue *queue);
/* Whether a connection waits at this moment. */
int cgwd_queue_is_waiting(const cgwd_queue *queue);
/* Whether processes of the group, which share the socket, have shut it down. */
int cgwd_queue_is_shut(const cgwd_queue *queue);

#endif
