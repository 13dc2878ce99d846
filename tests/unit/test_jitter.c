/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken off or added at random. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "between.h"
#include "daemon/jitter.h"

static void lies_between_zero_and_the_most(void **state)
{
    int seen[4] = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t n = cgwd_jitter(3);
        assert_between(n, 0, 3);
        seen[n]++;
    }
    for (int i = 0; i < 4; i++) {
        assert_true(seen[i] > 0); /* fails once in 10^124 runs */
    }
}

static void nothing_without_room(void **state)
{
    (void)state;
    assert_int_equal(cgwd_jitter(0), 0);
    assert_int_equal(cgwd_jitter(-5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_between_zero_and_the_most),
        cmocka_unit_test(nothing_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
