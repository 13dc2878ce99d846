/* SPDX-License-Identifier: Apache-2.0 */

#include "ends.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The place of a cause; of those that come too late, a common one. */
static unsigned find(cgwd_ends *ends, const char *cause)
{
    unsigned i = 0;

    while (i < ends->n && strcmp(ends->causes[i].cause, cause) != 0) {
        i++;
    }
    if (i < ends->n) {
        return i;
    }
    if (ends->n == CGWD_CAUSES) {
        return CGWD_CAUSES - 1;
    }
    snprintf(ends->causes[i].cause, CGWD_CAUSE_MAX, "%s",
             ends->n == CGWD_CAUSES - 1 ? "other" : cause);
    return ends->n++;
}

void cgwd_ends_add(cgwd_ends *ends, pid_t pid, const char *cause,
                   const char *last_words)
{
    char cut[CGWD_CAUSE_MAX];

    snprintf(cut, sizeof(cut), "%s", cause);
    ends->causes[find(ends, cut)].count++;
    memcpy(ends->last, cut, sizeof(cut));
    snprintf(ends->last_words, sizeof(ends->last_words), "%s", last_words);
    ends->last_pid = pid;
    ends->last_time = time(NULL);
}
