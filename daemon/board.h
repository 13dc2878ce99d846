/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_BOARD_H
#define CGWD_BOARD_H

#include "cgw_scoreboard.h"

/* The supervisor's view of a worker's scoreboard: read, never trusted. Zeroed
 * when new; all zero means that there is nothing to see. */
typedef struct cgwd_board {
    struct cgw_scoreboard *map; /* NULL: none (a template) */
    unsigned threads;
} cgwd_board;

/* Makes and maps one. Returns the descriptor for the worker, which the caller
 * closes once it is sent; -1: errno. */
int cgwd_board_open(cgwd_board *board, unsigned threads);
void cgwd_board_close(cgwd_board *board);
/* How many threads are with a request. */
unsigned cgwd_board_busy(const cgwd_board *board);
/* When a request was there for the last time, as a time of cgw_clock_us() in
 * milliseconds: now, where one is. 0: there was none. */
int64_t cgwd_board_used(const cgwd_board *board, int64_t now);
/* When its watchdog last looked at a request, as a time of cgw_clock_us(); 0:
 * it never did. */
uint64_t cgwd_board_watched(const cgwd_board *board);
/* Whether a thread has a request that its watchdog would look at. */
int cgwd_board_has_requests(const cgwd_board *board);
/* Whether the time of such a request is over since so long that httpd, too, has
 * given it up; now: a time of cgw_clock_us(). Waiting for the client counts, but
 * a request that waits for it now is not late. */
int cgwd_board_is_late(const cgwd_board *board, uint64_t now);
/* When httpd sent the newest request that it has received, in us of cgw_clock_us(),
 * at most now; 0: there was none. */
uint64_t cgwd_board_newest(const cgwd_board *board, uint64_t now);
/* Adds its counters. */
void cgwd_board_total(const cgwd_board *board, struct cgw_totals *totals);

#endif
