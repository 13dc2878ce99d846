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

void cgwd_history_open(cgwd_history *h, const struct cgw_totals *now)
{
    if (h->record) {
        return;
    }
    apr_pool_create(&h->pool, h->parent);
    h->record = apr_pcalloc(h->pool, sizeof(*h->record));
    h->record->last = *now;
    h->quiet = 0;
}

void cgwd_history_rest(cgwd_history *h)
{
    if (h->record && h->quiet >= CGWD_SAMPLES) {
        h->record = NULL;
        apr_pool_destroy(h->pool);
    }
}

/* Fills the sample; its histograms, too. */
static void record(cgwd_record *r, unsigned n, const struct cgw_totals *now,
                   cgwd_sample *s)
{
    uint32_t *latency = r->latency[n % CGWD_RECENT];

    take_histogram(latency, now->latency, r->last.latency);
    take_histogram(r->queue[n % CGWD_RECENT], now->queue, r->last.queue);
    s->requests = bounded(grown(now->requests, r->last.requests));
    for (int i = 0; i < CGW_SLOT_FAILURES; i++) {
        s->errors += bounded(grown(now->failures[i], r->last.failures[i]));
    }
    s->p99_us = p99(latency);
    r->samples[n % CGWD_SAMPLES] = *s;
    r->last = *now;
}

void cgwd_history_take(cgwd_history *h, const struct cgw_totals *now,
                       unsigned busy, int queued, int64_t ms)
{
    cgwd_sample s = {.busy = busy, .queued = queued > 0 ? (uint32_t)queued : 0};

    if (busy || s.queued) {
        cgwd_history_open(h, now);
    }
    if (h->record) {
        record(h->record, h->n, now, &s);
    }
    h->quiet = s.requests || s.errors || s.busy || s.queued ? 0 : h->quiet + 1;
    if (!s.queued) {
        h->queue_empty = ms;
    }
    h->n++;
}

const cgwd_sample *cgwd_history_sample(const cgwd_history *h, unsigned i)
{
    static const cgwd_sample nothing;

    if (i >= h->n || i >= CGWD_SAMPLES) {
        return NULL;
    }
    return h->record ? &h->record->samples[(h->n - 1 - i) % CGWD_SAMPLES] : &nothing;
}

void cgwd_history_recent(const cgwd_history *history,
                         uint64_t latency[CGW_BUCKETS],
                         uint64_t queue[CGW_BUCKETS], uint64_t *requests)
{
    memset(latency, 0, CGW_BUCKETS * sizeof(*latency));
    memset(queue, 0, CGW_BUCKETS * sizeof(*queue));
    *requests = 0;
    for (unsigned i = 0; history->record && i < CGWD_RECENT && i < history->n; i++) {
        *requests += cgwd_history_sample(history, i)->requests;
        for (int b = 0; b < CGW_BUCKETS; b++) {
            latency[b] += history->record->latency[i][b];
            queue[b] += history->record->queue[i][b];
        }
    }
}
