/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_RESPONSE_H
#define CGWM_RESPONSE_H

/* The response on its way to the client, made from frames of a worker. */

#include "httpd.h"
#include "util_filter.h"

#include "inbox.h"

enum cgwm_response_state {
    CGWM_RESPONSE_NONE,      /* no head yet */
    CGWM_RESPONSE_STARTED,
    CGWM_RESPONSE_COMPLETE,
    CGWM_RESPONSE_FAILED     /* see status: what to answer, if not started */
};

typedef struct cgwm_response {
    request_rec *r;
    cgwm_inbox *inbox;
    const char *group;
    apr_bucket_brigade *bb;  /* to be passed on */
    enum cgwm_response_state state;
    int started;             /* a head was taken over into r */
    int status;              /* FAILED before the head: HTTP status */
    apr_uint64_t expected;   /* Content-Length or CGW_LENGTH_UNKNOWN */
    apr_uint64_t received;   /* body bytes so far */
    int client_gone;
} cgwm_response;

void cgwm_response_init(cgwm_response *res, request_rec *r, cgwm_inbox *inbox,
                        const char *group);

/* Takes every frame that has arrived. */
void cgwm_response_take(cgwm_response *res);

/* Passes what is there to the client; flush where the application pauses. */
void cgwm_response_pass(cgwm_response *res, int flush);

/* The last word. COMPLETE: the end of the response. A response that started
 * and failed is broken off so that the client sees it. Returns what the
 * handler returns. */
int cgwm_response_finish(cgwm_response *res);

#endif
