/* SPDX-License-Identifier: Apache-2.0 */

#include "activity.h"

#include "backlog.h"
#include "cgw_clock.h"
#include "cgw_wire.h"
#include "footprint.h"

/* ---- requests ---------------------------------------------------------------- */

/* What a worker wrote down may be nonsense: times lie in the past. */
static int64_t ms_since(uint64_t us, uint64_t now)
{
    return us && us < now ? (int64_t)((now - us) / 1000) : 0;
}

static void put_request(cgwd_json *json, const cgwd_process *proc,
                        unsigned thread, const struct cgw_slot_view *view)
{
    uint64_t now = cgw_clock_us();

    cgwd_json_object(json, NULL);
    cgwd_json_number(json, "generation", proc->generation->number);
    cgwd_json_number(json, "pid", proc->pid);
    cgwd_json_number(json, "thread", thread + 1);
    cgwd_json_number(json, "tid", view->tid);
    cgwd_json_string(json, "state", cgw_slot_state_name(view->state));
    cgwd_json_number(json, "age_ms", ms_since(view->started, now));
    cgwd_json_number(json, "lock_ms", ms_since(view->lock_since, now));
    cgwd_json_string(json, "request", view->text);
    cgwd_json_object_end(json);
}

static void put_requests_of(cgwd_json *json, const cgwd_process *proc)
{
    for (unsigned i = 0; proc->board.map && i < proc->board.threads; i++) {
        struct cgw_slot_view view;
        cgw_slot_read(cgw_scoreboard_slot(proc->board.map, i), &view);
        if (view.state >= CGW_SLOT_RECEIVING) {
            put_request(json, proc, i, &view);
        }
    }
}

void cgwd_activity_requests(cgwd_json *json, const cgwd_group *group)
{
    cgwd_json_array(json, "requests");
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (const cgwd_process *p = g->processes; p; p = p->next) {
            put_requests_of(json, p);
        }
    }
    cgwd_json_array_end(json);
}

/* ---- counters ---------------------------------------------------------------- */

static void put_histogram(cgwd_json *json, const char *key,
                          const uint64_t counts[CGW_BUCKETS])
{
    cgwd_json_array(json, key);
    for (int i = 0; i < CGW_BUCKETS; i++) {
        cgwd_json_number(json, NULL, (int64_t)counts[i]);
    }
    cgwd_json_array_end(json);
}

static void put_totals(cgwd_json *json, const cgwd_group *group)
{
    struct cgw_totals totals;

    cgwd_group_total(group, &totals);
    cgwd_json_object(json, "total");
    cgwd_json_number(json, "requests", (int64_t)totals.requests);
    cgwd_json_number(json, "bytes", (int64_t)totals.bytes);
    cgwd_json_number(json, "busy_us", (int64_t)totals.busy);
    put_histogram(json, "latency", totals.latency);
    put_histogram(json, "queue", totals.queue);
    cgwd_json_object(json, "errors");
    for (unsigned i = 0; i < CGW_SLOT_FAILURES; i++) {
        if (totals.failures[i]) {
            cgwd_json_number(json, cgw_fail_name(i), (int64_t)totals.failures[i]);
        }
    }
    cgwd_json_object_end(json);
    cgwd_json_object_end(json);
}

static void put_percentiles(cgwd_json *json, const char *key,
                            const uint64_t counts[CGW_BUCKETS])
{
    cgwd_json_object(json, key);
    cgwd_json_number(json, "p50", (int64_t)cgwd_percentile(counts, 0.5));
    cgwd_json_number(json, "p90", (int64_t)cgwd_percentile(counts, 0.9));
    cgwd_json_number(json, "p99", (int64_t)cgwd_percentile(counts, 0.99));
    cgwd_json_object_end(json);
}

static void put_recent(cgwd_json *json, const cgwd_history *history)
{
    uint64_t latency[CGW_BUCKETS], queue[CGW_BUCKETS], requests;
    unsigned n = history->n < CGWD_RECENT ? history->n : CGWD_RECENT;

    cgwd_history_recent(history, latency, queue, &requests);
    cgwd_json_object(json, "recent");
    cgwd_json_number(json, "period_ms", n * CGWD_SAMPLE_MS);
    cgwd_json_number(json, "requests", (int64_t)requests);
    put_percentiles(json, "latency_us", latency);
    put_percentiles(json, "queue_us", queue);
    cgwd_json_object_end(json);
}

