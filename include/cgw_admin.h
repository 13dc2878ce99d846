/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_ADMIN_H
#define CGW_ADMIN_H

/*
 * The control socket for people and their programs: a Unix stream socket of
 * cgatewayd in the runtime directory. Groups' sockets end in CGW_WIRE_SOCKET,
 * so no group's name collides with it. Contract between cgatewayd, tools/cgatewayctl
 * and mod_cgateway's status handler.
 *
 * A connection carries one request and one answer. The request is a line of
 * words, each separated from the next by one space, and has at most
 * CGW_ADMIN_REQUEST_MAX bytes with its line end. The answer is one line of
 * JSON (RFC 8259), an object: "ok" is true, or false and then "error" is one of
 * CGW_ADMIN_ERRORS and "message" a text for people; the connection ends behind
 * it.
 *
 * Anybody may connect; who may do what is decided by the kernel's word on the
 * peer (SO_PEERCRED): root and the user whom cgatewayd runs as may do
 * everything, the user of a group everything with that group, httpd's user
 * may read the status. Others are refused.
 */

#define CGW_ADMIN_SOCKET "control"
#define CGW_ADMIN_VERSION 1     /* "protocol" in the answer to status */
#define CGW_ADMIN_REQUEST_MAX 512
#define CGW_ADMIN_WORDS_MAX 4

/* X(symbol, name) */
#define CGW_ADMIN_ERRORS(X)                                                   \
    X(USAGE, "usage")           /* no such request, or malformed */           \
    X(REFUSED, "refused")       /* the peer may not do that */                \
    X(NO_GROUP, "no-such-group")                                              \
    X(BUSY, "busy")             /* too many connections, or too late */       \
    X(FAILED, "failed")         /* it was tried and did not succeed */        \
    X(TOO_LARGE, "too-large")   /* ask for one group */

#endif
