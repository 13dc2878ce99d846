/* SPDX-License-Identifier: Apache-2.0 */
/* The scoreboard: its memory, what a thread writes, what a reader sees. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "between.h"
#include "cgw_clock.h"
#include "cgw_scoreboard.h"
#include "daemon/board.h"
#include "worker/slot.h"

#define THREADS 3

/* The supervisor's side and the worker's side of one scoreboard. */
struct sides {
    cgwd_board reader;
    struct cgw_scoreboard *writer;
    int fd;
};

static int open_sides(void **state)
{
    static struct sides s;

    memset(&s, 0, sizeof(s));
    s.fd = cgwd_board_open(&s.reader, THREADS);
    assert_true(s.fd >= 0);
    s.writer = cgw_scoreboard_map(s.fd, THREADS, 1);
    assert_non_null(s.writer);
    *state = &s;
    return 0;
}

static int close_sides(void **state)
{
    struct sides *s = *state;

    cgwd_board_close(&s->reader);
    assert_null(s->reader.map);
    cgw_scoreboard_unmap(s->writer, THREADS);
    close(s->fd);
    return 0;
}

static struct cgw_slot_view view(struct sides *s, unsigned n)
{
    struct cgw_slot_view v;

    cgw_slot_read(cgw_scoreboard_slot(s->reader.map, n), &v);
    return v;
}

/* ---- memory ---------------------------------------------------------------- */

