/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_HANDLER_H
#define CGW_HANDLER_H

/*
 * A thread is sent a signal, whose handler writes something (the Python stack of
 * the thread): when is all of it there? Supervisor and watchdog look once a
 * millisecond, and ask here. Implemented in common/handler.c, libc only.
 */

#include <stddef.h>

/* What the kernel says of a signal in a thread. */
struct cgw_handler {
    int is_known;           /* 0: /proc does not tell, as in a chroot */
    int pending, blocked, caught;
    int sleeping;           /* interruptibly, so in no handler's beginning */
    int runs;               /* or would, if it had a processor */
};

/* Of a /proc/.../status. */
void cgw_handler_parse(struct cgw_handler *out, const char *status, int sig);
/* Of that file. 0: it cannot be read; then nothing is known. */
int cgw_handler_look(struct cgw_handler *out, const char *path, int sig);

/* The answer of one thread; zeroed before the signal is sent. */
struct cgw_answer {
    size_t written;
    int quiet;              /* looks in which nothing happened */
};

/* One look: `written` bytes have come so far. 1: the handler has returned, or
 * nothing is to be expected of it. */
int cgw_answer_is_complete(struct cgw_answer *answer, const struct cgw_handler *now,
                           size_t written);

#endif
