/* SPDX-License-Identifier: Apache-2.0 */

#include "block.h"

#include <string.h>

static int begins_with(const char *line, size_t len, const char *text)
{
    size_t n = strlen(text);

    return len >= n && memcmp(line, text, n) == 0;
}

static int is_indented(const char *line, size_t len)
{
    return len > 0 && (line[0] == ' ' || line[0] == '\t');
}

/* Of a traceback, with whatever a format of logging has before it. */
static int opens(const char *line, size_t len)
{
    static const char text[] = "Traceback (most recent call last)";

    return !is_indented(line, len) && memmem(line, len, text, sizeof(text) - 1);
}

/* Of faulthandler: "Thread 0x... (most recent call first):", with no last line. */
static int opens_stack(const char *line, size_t len)
{
    static const char text[] = "(most recent call first)";

    return memmem(line, len, text, sizeof(text) - 1) != NULL;
}

/* Between an exception and the next one. */
static int links(const char *line, size_t len)
{
    return begins_with(line, len, "During handling of the above exception")
           || begins_with(line, len, "The above exception was the direct cause");
}

enum cgwd_block cgwd_block_add(enum cgwd_block block, const char *line, size_t len,
                               int *begins)
{
    *begins = 0;
    if (block == CGWD_BLOCK_CLOSED && (links(line, len) || is_indented(line, len))) {
        return links(line, len) ? CGWD_BLOCK_OPEN : block;
    }
    if (opens(line, len)) {
        *begins = block == CGWD_BLOCK_CLOSED || block == CGWD_BLOCK_INDENTED;
        return CGWD_BLOCK_OPEN;
    }
    if (is_indented(line, len) || opens_stack(line, len)) {
        return block == CGWD_BLOCK_OPEN ? block : CGWD_BLOCK_INDENTED;
    }
    if (block == CGWD_BLOCK_OPEN) {
        return CGWD_BLOCK_CLOSED;
    }
    *begins = 1;
    return CGWD_BLOCK_LINE;
}

int cgwd_block_patience(enum cgwd_block block)
{
    switch (block) {
    case CGWD_BLOCK_OPEN: return 1000; /* it comes, unless the process ends */
    case CGWD_BLOCK_INDENTED: return 50;
    case CGWD_BLOCK_CLOSED: return 20;
    default: return 5;
    }
}
