/* SPDX-License-Identifier: Apache-2.0 */

/* What the status page shows: percentiles of histograms, samples of the last minutes,
 * ends by cause, and the length of a queue. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "between.h"
#include "daemon/backlog.h"
#include "daemon/ends.h"
#include "daemon/history.h"

static void percentiles_lie_in_their_class(void **state)
{
    uint64_t counts[CGW_BUCKETS] = {0};

    (void)state;
    assert_int_equal(cgwd_percentile(counts, 0.5), 0);
    counts[0] = 10; /* less than 32 us */
    assert_between(cgwd_percentile(counts, 0.99), 0, 32);
    counts[cgw_bucket(1024)] = 90; /* 1024 to 1279 us */
    assert_between(cgwd_percentile(counts, 0.5), 1024, 1279);
    assert_true(cgwd_percentile(counts, 0.9) > cgwd_percentile(counts, 0.5));
    assert_between(cgwd_percentile(counts, 0.99), 1024, 1280);
    assert_between(cgwd_percentile(counts, 0.05), 0, 32);
}

/* Evenly spread latencies, as far as classes are full: a percentile is off by the
 * width of a class, a quarter, at most, and by much less mostly. */
static void percentiles_are_near_the_truth(void **state)
{
    uint64_t counts[CGW_BUCKETS] = {0};

    (void)state;
    for (uint64_t us = 1; us < 98304; us++) {
        counts[cgw_bucket(us)]++;
    }
    for (int percent = 1; percent < 100; percent++) {
        double truth = percent * 983.04;
        double found = (double)cgwd_percentile(counts, percent / 100.0);
        assert_true(found > truth * 0.98 && found < truth * 1.02);
    }
}

static void nonsense_of_a_worker_stays_within_bounds(void **state)
{
    uint64_t counts[CGW_BUCKETS];

    (void)state;
    memset(counts, 0xff, sizeof(counts));
    assert_true(cgwd_percentile(counts, 0.99) <= (uint64_t)1 << 40);
    memset(counts, 0, sizeof(counts));
    counts[CGW_BUCKETS - 1] = UINT64_MAX;
    assert_true(cgwd_percentile(counts, 1) <= (uint64_t)1 << 40);
}

static void samples_are_a_ring(void **state)
{
    static cgwd_record record;
    cgwd_history h = {.record = &record};

    (void)state;
    assert_null(cgwd_history_sample(&h, 0));
    for (unsigned i = 0; i < CGWD_SAMPLES + 5; i++) {
        record.samples[h.n % CGWD_SAMPLES].requests = i;
        record.latency[h.n % CGWD_RECENT][3] = 1;
        h.n++;
    }
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, CGWD_SAMPLES + 4);
    assert_int_equal(cgwd_history_sample(&h, CGWD_SAMPLES - 1)->requests, 5);
    assert_null(cgwd_history_sample(&h, CGWD_SAMPLES));
}

static void recent_is_the_last_minute(void **state)
{
    static cgwd_record record;
    cgwd_history h = {.record = &record};
    uint64_t latency[CGW_BUCKETS], queue[CGW_BUCKETS], requests;

    (void)state;
    for (unsigned i = 0; i < CGWD_RECENT + 3; i++) {
        record.samples[h.n % CGWD_SAMPLES].requests = 2;
        record.latency[h.n % CGWD_RECENT][3] = 2;
        record.queue[h.n % CGWD_RECENT][0] = 1;
        h.n++;
    }
    cgwd_history_recent(&h, latency, queue, &requests);
    assert_int_equal(requests, 2 * CGWD_RECENT);
    assert_int_equal(latency[3], 2 * CGWD_RECENT);
    assert_int_equal(queue[0], CGWD_RECENT);
}

static void a_sample_is_what_has_grown(void **state)
{
    static cgwd_record record;
    cgwd_history h = {.record = &record};
    struct cgw_totals totals = {.requests = 10, .failures = {[1] = 2}};

    (void)state;
    totals.latency[cgw_bucket(1024)] = 10;
    cgwd_history_take(&h, &totals, 3, 4, 1000);
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, 10);
    assert_int_equal(cgwd_history_sample(&h, 0)->errors, 2);
    assert_int_equal(cgwd_history_sample(&h, 0)->busy, 3);
    assert_int_equal(cgwd_history_sample(&h, 0)->queued, 4);
    assert_between(cgwd_history_sample(&h, 0)->p99_us, 1024, 2048);
    totals.requests = 15;
    cgwd_history_take(&h, &totals, 0, 1, 2000);
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, 5);
    assert_int_equal(cgwd_history_sample(&h, 0)->errors, 0);
    assert_int_equal(h.queue_empty, 0);
    totals.requests = 3; /* a worker that lies */
    cgwd_history_take(&h, &totals, 0, -1, 3000);
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, 0);
    assert_int_equal(h.queue_empty, 3000);
}

/* ---- the record: of groups alone that have something to tell ------------------- */

static void take(cgwd_history *h, const struct cgw_totals *totals, int queued)
{
    cgwd_history_take(h, totals, 0, queued, 1000);
}

