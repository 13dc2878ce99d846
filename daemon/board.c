/* SPDX-License-Identifier: Apache-2.0 */

#include "board.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