static void nobody_can_make_a_reader_fault(void **state)
{
    struct sides *s = *state;

    assert_int_equal(ftruncate(s->fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(s->fd, 1 << 20), -1);
    assert_int_equal(fcntl(s->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_true(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
}

static void memory_that_may_shrink_or_has_another_size_is_refused(void **state)
{
    struct sides *s = *state;
    int open = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(ftruncate(open, (off_t)cgw_scoreboard_size(THREADS)), 0);
    assert_null(cgw_scoreboard_map(open, THREADS, 1));
    assert_int_equal(errno, EINVAL);
    assert_null(cgw_scoreboard_map(s->fd, THREADS + 1, 1));
    assert_null(cgw_scoreboard_map(STDIN_FILENO, THREADS, 1));
    close(open);
}

static void what_a_forked_child_does_stays_its_own(void **state)
{
    struct sides *s = *state;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, 0);

    CGW_SLOT_SET(slot, requests, 5);
    cgw_scoreboard_detach(s->writer, THREADS);
    CGW_SLOT_SET(slot, requests, 77);
    assert_int_equal(cgw_scoreboard_slot(s->reader.map, 0)->requests, 5);
}

/* ---- the life of a request -------------------------------------------------- */

static void a_request_is_seen_from_accept_to_end(void **state)
{
    struct sides *s = *state;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, 1);
    uint64_t now = cgw_clock_us();
    struct cgw_request request = {.id = 42, .sent_us = now - 1000};
    struct cgw_totals totals = {0};

    assert_string_equal(cgw_slot_state_name(view(s, 1).state), "absent");
    cgww_slot_begin(slot);
    assert_int_equal(view(s, 1).tid, gettid());
    assert_string_equal(cgw_slot_state_name(view(s, 1).state), "idle");
    cgww_slot_accepted(slot);
    cgww_slot_received(slot, &request, now);
    assert_int_equal(view(s, 1).state, CGW_SLOT_LOCKING);
    assert_true(view(s, 1).lock_since == now);
    assert_int_equal(cgw_scoreboard_busy(s->reader.map, THREADS), 1);
    cgww_slot_running(slot);
    cgw_slot_set_text(slot, "GET", 3, "/a?b", 4);
    cgww_slot_waits(slot, true);
    assert_string_equal(cgw_slot_state_name(view(s, 1).state), "client");
    cgww_slot_waits(slot, false);
    assert_int_equal(view(s, 1).state, CGW_SLOT_RUNNING);
    assert_int_equal(view(s, 1).id, 42);
    assert_true(view(s, 1).started == now && view(s, 1).lock_since == 0);
    assert_string_equal(view(s, 1).text, "GET /a?b");
    cgww_slot_failed(slot, CGW_FAIL_EXCEPTION);
    cgww_slot_finished(slot, 700);
    assert_int_equal(view(s, 1).state, CGW_SLOT_IDLE);
    assert_true(view(s, 1).ended >= now);
    assert_int_equal(cgw_scoreboard_busy(s->reader.map, THREADS), 0);

    cgwd_board_total(&s->reader, &totals);
    assert_int_equal(totals.requests, 1);
    assert_int_equal(totals.bytes, 700);
    assert_int_equal(totals.failures[CGW_FAIL_EXCEPTION], 1);
    assert_int_equal(totals.queue[cgw_bucket(1000)], 1);
    cgww_slot_end(slot);
    assert_int_equal(view(s, 1).state, CGW_SLOT_ABSENT);
}

static void a_connection_without_request_is_not_counted(void **state)
{
    struct sides *s = *state;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, 0);
    struct cgw_totals totals = {0};

    cgww_slot_accepted(slot);
    cgww_slot_finished(slot, 0);
    cgwd_board_total(&s->reader, &totals);
    assert_int_equal(totals.requests, 0);
}

static void counters_of_all_threads_add_up(void **state)
{
    struct sides *s = *state;
    struct cgw_totals totals = {.requests = 100};

    for (unsigned i = 0; i < THREADS; i++) {
        CGW_SLOT_ADD(cgw_scoreboard_slot(s->writer, i), requests, i + 1);
        CGW_SLOT_ADD(cgw_scoreboard_slot(s->writer, i), latency.count[3], 1);
    }
    cgwd_board_total(&s->reader, &totals);
    assert_int_equal(totals.requests, 106);
    assert_int_equal(totals.latency[3], 3);
    cgwd_board_total(&(cgwd_board){0}, &totals); /* a template has none */
    assert_int_equal(totals.requests, 106);
}

static void a_power_of_two_has_four_buckets(void **state)
{
    (void)state;
    assert_int_equal(cgw_bucket(0), 0);
    assert_int_equal(cgw_bucket(31), 0);
    assert_int_equal(cgw_bucket(32), 1);
    assert_int_equal(cgw_bucket(39), 1);
    assert_int_equal(cgw_bucket(40), 2);
    assert_int_equal(cgw_bucket(63), 4);
    assert_int_equal(cgw_bucket(64), 5);
    assert_int_equal(cgw_bucket(UINT64_MAX), CGW_BUCKETS - 1);
    for (unsigned n = 0; n < CGW_BUCKETS; n++) {
        assert_int_equal(cgw_bucket(cgw_bucket_low(n)), n);
        assert_true(n + 1 == CGW_BUCKETS
                    || cgw_bucket(cgw_bucket_low(n + 1) - 1) == n);
    }
    assert_between(cgw_bucket_low(CGW_BUCKETS - 1), 130000000, 140000000);
}

/* ---- requests that are late --------------------------------------------------- */

#define SECOND 1000000u

static void a_request_is_late_when_httpd_has_given_it_up(void **state)
{
    const struct row {
        uint64_t started, deadline;
        unsigned state;
        uint64_t now;
        int has_requests, is_late;
    } rows[] = {
        {0, 0, CGW_SLOT_IDLE, 100 * SECOND, 0, 0},
        {0, 0, CGW_SLOT_RECEIVING, 100 * SECOND, 0, 0},
        /* without a deadline; before it; within the second that is added */
        {SECOND, 0, CGW_SLOT_RUNNING, 100 * SECOND, 1, 0},
        {SECOND, 3 * SECOND, CGW_SLOT_RUNNING, 2 * SECOND, 1, 0},
        {SECOND, 3 * SECOND, CGW_SLOT_RUNNING, 4 * SECOND, 1, 0},
        {SECOND, 3 * SECOND, CGW_SLOT_RUNNING, 4 * SECOND + 1, 1, 1},
        {SECOND, 3 * SECOND, CGW_SLOT_LOCKING, 4 * SECOND + 1, 1, 1},
        /* the eighth that is added */
        {SECOND, 81 * SECOND, CGW_SLOT_RUNNING, 91 * SECOND, 1, 0},
        {SECOND, 81 * SECOND, CGW_SLOT_RUNNING, 91 * SECOND + 1, 1, 1},
        {SECOND, 3 * SECOND, CGW_SLOT_CLIENT, 100 * SECOND, 1, 0},
        /* nonsense */
        {SECOND, 1, CGW_SLOT_RUNNING, 100 * SECOND, 1, 1},
        {UINT64_MAX, UINT64_MAX, CGW_SLOT_RUNNING, 100 * SECOND, 1, 0},
    };
    struct sides *s = *state;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, THREADS - 1);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CGW_SLOT_SET(slot, started, rows[i].started);
        CGW_SLOT_SET(slot, deadline, rows[i].deadline);
        CGW_SLOT_SET(slot, state, rows[i].state);
        assert_int_equal(cgwd_board_has_requests(&s->reader), rows[i].has_requests);
        assert_int_equal(cgwd_board_is_late(&s->reader, rows[i].now), rows[i].is_late);
    }
}

