/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_INBOX_H
#define CGWM_INBOX_H

/* Frames as they arrive from a worker. Body bytes are handed on as buckets
 * over the receive buffer, without a copy; every other payload is contiguous.
 * Nothing that arrives is trusted. */

#include "httpd.h"
#include "util_filter.h"

#include "cgw_wire.h"

typedef struct cgwm_inbox cgwm_inbox;

cgwm_inbox *cgwm_inbox_create(request_rec *r);
/* Ready for another connection; what was received is forgotten. */
void cgwm_inbox_reset(cgwm_inbox *in);

/* Receives what there is: APR_SUCCESS, APR_EAGAIN, APR_EOF, or an error. */
apr_status_t cgwm_inbox_receive(cgwm_inbox *in, int fd);

/* The next frame. CGW_WIRE_OK: *frame is set and either *payload points to its
 * frame->length bytes (valid until the next call), or, for BODY, *body is a
 * bucket with the part of it that has arrived; frame->flags is then only set
 * with the last part, and parts may be of any size. CGW_WIRE_MORE: receive
 * first. Else the worker broke the protocol. */
enum cgw_wire_status cgwm_inbox_next(cgwm_inbox *in, struct cgw_frame *frame,
                                     const uint8_t **payload,
                                     apr_bucket **body);

/* The descriptor that came with a FILE frame, now the caller's; -1: none. */
int cgwm_inbox_take_fd(cgwm_inbox *in);
/* Whether one came for which this process has no room. */
int cgwm_inbox_is_narrow(const cgwm_inbox *in);

/* Give up buffers and descriptors. */
void cgwm_inbox_close(cgwm_inbox *in);

#endif
