/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_QUEUE_H
#define CGWM_QUEUE_H

/*
 * The queue of a group: the kernel's list of connections to its socket that no
 * worker has accepted. A request stands in it from its connect on until a
 * worker reads it.
 */

#include "httpd.h"

#include "config.h"

/* Time that the word of a worker that took a request may be on its way. */
#define CGWM_QUEUE_GRACE_US 1000000

typedef struct cgwm_place {
    int taken;              /* a worker has read the request */
    int told;               /* the worker says so (CGW_REQUEST_TELL) */
    uint64_t until;         /* it leaves then, in cgw_clock_us(); 0: never */
} cgwm_place;

/* A connection: 0 with *fd, EAGAIN where the queue is full, or another errno. Waits
 * only where there is no socket, until it has been made anew, and as the queue does:
 * for CGatewayQueueTimeout, and no more than CGatewayQueueSize at a time. */
int cgwm_queue_join(const cgwm_group *group, int *fd);

/* The request begins to wait at `sent`. told: more is sent than one piece, so
 * the worker is asked to tell. */
void cgwm_place_take(cgwm_place *place, const cgwm_group *group, uint64_t sent,
                     int told);
/* Does it still wait? Looks whether the worker has read it. */
int cgwm_place_waits(cgwm_place *place, int fd);
/* Milliseconds until it has waited too long; -1: for ever. */
int cgwm_place_left(const cgwm_place *place);
/* Has it waited too long? What this says is final: a worker that reads the
 * request from now on does not run it. */
int cgwm_place_is_lost(cgwm_place *place, int fd);

/* Of a 503 that the gateway answers, in seconds. */
#define CGWM_RETRY_AFTER "5"

/* Refuse a request for now: sets Retry-After, returns the HTTP status. */
int cgwm_refuse(request_rec *r);
/* The same, since the queue was full, since it waited too long, or since there is no
 * queue to be had: with Retry-After, and a line in the log at most once a second.
 * Returns the HTTP status. */
int cgwm_queue_refuse_full(request_rec *r, const cgwm_group *group);
int cgwm_queue_refuse_late(request_rec *r, const cgwm_group *group);
int cgwm_queue_refuse_lost(request_rec *r, const cgwm_group *group, int err);

#endif
