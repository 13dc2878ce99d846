/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_CONNECTION_H
#define CGWW_CONNECTION_H

/*
 * One connection with httpd: the frames of one request and its response. The
 * buffer is reused for the next connection of the same thread. Knows nothing
 * of Python: callers release the interpreter lock around what may wait.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "cgw_wire.h"
#include "slot.h"

enum cgww_body_state {
    CGWW_BODY_MORE,     /* the end has not been seen */
    CGWW_BODY_ENDED,
    CGWW_BODY_BROKEN    /* end of file or a malformed frame came first */
};

struct cgww_connection {
    int fd;                     /* -1: none */
    uint8_t *data;              /* received bytes: data[start..end) */
    size_t cap, start, end;
    uint32_t frame_left;        /* of the current BODY frame, not consumed */
    bool frame_last;
    enum cgww_body_state body;
    bool peer_known;
    struct ucred peer;          /* who sent the first bytes, where known */
    struct cgw_slot *slot;      /* is told of waits; NULL: none */

    /* A watchdog may end it: who sends or closes holds the lock. */
    pthread_mutex_t lock;
    bool halfway;               /* in the middle of a frame */
    bool cut;                   /* by the watchdog */
    atomic_bool repeatable;     /* its request may be returned, until: */
    atomic_int claim;           /* enum cgww_claim */
};

enum cgww_claim {
    CGWW_CLAIM_NONE,            /* waits for the interpreter lock */
    CGWW_CLAIM_RUN,             /* its thread runs it */
    CGWW_CLAIM_GIVEN_UP         /* the watchdog has returned or cut it: it never runs */
};

enum cgww_receive {
    CGWW_RECEIVED,
    CGWW_RECEIVE_AGAIN,         /* not complete; only where it may not wait */
    CGWW_RECEIVE_CLOSED,        /* the peer has gone, or took too long */
    CGWW_RECEIVE_INVALID        /* malformed; see the wire status */
};

/* 0 or ENOMEM. */
int cgww_connection_init(struct cgww_connection *conn);
void cgww_connection_destroy(struct cgww_connection *conn);
/* Start with a new descriptor, which belongs to the connection from now on. */
void cgww_connection_open(struct cgww_connection *conn, int fd);
void cgww_connection_close(struct cgww_connection *conn);
/* Closes it in a child that the application forked, where threads that are not
 * there may hold locks. */
void cgww_connection_forget(struct cgww_connection *conn);

/* The REQUEST frame. wait_ms 0: take what is there, never wait. *payload stays
 * valid until the body is touched. */
enum cgww_receive cgww_connection_request(struct cgww_connection *conn,
                                          int wait_ms, struct cgw_frame *frame,
                                          const uint8_t **payload,
                                          enum cgw_wire_status *why);

/* Has httpd hung up, or ended its direction since the client ended its own?
 * Never waits. */
bool cgww_connection_gone(struct cgww_connection *conn);

/* Bytes of the body at *bytes: > 0 how many, 0 at its end, -1 when it broke
 * off, -2 when it would have to wait and must not. */
ssize_t cgww_body_peek(struct cgww_connection *conn, const uint8_t **bytes,
                       bool wait);
void cgww_body_consume(struct cgww_connection *conn, size_t n);
/* Would a read of n bytes be received into the caller's memory, past the buffer? */
bool cgww_body_is_direct(const struct cgww_connection *conn, size_t n);
/* n bytes; fewer at the end of the body and, without wait, where no more has come;
 * -1 when it broke off. */
ssize_t cgww_body_read(struct cgww_connection *conn, uint8_t *to, size_t n, bool wait);

/* What is still to be sent; a send moves it on. */
struct cgww_output {
    struct iovec iov[2];
    int file;                   /* goes with the first byte, -1: none */
};

enum cgww_cut {
    CGWW_CUT_TOLD,              /* httpd knows why */
    CGWW_CUT_SILENT,            /* the connection was closed, or in use */
    CGWW_CUT_OVER,              /* that request has ended */
    CGWW_CUT_BUSY               /* its thread sends: not cut */
};

/* From another thread: end the connection of the request that `slot` shows as
 * started then. httpd gets FAIL TIMEOUT with the text; the application finds
 * that the client has gone. Never waits. */
enum cgww_cut cgww_connection_cut(struct cgww_connection *conn, uint64_t started,
                                  const char *text, size_t len);
/* The same for one that has not run: FAIL RETURNED. OVER where it runs by now. */
enum cgww_cut cgww_connection_return(struct cgww_connection *conn,
                                     uint64_t started);
/* The connection's thread is about to run the request: false where it was returned,
 * or cut. */
bool cgww_connection_claim(struct cgww_connection *conn);

/* Send everything; with MSG_DONTWAIT in flags, as much as fits. 0, EAGAIN or
 * another errno (EPIPE: httpd has hung up). */
int cgww_connection_send(struct cgww_connection *conn, struct cgww_output *out,
                         int flags);

#endif