static void one_that_sleeps_has_no_record_and_tells_zeros(void **state)
{
    cgwd_history h = {.n = 0};
    struct cgw_totals totals = {.requests = 0};
    uint64_t latency[CGW_BUCKETS], queue[CGW_BUCKETS], requests = 1;

    (void)state;
    for (int i = 0; i < 3; i++) {
        take(&h, &totals, i - 1);
        assert_null(cgwd_history_sample(&h, (unsigned)i + 1));
        if (i == 0) {
            assert_null(h.record);
            assert_int_equal(cgwd_history_sample(&h, 0)->queued, 0);
            cgwd_history_recent(&h, latency, queue, &requests);
            assert_int_equal(requests + latency[0] + queue[0], 0);
        }
    }
    assert_non_null(h.record); /* one waited */
    assert_int_equal(cgwd_history_sample(&h, 0)->queued, 1);
    apr_pool_destroy(h.pool);
}

static void what_was_counted_before_is_not_counted_again(void **state)
{
    cgwd_history h = {.n = 0};
    struct cgw_totals totals = {.requests = 1000};

    (void)state;
    take(&h, &totals, 0);
    cgwd_history_open(&h, &totals);
    totals.requests = 1003;
    cgwd_history_open(&h, &totals); /* it is open */
    take(&h, &totals, 0);
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, 3);
    assert_int_equal(cgwd_history_sample(&h, 1)->requests, 0);
    assert_null(cgwd_history_sample(&h, 2));
    apr_pool_destroy(h.pool);
}

static void a_record_goes_once_it_tells_nothing_any_more(void **state)
{
    cgwd_history h = {.n = 0};
    struct cgw_totals totals = {.requests = 7};

    (void)state;
    cgwd_history_rest(&h); /* there is none */
    cgwd_history_open(&h, &(struct cgw_totals){.requests = 0});
    take(&h, &totals, 0);
    for (int i = 1; i < CGWD_SAMPLES; i++) {
        take(&h, &totals, 0);
        cgwd_history_rest(&h);
    }
    assert_int_equal(cgwd_history_sample(&h, CGWD_SAMPLES - 1)->requests, 7);
    take(&h, &totals, 0);
    assert_int_equal(cgwd_history_sample(&h, CGWD_SAMPLES - 1)->requests, 0);
    cgwd_history_rest(&h);
    assert_null(h.record);
    assert_int_equal(cgwd_history_sample(&h, CGWD_SAMPLES - 1)->requests, 0);
    assert_null(cgwd_history_sample(&h, CGWD_SAMPLES));
    /* and comes again */
    cgwd_history_open(&h, &totals);
    totals.requests = 9;
    take(&h, &totals, 0);
    assert_int_equal(cgwd_history_sample(&h, 0)->requests, 2);
    apr_pool_destroy(h.pool);
}

static void ends_are_counted_by_cause(void **state)
{
    cgwd_ends ends = {.n = 0};

    (void)state;
    cgwd_ends_add(&ends, 1, "signal 9", "a");
    cgwd_ends_add(&ends, 2, "signal 9", "b");
    assert_int_equal(ends.n, 1);
    assert_int_equal(ends.causes[0].count, 2);
    assert_int_equal(ends.last_pid, 2);
    assert_string_equal(ends.last_words, "b");
}

static void causes_without_number_share_a_place(void **state)
{
    cgwd_ends ends = {.n = 0};
    char cause[200];
    uint64_t sum = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(cause, sizeof(cause), "%d %0150d", i, 0);
        cgwd_ends_add(&ends, 1, cause, "");
    }
    assert_int_equal(ends.n, CGWD_CAUSES);
    assert_string_equal(ends.causes[CGWD_CAUSES - 1].cause, "other");
    for (unsigned i = 0; i < ends.n; i++) {
        sum += ends.causes[i].count;
    }
    assert_int_equal(sum, 100);
}

static void the_kernel_tells_how_many_wait(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client[3];

    (void)state;
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cgw-test-%ld",
             (long)getpid());
    assert_int_equal(bind(listener, (const struct sockaddr *)&address,
                          sizeof(address)), 0);
    assert_int_equal(listen(listener, 8), 0);
    for (int i = 0; i < 3; i++) {
        client[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(client[i], (const struct sockaddr *)&address,
                                 sizeof(address)), 0);
    }
    int n = cgwd_backlog(listener);
    assert_true(n == 3 || n == -1); /* a kernel without unix_diag */
    close(accept(listener, NULL, NULL));
    assert_true(cgwd_backlog(listener) == (n == 3 ? 2 : -1));
    for (int i = 0; i < 3; i++) {
        close(client[i]);
    }
    close(listener);
    assert_int_equal(cgwd_backlog(-1), -1);
    assert_int_equal(cgwd_backlog(STDIN_FILENO), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_lie_in_their_class),
        cmocka_unit_test(percentiles_are_near_the_truth),
        cmocka_unit_test(nonsense_of_a_worker_stays_within_bounds),
        cmocka_unit_test(samples_are_a_ring),
        cmocka_unit_test(recent_is_the_last_minute),
        cmocka_unit_test(a_sample_is_what_has_grown),
        cmocka_unit_test(one_that_sleeps_has_no_record_and_tells_zeros),
        cmocka_unit_test(what_was_counted_before_is_not_counted_again),
        cmocka_unit_test(a_record_goes_once_it_tells_nothing_any_more),
        cmocka_unit_test(ends_are_counted_by_cause),
        cmocka_unit_test(causes_without_number_share_a_place),
        cmocka_unit_test(the_kernel_tells_how_many_wait),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
