/* SPDX-License-Identifier: Apache-2.0 */

#include "history.h"

#include <string.h>

/* What workers count is not trusted, and may seem to go backwards. */
static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static uint32_t bounded(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint64_t cgwd_percentile(const uint64_t counts[CGW_BUCKETS], double part)
{
    uint64_t sum = 0, below = 0;

    for (int i = 0; i < CGW_BUCKETS; i++) {
        sum += counts[i];
    }
    for (int i = 0; i < CGW_BUCKETS && sum; i++) {
        double rank = part * (double)sum - (double)below;
        if (rank <= (double)counts[i] && counts[i]) {
            double low = (double)cgw_bucket_low((unsigned)i);
            double high = (double)cgw_bucket_low((unsigned)i + 1);
            return (uint64_t)(low + (high - low) * rank / (double)counts[i]);
        }
        below += counts[i];
    }
    return 0;
}

/* Fills a slot of the recent histograms; the sum of counts that came. */
static void take_histogram(uint32_t out[CGW_BUCKETS],
                           const uint64_t now[CGW_BUCKETS],
                           const uint64_t before[CGW_BUCKETS])
{
    for (int i = 0; i < CGW_BUCKETS; i++) {
        out[i] = bounded(grown(now[i], before[i]));
    }
}

static uint32_t p99(const uint32_t latency[CGW_BUCKETS])
{
    uint64_t counts[CGW_BUCKETS];

    for (int i = 0; i < CGW_BUCKETS; i++) {
        counts[i] = latency[i];
    }
    return bounded(cgwd_percentile(counts, 0.99));
}

void cgwd_history_take(cgwd_history *h, const struct cgw_totals *now,
                       unsigned busy, int queued, int64_t ms)
{
    cgwd_sample *s = &h->samples[h->n % CGWD_SAMPLES];
    uint32_t *latency = h->latency[h->n % CGWD_RECENT];

    memset(s, 0, sizeof(*s));
    take_histogram(latency, now->latency, h->last.latency);
    take_histogram(h->queue[h->n % CGWD_RECENT], now->queue, h->last.queue);
    s->requests = bounded(grown(now->requests, h->last.requests));
    for (int i = 0; i < CGW_SLOT_FAILURES; i++) {
        s->errors += bounded(grown(now->failures[i], h->last.failures[i]));
    }
    s->p99_us = p99(latency);
    s->busy = busy;
    s->queued = queued > 0 ? (uint32_t)queued : 0;
    if (!s->queued) {
        h->queue_empty = ms;
    }
    h->last = *now;
    h->n++;
}

const cgwd_sample *cgwd_history_sample(const cgwd_history *history, unsigned i)
{
    return i < history->n && i < CGWD_SAMPLES
               ? &history->samples[(history->n - 1 - i) % CGWD_SAMPLES] : NULL;
}

void cgwd_history_recent(const cgwd_history *history,
                         uint64_t latency[CGW_BUCKETS],
                         uint64_t queue[CGW_BUCKETS], uint64_t *requests)
{
    memset(latency, 0, CGW_BUCKETS * sizeof(*latency));
    memset(queue, 0, CGW_BUCKETS * sizeof(*queue));
    *requests = 0;
    for (unsigned i = 0; i < CGWD_RECENT && i < history->n; i++) {
        *requests += cgwd_history_sample(history, i)->requests;
        for (int b = 0; b < CGW_BUCKETS; b++) {
            latency[b] += history->latency[i][b];
            queue[b] += history->queue[i][b];
        }
    }
}
