/* SPDX-License-Identifier: Apache-2.0 */
/* How many workers: grows when requests wait, shrinks when they do not, and does
 * not go up and down all the time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/scale.h"

#define LOOK 50
#define THREADS 4

static cgwd_scale scale;
static int64_t now;

static int start(void **state)
{
    (void)state;
    scale = (cgwd_scale){0};
    now = 1000;
    return 0;
}

/* Looks for so long at the same load, within 2 and 16 workers. */
static void look(int64_t ms, unsigned busy, int stuck)
{
    cgwd_load load = {.busy = busy, .threads = THREADS, .stuck = stuck};

    for (int64_t end = now + ms; now < end; now += LOOK) {
        cgwd_scale_look(&scale, &load, 2, 16, now);
    }
}

static void begins_with_the_fewest(void **state)
{
    (void)state;
    look(LOOK, 0, 0);
    assert_int_equal(scale.target, 2);
}

static void a_moment_s_queue_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        look(LOOK, 8, 1);
        look(LOOK, 8, 0);
    }
    assert_int_equal(scale.target, 2);
}

static void grows_while_requests_wait_and_not_beyond_the_most(void **state)
{
    (void)state;
    look(CGWD_SCALE_GROW_MS + LOOK, 8, 1);
    assert_int_equal(scale.target, 3);
    look(20 * CGWD_SCALE_GROW_MS, 12, 1);
    assert_int_equal(scale.target, 16);
    look(20 * CGWD_SCALE_GROW_MS, 64, 1);
    assert_int_equal(scale.target, 16);
}

static void waits_for_a_worker_that_is_coming(void **state)
{
    cgwd_load load = {.busy = 8, .threads = THREADS, .stuck = 1, .coming = 1};

    (void)state;
    for (; now < 20000; now += LOOK) {
        cgwd_scale_look(&scale, &load, 2, 16, now);
    }
    assert_int_equal(scale.target, 2);
}

static void shrinks_to_what_the_busiest_moment_needed(void **state)
{
    (void)state;
    look(20 * CGWD_SCALE_GROW_MS, 64, 1);
    look(LOOK, 24, 0);      /* 24 and a quarter more, by four: 8 */
    for (int i = 0; i < 10; i++) {
        look(CGWD_SCALE_SHRINK_MS / 2, 0, 0);
        look(CGWD_SCALE_SHRINK_MS / 2, 24, 0);
    }
    assert_int_equal(scale.target, 8);
    look(10 * CGWD_SCALE_SHRINK_MS, 0, 0);
    assert_int_equal(scale.target, 2);
}

/* A load that comes back again and again finds its workers still there. */
static void what_is_missed_soon_stays_longer_the_next_time(void **state)
{
    unsigned changes = 0, last = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        look(3 * CGWD_SCALE_GROW_MS, 12, scale.target < 4);
        look(25000, 0, 0);
        changes += scale.target != last;
        last = scale.target;
    }
    assert_true(scale.patience >= 4 * CGWD_SCALE_SHRINK_MS);
    assert_true(changes <= 6);
    /* and it is forgotten when the load has gone */
    look(2 * CGWD_SCALE_SHRINK_LONGEST_MS + 4 * CGWD_SCALE_SOON_MS, 0, 0);
    assert_int_equal(scale.patience, 0);
    assert_int_equal(scale.target, 2);
}

static void clocks_and_bounds_that_change_do_no_harm(void **state)
{
    cgwd_load load = {.threads = 0};

    (void)state;
    scale.target = 50;
    cgwd_scale_look(&scale, &load, 1, 4, now);
    assert_int_equal(scale.target, 4);
    cgwd_scale_look(&scale, &load, 6, 8, now);
    assert_int_equal(scale.target, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(begins_with_the_fewest, start),
        cmocka_unit_test_setup(a_moment_s_queue_changes_nothing, start),
        cmocka_unit_test_setup(grows_while_requests_wait_and_not_beyond_the_most, start),
        cmocka_unit_test_setup(waits_for_a_worker_that_is_coming, start),
        cmocka_unit_test_setup(shrinks_to_what_the_busiest_moment_needed, start),
        cmocka_unit_test_setup(what_is_missed_soon_stays_longer_the_next_time, start),
        cmocka_unit_test_setup(clocks_and_bounds_that_change_do_no_harm, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
