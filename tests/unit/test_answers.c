/* SPDX-License-Identifier: Apache-2.0 */

/* What is remembered of the answers about users, and for how long. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "between.h"
#include "module/answers.h"

static int set_up(void **state)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

static cgwm_answer_key key_of(cgwm_answers *answers, const char *a, const char *b)
{
    cgwm_answer_key key;

    cgwm_answers_key(answers, (const char *const[]){a, b, NULL}, &key);
    return key;
}

static void an_answer_counts_until_its_time(void **state)
{
    cgwm_answers *answers = cgwm_answers_create(*state);
    cgwm_answer_key alice = key_of(answers, "alice", "secret");
    cgwm_answer_key bob = key_of(answers, "bob", "secret");

    assert_null(cgwm_answers_get(answers, &alice, *state));
    cgwm_answers_put(answers, &alice, "editors", apr_time_now() + apr_time_from_sec(60));
    assert_string_equal(cgwm_answers_get(answers, &alice, *state), "editors");
    assert_null(cgwm_answers_get(answers, &bob, *state));
    cgwm_answers_put(answers, &alice, "", apr_time_now() - 1);
    assert_null(cgwm_answers_get(answers, &alice, *state));
}

static void questions_are_told_apart_and_nobody_else_can_make_their_keys(void **state)
{
    cgwm_answers *answers = cgwm_answers_create(*state);
    cgwm_answers *other = cgwm_answers_create(*state);
    cgwm_answer_key one = key_of(answers, "ab", "c"), two = key_of(answers, "a", "bc");
    cgwm_answer_key again = key_of(answers, "ab", "c"), foreign = key_of(other, "ab", "c");

    assert_memory_equal(&one, &again, sizeof(one));
    assert_memory_not_equal(&one, &two, sizeof(one));
    assert_memory_not_equal(&one, &foreign, sizeof(one));
}

static void many_answers_take_no_more_room(void **state)
{
    cgwm_answers *answers = cgwm_answers_create(*state);
    apr_time_t later = apr_time_now() + apr_time_from_sec(60);
    int kept = 0;

    for (int i = 0; i < 5000; i++) {
        cgwm_answer_key key = key_of(answers, "user", apr_itoa(*state, i));
        cgwm_answers_put(answers, &key, "x", later);
        assert_string_equal(cgwm_answers_get(answers, &key, *state), "x");
    }
    for (int i = 0; i < 5000; i++) {
        cgwm_answer_key key = key_of(answers, "user", apr_itoa(*state, i));
        kept += cgwm_answers_get(answers, &key, *state) != NULL;
    }
    assert_between(kept, 500, 1024);
}

static void what_is_too_long_is_not_kept_and_without_memory_nothing_is(void **state)
{
    cgwm_answers *answers = cgwm_answers_create(*state);
    cgwm_answer_key key = key_of(answers, "alice", "secret");
    char *longer = apr_pcalloc(*state, 5000);

    memset(longer, 'x', 4999);
    cgwm_answers_put(answers, &key, longer, apr_time_now() + apr_time_from_sec(60));
    assert_null(cgwm_answers_get(answers, &key, *state));
    key = key_of(NULL, "alice", "secret");
    cgwm_answers_put(NULL, &key, "x", apr_time_now() + apr_time_from_sec(60));
    assert_null(cgwm_answers_get(NULL, &key, *state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_counts_until_its_time),
        cmocka_unit_test(questions_are_told_apart_and_nobody_else_can_make_their_keys),
        cmocka_unit_test(many_answers_take_no_more_room),
        cmocka_unit_test(what_is_too_long_is_not_kept_and_without_memory_nothing_is),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
