/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_RESPONSE_H
#define CGWM_RESPONSE_H

/* The response on its way to the client, made from frames of a worker. */

#include "httpd.h"
#include "util_filter.h"

#include "debug.h"
#include "inbox.h"
#include "outbox.h"
#include "tally.h"
#include "sendfile.h"

enum cgwm_response_state {
    CGWM_RESPONSE_NONE,      /* no head yet */
    CGWM_RESPONSE_STARTED,   /* the head has come */
    CGWM_RESPONSE_COMPLETE,
    CGWM_RESPONSE_FAILED     /* see status: what to answer, if not started */
};

typedef struct cgwm_response {
    request_rec *r;
    cgwm_inbox *inbox;
    cgwm_tally *tally;          /* of its group; NULL: none */
    const char *group;
    cgwm_outbox *outbox;     /* to be passed on */
    apr_bucket_brigade *bb;  /* being passed on */
    enum cgwm_response_state state;
    int head_only;           /* the body goes nowhere */
    int started;             /* a head was taken over into r */
    int is_unmet;            /* the client's conditions for a file: none is sent */
    int override;            /* httpd's page for this status is the answer; 0 */
    cgwm_named_file named;   /* httpd sends it once the application is done */
    int status;              /* FAILED before the head: HTTP status */
    cgwm_failure_note note;  /* for CGatewayDebug */
    apr_uint64_t expected;   /* Content-Length or CGW_LENGTH_UNKNOWN */
    apr_uint64_t received;   /* body bytes so far */
    int flush_due;           /* something was taken, or passed, since a flush */
    int client_gone;
    int body_broken;         /* by the client: what fails now is its doing */
    apr_uint32_t worker_pid; /* who serves it, 0: unknown */
    apr_uint32_t generation;
    apr_uint64_t queue_us;   /* it waited for the worker */
    int late;                /* it waited too long for a worker, and did not run */
    int returned;            /* a worker had it, and did not come to run it */
} cgwm_response;

void cgwm_response_init(cgwm_response *res, request_rec *r, cgwm_inbox *inbox,
                        cgwm_outbox *outbox, const char *group);

/* For another attempt: nothing of a response has come. */
void cgwm_response_begin_again(cgwm_response *res);

/* The worker is not waited for any more: the response ends here, with this
 * HTTP status if it has not begun. */
void cgwm_response_give_up(cgwm_response *res, int status);

/* Takes every frame that has arrived. */
void cgwm_response_take(cgwm_response *res);

/* 1: the client should have something that it has not got. */
int cgwm_response_is_due(const cgwm_response *res);
/* Passes the next part to the client; paused: the application pauses, so what
 * is there is flushed. Does not wait for long where the client's socket is
 * writable. */
void cgwm_response_pass(cgwm_response *res, int paused);

/* The last word. COMPLETE: the end of the response. A response that started
 * and failed is broken off so that the client sees it. Returns what the
 * handler returns. */
int cgwm_response_finish(cgwm_response *res);

/* Text of a worker, line by line. */
void cgwm_log_lines(request_rec *r, int level, const char *group,
                    const char *text, apr_size_t len);

#endif
