/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SCALE_H
#define CGWD_SCALE_H

#include <stdint.h>

/* How many workers a group needs, between the two numbers of CGatewayProcesses.
 * Arithmetic alone; demand.c looks and acts. Times are milliseconds. */

/* Requests that wait for so long mean that a worker is missing. */
#define CGWD_SCALE_GROW_MS 100
/* What so long a time did not need is too much. Doubled, up to the second, each
 * time that a worker is missing again soon after one was taken away; the first
 * again once the fewest have been enough for a while. */
#define CGWD_SCALE_SHRINK_MS 10000
#define CGWD_SCALE_SHRINK_LONGEST_MS 160000
#define CGWD_SCALE_SOON_MS 60000

/* Zeroed when new. */
typedef struct cgwd_scale {
    unsigned target;        /* how many there are to be */
    int64_t stuck_since;    /* requests wait too long since then, 0: they do not */
    int64_t since;          /* begin of the time that peak is about, 0: none */
    unsigned peak;          /* most requests at a time */
    int64_t patience;       /* how long peak must have been low, 0: the least */
    int64_t shrunk;         /* when a worker was taken away, 0: never */
} cgwd_scale;

/* What is seen at one moment. */
typedef struct cgwd_load {
    unsigned busy;          /* threads with a request */
    unsigned threads;       /* of a worker */
    int stuck;              /* requests wait, and have waited since the last look */
    int coming;             /* a worker is being started */
} cgwd_load;

/* Sets the target, from least to most. */
void cgwd_scale_look(cgwd_scale *scale, const cgwd_load *load, unsigned least,
                     unsigned most, int64_t now);
/* At which time the next worker may be taken away. */
int64_t cgwd_scale_next(const cgwd_scale *scale);

#endif
