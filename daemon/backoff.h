/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_BACKOFF_H
#define CGWD_BACKOFF_H

#include <stdint.h>

/* How long to wait before something that failed is tried again: at once the
 * first time, then 1 s, doubling to 30 s; from the start again once it has
 * been well for 30 s. Zeroed when new. Times are milliseconds. */
typedef struct cgwd_backoff {
    int64_t delay;  /* the last one */
    int64_t until;  /* when that one ended, 0: never failed */
} cgwd_backoff;

#define CGWD_BACKOFF_FIRST 1000
#define CGWD_BACKOFF_LONGEST 30000
#define CGWD_BACKOFF_WELL 30000
/* From this delay on requests are refused rather than left waiting. */
#define CGWD_HOPELESS_MS 4000

/* The delay after a failure at `now`. */
int64_t cgwd_backoff_next(cgwd_backoff *b, int64_t now);

#endif