/* The oldest first. */
static void put_history(cgwd_json *json, const cgwd_history *history)
{
    unsigned n = history->n < CGWD_SAMPLES ? history->n : CGWD_SAMPLES;

    cgwd_json_object(json, "history");
    cgwd_json_number(json, "interval_ms", CGWD_SAMPLE_MS);
#define X(field)                                                              \
    cgwd_json_array(json, #field);                                            \
    for (unsigned i = n; i-- > 0;) {                                          \
        cgwd_json_number(json, NULL,                                          \
                         cgwd_history_sample(history, i)->field);             \
    }                                                                         \
    cgwd_json_array_end(json);
    X(requests) X(errors) X(p99_us) X(busy) X(queued)
#undef X
    cgwd_json_object_end(json);
}

static uint64_t newest_received(const cgwd_group *group, uint64_t now)
{
    uint64_t newest = 0;

    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        for (const cgwd_process *p = g->processes; p; p = p->next) {
            uint64_t sent = cgwd_board_newest(&p->board, now);
            newest = sent > newest ? sent : newest;
        }
    }
    return newest;
}

/* How long the first in the queue has waited, at most. Workers take requests in the
 * order in which they were sent: it was sent after the newest that they have. And
 * after the queue was empty, where nobody takes any. */
static int64_t queue_age(const cgwd_group *group)
{
    uint64_t now = cgw_clock_us(), newest = newest_received(group, now);
    int64_t empty = cgwd_now() - group->history.queue_empty;
    int64_t age = newest ? (int64_t)((now - newest) / 1000) : empty;

    return age < empty ? age : empty;
}

static void put_queue(cgwd_json *json, cgwd_group *group)
{
    int length = cgwd_backlog(group->listener);

    if (length == 0) {
        group->history.queue_empty = cgwd_now();
    }
    cgwd_json_object(json, "queue");
    if (length < 0) {
        cgwd_json_null(json, "length");
    }
    else {
        cgwd_json_number(json, "length", length);
    }
    cgwd_json_number(json, "age_ms", length > 0 ? queue_age(group) : 0);
    cgwd_json_object_end(json);
}

static void put_ends(cgwd_json *json, const cgwd_past *past)
{
    static const cgwd_ends none;
    const cgwd_ends *ends = past ? &past->ends : &none;

    cgwd_json_object(json, "ends");
    for (unsigned i = 0; i < ends->n; i++) {
        cgwd_json_number(json, ends->causes[i].cause,
                         (int64_t)ends->causes[i].count);
    }
    cgwd_json_object_end(json);
    if (!ends->last[0]) {
        cgwd_json_null(json, "last_end");
        return;
    }
    cgwd_json_object(json, "last_end");
    cgwd_json_string(json, "cause", ends->last);
    cgwd_json_number(json, "pid", ends->last_pid);
    cgwd_json_number(json, "time", ends->last_time);
    cgwd_json_string(json, "last_words", ends->last_words);
    cgwd_json_object_end(json);
}

void cgwd_activity_group(cgwd_json *json, cgwd_group *group)
{
    put_queue(json, group);
    put_recent(json, &group->history);
    put_totals(json, group);
    put_ends(json, group->past);
    put_history(json, &group->history);
}

void cgwd_activity_process(cgwd_json *json, const cgwd_process *proc)
{
    struct cgw_totals totals = {0};

    cgwd_board_total(&proc->board, &totals);
    cgwd_json_number(json, "threads", proc->board.threads);
    cgwd_json_number(json, "busy", cgwd_board_busy(&proc->board));
    cgwd_json_number(json, "requests", (int64_t)totals.requests);
    cgwd_json_number(json, "memory", proc->pid ? cgwd_footprint(proc->pid, 0) : -1);
    cgwd_json_number(json, "cpu_ms", proc->pid ? cgwd_cpu_ms(proc->pid) : -1);
    cgwd_json_string(json, "leaving", proc->leaving);
}
