/* SPDX-License-Identifier: Apache-2.0 */
/* Which line of its output tells why a process has died. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/words.h"

/* The line that is told of these. */
static const char *told(const char *const *lines)
{
    enum cgwd_words words = CGWD_WORDS_ANY;
    const char *last = "";

    for (; *lines; lines++) {
        last = cgwd_words_add(&words, *lines, strlen(*lines)) ? *lines : last;
    }
    return last;
}

#define TOLD(...) told((const char *const[]) {__VA_ARGS__, NULL})

static void the_last_line(void **state)
{
    (void)state;
    assert_string_equal(TOLD("a", "b"), "b");
    assert_string_equal(TOLD("Traceback (most recent call last):", "  File \"a\", line 1",
                             "ValueError: b"), "ValueError: b");
    assert_string_equal(TOLD("a", "  File \"last\", line 5, in f"),
                        "  File \"last\", line 5, in f");
}

static void the_innermost_line_of_a_crash(void **state)
{
    (void)state;
    assert_string_equal(TOLD("Fatal Python error: Segmentation fault",
                             "Stack (most recent call first):",
                             "  File \"inner\", line 1 in f", "  File \"outer\", line 2 in g",
                             "Extension modules: _cgateway (total: 1)"),
                        "  File \"inner\", line 1 in f");
}

static void of_the_thread_that_crashed(void **state)
{
    (void)state;
    assert_string_equal(TOLD("Fatal Python error: Aborted",
                             "Thread 0x1 (most recent call first):", "  File \"a\", line 1",
                             "Current thread 0x2 (most recent call first):",
                             "  File \"b\", line 1", "  ...",
                             "Thread 0x3 (most recent call first):", "  File \"c\", line 1"),
                        "  File \"b\", line 1");
}

static void the_title_where_no_python_ran(void **state)
{
    (void)state;
    assert_string_equal(TOLD("Fatal Python error: Bus error",
                             "Current thread 0x2 (most recent call first):",
                             "  <no Python frame>", "Extension modules: a (total: 1)"),
                        "Fatal Python error: Bus error");
}

static void what_comes_behind_a_report(void **state)
{
    (void)state;
    assert_string_equal(TOLD("Fatal Python error: Bus error", "goes on", "to its end"),
                        "to its end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_line),
        cmocka_unit_test(the_innermost_line_of_a_crash),
        cmocka_unit_test(of_the_thread_that_crashed),
        cmocka_unit_test(the_title_where_no_python_ran),
        cmocka_unit_test(what_comes_behind_a_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
