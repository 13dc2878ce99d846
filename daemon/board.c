/* SPDX-License-Identifier: Apache-2.0 */

#include "board.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* httpd gives a worker so much more than the time of a request. */
#define LATE_PART 8
#define LATE_US 1000000

int cgwd_board_open(cgwd_board *board, unsigned threads)
{
    int fd = cgw_scoreboard_create(threads);
    int error;

    if (fd < 0) {
        return -1;
    }
    board->map = cgw_scoreboard_map(fd, threads, 0);
    if (!board->map) {
        error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    board->threads = threads;
    return fd;
}

void cgwd_board_close(cgwd_board *board)
{
    cgw_scoreboard_unmap(board->map, board->threads);
    memset(board, 0, sizeof(*board));
}

void cgwd_board_total(const cgwd_board *board, struct cgw_totals *totals)
{
    if (board->map) {
        cgw_scoreboard_total(board->map, board->threads, totals);
    }
}

unsigned cgwd_board_busy(const cgwd_board *board)
{
    return board->map ? cgw_scoreboard_busy(board->map, board->threads) : 0;
}

uint64_t cgwd_board_watched(const cgwd_board *board)
{
    uint64_t last = 0;

    for (unsigned i = 0; board->map && i < board->threads; i++) {
        uint64_t watched = CGW_SLOT_GET(cgw_scoreboard_slot(board->map, i), watched);
        last = watched > last ? watched : last;
    }
    return last;
}

int cgwd_board_has_requests(const cgwd_board *board)
{
    for (unsigned i = 0; board->map && i < board->threads; i++) {
        if (CGW_SLOT_GET(cgw_scoreboard_slot(board->map, i), started)) {
            return 1;
        }
    }
    return 0;
}

/* As module/patience.c has it. */
static int is_late(const struct cgw_slot *slot, uint64_t now)
{
    uint64_t started = CGW_SLOT_GET(slot, started);
    uint64_t deadline = CGW_SLOT_GET(slot, deadline);
    uint64_t more = deadline > started ? (deadline - started) / LATE_PART : 0;

    more = more > LATE_US ? more : LATE_US;
    return started && deadline && CGW_SLOT_GET(slot, state) != CGW_SLOT_CLIENT
           && now > deadline && now - deadline > more;
}

int cgwd_board_is_late(const cgwd_board *board, uint64_t now)
{
    for (unsigned i = 0; board->map && i < board->threads; i++) {
        if (is_late(cgw_scoreboard_slot(board->map, i), now)) {
            return 1;
        }
    }
    return 0;
}

int64_t cgwd_board_used(const cgwd_board *board, int64_t now)
{
    uint64_t last = 0;

    if (cgwd_board_busy(board)) {
        return now;
    }
    for (unsigned i = 0; board->map && i < board->threads; i++) {
        const struct cgw_slot *slot = cgw_scoreboard_slot(board->map, i);
        uint64_t ended = CGW_SLOT_GET(slot, ended) / 1000;
        last = ended > last ? ended : last;
    }
    return last > (uint64_t)now ? now : (int64_t)last;
}

uint64_t cgwd_board_newest(const cgwd_board *board, uint64_t now)
{
    uint64_t newest = 0;

    for (unsigned i = 0; board->map && i < board->threads; i++) {
        uint64_t sent = CGW_SLOT_GET(cgw_scoreboard_slot(board->map, i), sent);
        newest = sent > newest && sent <= now ? sent : newest;
    }
    return newest;
}
