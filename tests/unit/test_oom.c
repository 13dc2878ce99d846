/* SPDX-License-Identifier: Apache-2.0 */
/* Which deaths the kernel's counter of out-of-memory kills explains. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/oom.h"

static void the_counter_is_found_in_vmstat(void **state)
{
    const struct { const char *text; int64_t count; } rows[] = {
        {"nr_free_pages 5\noom_kill 17\nnuma_hit 3\n", 17},
        {"nr_free_pages 5\noom_kill 0", 0},
        {"nr_free_pages 5\nnot_oom_kill 17\n", -1},
        {"nr_free_pages 5\noom_kill_x 17\n", -1},
        {"", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(cgwd_oom_parse(rows[i].text), rows[i].count);
    }
    assert_true(cgwd_oom_count() >= -1);
}

/* SAMPLE or DEATH at a count; what is said of the death. */
struct step {
    enum { SAMPLE, DEATH } what;
    int64_t count;
    enum cgwd_oom_answer answer;
};

#define STEPS_MAX 8

static void a_kill_explains_one_death_soon_after_it(void **state)
{
    const struct { int64_t first; int n; struct step steps[STEPS_MAX]; } rows[] = {
        /* a death without a kill */
        {7, 2, {{DEATH, 7, CGWD_OOM_NO}, {DEATH, 7, CGWD_OOM_NO}}},
        /* one kill, two deaths */
        {7, 2, {{DEATH, 8, CGWD_OOM_YES}, {DEATH, 8, CGWD_OOM_NO}}},
        /* two of each, and a third of both */
        {0, 3, {{DEATH, 2, CGWD_OOM_YES}, {DEATH, 2, CGWD_OOM_YES},
                {DEATH, 3, CGWD_OOM_YES}}},
        /* sampled between kill and death */
        {7, 2, {{SAMPLE, 8, 0}, {DEATH, 8, CGWD_OOM_YES}}},
        /* ... and the next kill is seen, too */
        {7, 4, {{SAMPLE, 8, 0}, {DEATH, 8, CGWD_OOM_YES}, {SAMPLE, 8, 0},
                {DEATH, 9, CGWD_OOM_YES}}},
        /* ... a death that comes later than the next sample is another's */
        {7, 4, {{SAMPLE, 9, 0}, {DEATH, 9, CGWD_OOM_YES}, {SAMPLE, 9, 0},
                {DEATH, 9, CGWD_OOM_NO}}},
        /* a kill that was somebody else's, long ago */
        {7, 3, {{SAMPLE, 8, 0}, {SAMPLE, 8, 0}, {DEATH, 8, CGWD_OOM_NO}}},
        /* explained, and not offered again by later samples */
        {7, 4, {{DEATH, 8, CGWD_OOM_YES}, {SAMPLE, 8, 0}, {SAMPLE, 8, 0},
                {DEATH, 8, CGWD_OOM_NO}}},
        /* a kernel that does not say, or does not any more */
        {-1, 2, {{SAMPLE, -1, 0}, {DEATH, -1, CGWD_OOM_UNKNOWN}}},
        {7, 1, {{DEATH, -1, CGWD_OOM_UNKNOWN}}},
        {-1, 3, {{SAMPLE, 7, 0}, {DEATH, 8, CGWD_OOM_UNKNOWN}, {SAMPLE, 8, 0}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cgwd_oom oom;
        cgwd_oom_init(&oom, rows[i].first);
        for (int n = 0; n < rows[i].n; n++) {
            const struct step *step = &rows[i].steps[n];
            if (step->what == SAMPLE) {
                cgwd_oom_sample(&oom, step->count);
            }
            else {
                assert_int_equal(cgwd_oom_explains(&oom, step->count), step->answer);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_is_found_in_vmstat),
        cmocka_unit_test(a_kill_explains_one_death_soon_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
