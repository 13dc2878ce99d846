/* SPDX-License-Identifier: Apache-2.0 */

/* common/handler.c: when all is there that a thread's signal handler writes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "between.h"
#include "cgw_handler.h"

#define SIG 61
#define MASK "1000000000000000"     /* of signal 61 */

static const struct cgw_handler unknown, busy = {.is_known = 1, .blocked = 1},
    pending = {.is_known = 1, .pending = 1, .sleeping = 1},
    idle = {.is_known = 1}, asleep = {.is_known = 1, .sleeping = 1};

static void the_kernel_s_words_are_understood(void **state)
{
    struct cgw_handler h;

    (void)state;
    cgw_handler_parse(&h, "Name:\tpython\nState:\tS (sleeping)\nSigPnd:\t" MASK
                          "\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000001\n"
                          "SigIgn:\t" MASK "\nSigCgt:\t" MASK "\n", SIG);
    assert_true(h.is_known && h.pending && h.caught && h.sleeping);
    assert_false(h.blocked);
    cgw_handler_parse(&h, "Name:\tpython\nState:\tD (disk sleep)\nSigBlk:\t" MASK "\n",
                      SIG);
    assert_true(h.blocked);
    assert_false(h.pending || h.caught || h.sleeping);
    cgw_handler_parse(&h, "", SIG);
    assert_false(h.is_known);
}

static void a_real_thread_is_looked_at(void **state)
{
    struct cgw_handler h;
    sigset_t set;

    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIG);
    sigprocmask(SIG_BLOCK, &set, NULL);
    assert_true(cgw_handler_look(&h, "/proc/self/status", SIG));
    assert_true(h.is_known && h.blocked);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    assert_true(cgw_handler_look(&h, "/proc/self/status", SIG));
    assert_false(h.blocked || h.sleeping);
    assert_false(cgw_handler_look(&h, "/proc/0/status", SIG));
    assert_false(h.is_known);
}

/* The moment between delivery and handler: nothing is taken for an answer. */
static void an_answer_that_has_not_begun_is_not_complete(void **state)
{
    struct cgw_answer a = {0};

    (void)state;
    assert_false(cgw_answer_is_complete(&a, &pending, 0));
    assert_false(cgw_answer_is_complete(&a, &idle, 0));
    assert_false(cgw_answer_is_complete(&a, &busy, 0));
    assert_false(cgw_answer_is_complete(&a, &busy, 100));
    assert_false(cgw_answer_is_complete(&a, &idle, 200)); /* came since the last look */
    assert_true(cgw_answer_is_complete(&a, &idle, 200));
}

/* The kernel was asked before the handler began, the file after it did. */
static void a_first_line_is_not_the_whole(void **state)
{
    struct cgw_answer a = {0};

    (void)state;
    assert_false(cgw_answer_is_complete(&a, &idle, 40));
    assert_false(cgw_answer_is_complete(&a, &busy, 40));
    assert_false(cgw_answer_is_complete(&a, &busy, 40)); /* it lost its processor */
    assert_false(cgw_answer_is_complete(&a, &idle, 80));
    assert_true(cgw_answer_is_complete(&a, &idle, 80));
}

/* A thread of a C library has no Python stack. */
static void a_thread_that_says_nothing_is_not_waited_for_long(void **state)
{
    struct cgw_answer a = {0}, b = {0};
    int looks = 0;

    (void)state;
    assert_true(cgw_answer_is_complete(&a, &asleep, 0));
    while (!cgw_answer_is_complete(&b, &idle, 0)) {
        looks++;
    }
    assert_between(looks, 20, 100);
}

static void without_proc_silence_tells(void **state)
{
    struct cgw_answer a = {0}, b = {0};
    int looks = 0;

    (void)state;
    while (!cgw_answer_is_complete(&a, &unknown, 0)) {
        looks++;
    }
    assert_between(looks, 20, 100);
    looks = 0;
    assert_false(cgw_answer_is_complete(&b, &unknown, 10));
    while (!cgw_answer_is_complete(&b, &unknown, 20)) {
        looks++;
    }
    assert_between(looks, 10, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_s_words_are_understood),
        cmocka_unit_test(a_real_thread_is_looked_at),
        cmocka_unit_test(an_answer_that_has_not_begun_is_not_complete),
        cmocka_unit_test(a_first_line_is_not_the_whole),
        cmocka_unit_test(a_thread_that_says_nothing_is_not_waited_for_long),
        cmocka_unit_test(without_proc_silence_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
