/* SPDX-License-Identifier: Apache-2.0 */

#include "words.h"

#include <string.h>

static int begins_with(const char *line, size_t len, const char *text)
{
    size_t n = strlen(text);

    return len >= n && memcmp(line, text, n) == 0;
}

/* Of several threads, the one that crashed is "Current thread 0x...". */
static int is_culprit(const char *line, size_t len)
{
    return begins_with(line, len, "Current thread 0x")
           || begins_with(line, len, "Stack (most recent call first)");
}

/* Frames are indented. */
static int is_of_report(const char *line, size_t len)
{
    return begins_with(line, len, "  ") || begins_with(line, len, "Thread 0x")
           || begins_with(line, len, "Extension modules: ")
           || is_culprit(line, len);
}

int cgwd_words_add(enum cgwd_words *words, const char *line, size_t len)
{
    if (begins_with(line, len, "Fatal Python error: ")) {
        *words = CGWD_WORDS_CRASH;
        return 1;
    }
    if (*words == CGWD_WORDS_STACK && begins_with(line, len, "  File ")) {
        *words = CGWD_WORDS_TOLD;
        return 1;
    }
    if (*words != CGWD_WORDS_ANY && is_of_report(line, len)) {
        if (*words == CGWD_WORDS_CRASH && is_culprit(line, len)) {
            *words = CGWD_WORDS_STACK;
        }
        return 0;
    }
    *words = CGWD_WORDS_ANY;
    return 1;
}
