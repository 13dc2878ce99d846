/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <time.h>

static time_t seconds;
static long milliseconds;

static int stopped_clock(clockid_t clock, struct timespec *t)
{
    (void)clock;
    t->tv_sec = seconds;
    t->tv_nsec = milliseconds * 1000000;
    return 0;
}

#define clock_gettime stopped_clock
#include "module/patience.c"

static int start(void **state)
{
    (void)state;
    seconds = 1000;
    milliseconds = 0;
    return 0;
}

static void pass(long ms)
{
    milliseconds += ms;
    seconds += milliseconds / 1000;
    milliseconds %= 1000;
}

/* It looks whenever it wants to; how long until the time is over? */
static long wait_for_end(cgwm_patience *p, int counts)
{
    for (long waited = 0; waited < 1000000;) {
        int ms = cgwm_patience_next(p);
        pass(ms);
        waited += ms;
        if (cgwm_patience_is_over(p, counts)) {
            return waited;
        }
    }
    return -1;
}

static void a_worker_has_its_time_and_some_more(void **state)
{
    cgwm_patience p;

    (void)state;
    cgwm_patience_begin(&p, 3000);
    assert_in_range(wait_for_end(&p, 1), 4000, 4010);
    cgwm_patience_begin(&p, 80000);
    assert_in_range(wait_for_end(&p, 1), 90000, 90010);
}

static void what_is_not_the_worker_s_does_not_count(void **state)
{
    cgwm_patience p;

    (void)state;
    cgwm_patience_begin(&p, 3000);
    assert_int_equal(wait_for_end(&p, 0), -1);
    assert_in_range(wait_for_end(&p, 1), 4000, 4010);
}

static void without_a_limit_there_is_no_look(void **state)
{
    cgwm_patience p;

    (void)state;
    cgwm_patience_begin(&p, 0);
    assert_int_equal(cgwm_patience_next(&p), -1);
    pass(1000000);
    assert_false(cgwm_patience_is_over(&p, 1));
}

/* The worker would have ended it in time by its own clock, which stood still, too: two
 * seconds of such a pause once counted, which ended what had run for two of three. */
static void a_suspended_machine_leaves_the_worker_its_time(void **state)
{
    cgwm_patience p;

    (void)state;
    cgwm_patience_begin(&p, 3000);
    pass(900);
    assert_false(cgwm_patience_is_over(&p, 1));
    pass(1000);
    assert_false(cgwm_patience_is_over(&p, 1));
    pass(1000);
    assert_false(cgwm_patience_is_over(&p, 1));
    pass(3600000);
    assert_false(cgwm_patience_is_over(&p, 1));
    assert_in_range(wait_for_end(&p, 1), 100, 110);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_worker_has_its_time_and_some_more, start),
        cmocka_unit_test_setup(what_is_not_the_worker_s_does_not_count, start),
        cmocka_unit_test_setup(without_a_limit_there_is_no_look, start),
        cmocka_unit_test_setup(a_suspended_machine_leaves_the_worker_its_time, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
