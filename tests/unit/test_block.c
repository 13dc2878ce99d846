/* SPDX-License-Identifier: Apache-2.0 */

/* daemon/block.c: which lines belong together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/block.h"

static enum cgwd_block block;

/* Returns whether the line begins another block. */
static int add(const char *line)
{
    int begins;

    block = cgwd_block_add(block, line, strlen(line), &begins);
    return begins;
}

static int begin(void **state)
{
    (void)state;
    block = CGWD_BLOCK_NONE;
    return 0;
}

static void ordinary_lines_stand_alone(void **state)
{
    (void)state;
    add("one");
    assert_int_equal(block, CGWD_BLOCK_LINE);
    assert_true(add("two"));
    assert_true(add(""));
    assert_int_equal(block, CGWD_BLOCK_LINE);
}

static void a_traceback_belongs_to_its_message(void **state)
{
    (void)state;
    add("ERROR:shop:it failed");
    assert_false(add("Traceback (most recent call last):"));
    assert_int_equal(block, CGWD_BLOCK_OPEN);
    assert_false(add("  File \"shop.py\", line 3, in f"));
    assert_false(add("    raise ValueError"));
    assert_int_equal(block, CGWD_BLOCK_OPEN);
    assert_false(add("ValueError"));
    assert_int_equal(block, CGWD_BLOCK_CLOSED);
    assert_true(add("something else"));
}

static void one_exception_leads_to_the_next(void **state)
{
    (void)state;
    add("[12:00] Traceback (most recent call last):");
    add("  File \"shop.py\", line 3, in f");
    add("KeyError: 1");
    assert_false(add("During handling of the above exception, another exception "
                     "occurred:"));
    assert_int_equal(block, CGWD_BLOCK_OPEN);
    assert_false(add("Traceback (most recent call last):"));
    assert_false(add("ValueError: 2"));
    assert_int_equal(block, CGWD_BLOCK_CLOSED);
    assert_false(add("The above exception was the direct cause of the following "
                     "exception:"));
    assert_false(add("Traceback (most recent call last):"));
    assert_false(add("ValidationError: 1 field"));
    assert_false(add("  field: missing"));
    assert_true(add("Traceback (most recent call last):"));
}

static void indented_lines_continue(void **state)
{
    (void)state;
    add("Fatal Python error: Segmentation fault");
    assert_false(add("Current thread 0x00007f (most recent call first):"));
    assert_false(add("  File \"shop.py\", line 1 in f"));
    assert_int_equal(block, CGWD_BLOCK_INDENTED);
    assert_true(add("done"));
    assert_false(add("\twith a tab"));
    assert_int_equal(block, CGWD_BLOCK_INDENTED);
    assert_false(add("  + Exception Group Traceback (most recent call last):"));
    assert_int_equal(block, CGWD_BLOCK_INDENTED); /* it has no last line */
}

static void what_must_come_is_waited_for_longest(void **state)
{
    (void)state;
    assert_true(cgwd_block_patience(CGWD_BLOCK_LINE)
                < cgwd_block_patience(CGWD_BLOCK_CLOSED));
    assert_true(cgwd_block_patience(CGWD_BLOCK_CLOSED)
                < cgwd_block_patience(CGWD_BLOCK_INDENTED));
    assert_true(cgwd_block_patience(CGWD_BLOCK_INDENTED)
                < cgwd_block_patience(CGWD_BLOCK_OPEN));
    assert_true(cgwd_block_patience(CGWD_BLOCK_OPEN) <= 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ordinary_lines_stand_alone, begin),
        cmocka_unit_test_setup(a_traceback_belongs_to_its_message, begin),
        cmocka_unit_test_setup(one_exception_leads_to_the_next, begin),
        cmocka_unit_test_setup(indented_lines_continue, begin),
        cmocka_unit_test_setup(what_must_come_is_waited_for_longest, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
