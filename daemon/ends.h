/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ENDS_H
#define CGWD_ENDS_H

#include <stdint.h>
#include <sys/types.h>

/* Why a group's processes ended, counted by cause. */
#define CGWD_CAUSES 16
#define CGWD_CAUSE_MAX 64

typedef struct cgwd_ends {
    struct {
        char cause[CGWD_CAUSE_MAX];
        uint64_t count;
    } causes[CGWD_CAUSES];      /* the last one is for all that have no place */
    unsigned n;
    char last[CGWD_CAUSE_MAX];  /* "" : none */
    char last_words[256];
    pid_t last_pid;
    int64_t last_time;          /* seconds since 1970 */
} cgwd_ends;

/* Counts an end. */
void cgwd_ends_add(cgwd_ends *ends, pid_t pid, const char *cause,
                   const char *last_words);

#endif
