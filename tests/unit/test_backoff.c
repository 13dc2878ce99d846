/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/backoff.h"

static void first_failure_is_retried_at_once(void **state)
{
    cgwd_backoff b = {0};

    (void)state;
    assert_int_equal(cgwd_backoff_next(&b, 1000), 0);
}

static void delays_double_to_their_bound(void **state)
{
    const int64_t expected[] = {0, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    cgwd_backoff b = {0};
    int64_t now = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        int64_t delay = cgwd_backoff_next(&b, now);
        assert_int_equal(delay, expected[i]);
        now += delay + 10;
    }
}

static void health_forgives(void **state)
{
    cgwd_backoff b = {0};
    int64_t now = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        now += cgwd_backoff_next(&b, now) + 1;
    }
    assert_int_equal(cgwd_backoff_next(&b, now + CGWD_BACKOFF_WELL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_is_retried_at_once),
        cmocka_unit_test(delays_double_to_their_bound),
        cmocka_unit_test(health_forgives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
