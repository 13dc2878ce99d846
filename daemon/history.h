/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_HISTORY_H
#define CGWD_HISTORY_H

#include <apr_pools.h>
#include <stdint.h>

#include "cgw_scoreboard.h"

/* What a group did in the last minutes, for plots and for percentiles of what is
 * recent. A sample every CGWD_SAMPLE_MS of all groups. */
#define CGWD_SAMPLE_MS 5000
#define CGWD_SAMPLES 120        /* 10 minutes */
#define CGWD_RECENT 12          /* samples of "the last minute" */

typedef struct cgwd_sample {
    uint32_t requests;          /* that ended in it */
    uint32_t errors;
    uint32_t p99_us;            /* of their latency, 0: there were none */
    uint32_t busy;              /* threads, at its end */
    uint32_t queued;            /* requests, at its end */
} cgwd_sample;

typedef struct cgwd_record {
    struct cgw_totals last;     /* at the latest sample */
    cgwd_sample samples[CGWD_SAMPLES];
    uint32_t latency[CGWD_RECENT][CGW_BUCKETS];
    uint32_t queue[CGWD_RECENT][CGW_BUCKETS];
} cgwd_record;

/* Of very many groups most are asleep: only those of which there is something to tell
 * have a record. Zeroed when new. */
typedef struct cgwd_history {
    apr_pool_t *parent;         /* of pool */
    apr_pool_t *pool;           /* with the record */
    cgwd_record *record;        /* NULL: nothing but zeros */
    unsigned n;                 /* samples ever taken */
    unsigned quiet;             /* of those the last ones, with nothing in them */
    int64_t queue_empty;        /* when it was, the last time anybody looked */
} cgwd_history;

/* There may be something to tell from now on. now: what has been counted so far. */
void cgwd_history_open(cgwd_history *history, const struct cgw_totals *now);
/* Nobody counts any more, for now: forget the record once it is all zeros. */
void cgwd_history_rest(cgwd_history *history);

/* Adds a sample: of what the workers have counted so far, which may be nonsense;
 * queued -1: unknown; ms: cgwd_now(). */
void cgwd_history_take(cgwd_history *history, const struct cgw_totals *now,
                       unsigned busy, int queued, int64_t ms);

/* The value below which a part (0 to 1) of what a histogram counts lies, in us;
 * 0 where it counts nothing. Linear within a bucket. */
uint64_t cgwd_percentile(const uint64_t counts[CGW_BUCKETS], double part);
/* The last minute's: added up. */
void cgwd_history_recent(const cgwd_history *history,
                         uint64_t latency[CGW_BUCKETS],
                         uint64_t queue[CGW_BUCKETS], uint64_t *requests);
/* The sample i ago, 0 being the latest; NULL where there was none. */
const cgwd_sample *cgwd_history_sample(const cgwd_history *history, unsigned i);

#endif
