/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_BLOCK_H
#define CGWD_BLOCK_H

#include <stddef.h>

/* Lines of one process that belong together, as a traceback does, though they come
 * one by one. Pure functions. */

enum cgwd_block {
    CGWD_BLOCK_NONE,        /* no line yet */
    CGWD_BLOCK_LINE,        /* any line; indented ones may follow, or a traceback */
    CGWD_BLOCK_INDENTED,    /* the last line is indented: more may follow */
    CGWD_BLOCK_OPEN,        /* a traceback whose exception is still to come */
    CGWD_BLOCK_CLOSED,      /* whose exception has come; it may be the cause of
                               another one, which follows */
};

/* What a block is with another line. *begins: the line does not belong to what was
 * there before, but begins another block. */
enum cgwd_block cgwd_block_add(enum cgwd_block block, const char *line, size_t len,
                               int *begins);
/* How many ms the next line of the block may take to come. */
int cgwd_block_patience(enum cgwd_block block);

#endif