static void the_watchdog_s_latest_look_is_seen(void **state)
{
    struct sides *s = *state;

    assert_int_equal(cgwd_board_watched(&s->reader), 0);
    CGW_SLOT_SET(cgw_scoreboard_slot(s->writer, 0), watched, 7);
    CGW_SLOT_SET(cgw_scoreboard_slot(s->writer, 2), watched, 5);
    assert_int_equal(cgwd_board_watched(&s->reader), 7);
    assert_int_equal(cgwd_board_watched(&(cgwd_board){0}), 0);
    assert_false(cgwd_board_is_late(&(cgwd_board){0}, 7));
}

/* ---- text ------------------------------------------------------------------- */

static void long_text_is_cut_and_old_text_does_not_show_through(void **state)
{
    struct sides *s = *state;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, 0);
    char uri[1000];

    memset(uri, 'u', sizeof(uri));
    cgw_slot_set_text(slot, "POST", 4, uri, sizeof(uri));
    assert_int_equal(strlen(view(s, 0).text), CGW_SLOT_TEXT - 1);
    cgw_slot_set_text(slot, uri, sizeof(uri), "/", 1);
    assert_int_equal(strlen(view(s, 0).text), CGW_SLOT_TEXT - 1);
    for (size_t n = 0; n < 40; n++) {
        cgw_slot_set_text(slot, "GET", 3, uri, n);
        assert_int_equal(strlen(view(s, 0).text), 4 + n);
    }
}

static void *write_texts(void *data)
{
    struct sides *s = data;
    struct cgw_slot *slot = cgw_scoreboard_slot(s->writer, 0);

    for (int i = 0; i < 20000; i++) {
        const char *text = i % 2 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                 : "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
        cgw_slot_set_text(slot, text, 40, text, 40);
    }
    return NULL;
}

static void a_reader_never_sees_two_texts_mixed(void **state)
{
    struct sides *s = *state;
    pthread_t writer;

    pthread_create(&writer, NULL, write_texts, s);
    for (int i = 0; i < 20000; i++) {
        struct cgw_slot_view v = view(s, 0);
        for (size_t n = 1; v.text[0] && n < 81; n++) {
            assert_true(v.text[n] == v.text[0] || (n == 40 && v.text[n] == ' '));
        }
    }
    pthread_join(writer, NULL);
}

/* ---- a worker that writes nonsense ------------------------------------------ */

static void nonsense_is_bounded(void **state)
{
    struct sides *s = *state;
    struct cgw_slot_view v;

    memset(cgw_scoreboard_slot(s->writer, 0), 0xff, sizeof(struct cgw_slot));
    v = view(s, 0); /* an odd sequence: the text is always changing */
    assert_int_equal(v.state, CGW_SLOT_ABSENT);
    assert_string_equal(v.text, "");
    CGW_SLOT_SET(cgw_scoreboard_slot(s->writer, 0), sequence, 2);
    assert_int_equal(strlen(view(s, 0).text), CGW_SLOT_TEXT - 1);
    assert_int_equal(cgw_scoreboard_busy(s->reader.map, THREADS), 0);
    assert_string_equal(cgw_slot_state_name(99), "unknown");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_sides, close_sides)
    const struct CMUnitTest tests[] = {
        TEST(nobody_can_make_a_reader_fault),
        TEST(memory_that_may_shrink_or_has_another_size_is_refused),
        TEST(what_a_forked_child_does_stays_its_own),
        TEST(a_request_is_seen_from_accept_to_end),
        TEST(a_connection_without_request_is_not_counted),
        TEST(counters_of_all_threads_add_up),
        TEST(a_power_of_two_has_four_buckets),
        TEST(a_request_is_late_when_httpd_has_given_it_up),
        TEST(the_watchdog_s_latest_look_is_seen),
        TEST(long_text_is_cut_and_old_text_does_not_show_through),
        TEST(a_reader_never_sees_two_texts_mixed),
        TEST(nonsense_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
