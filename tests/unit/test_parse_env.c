/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>

#include "module/parse_env.h"

static apr_pool_t *pool;

static int setup(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

/* The file in memory of its exact size, so that a sanitizer sees every read
 * behind it. */
static const char *parse(const char *text, apr_size_t len,
                         apr_array_header_t **out, int *line)
{
    char *exact = malloc(len ? len : 1);
    const char *error;

    memcpy(exact, text, len);
    *out = apr_array_make(pool, 4, sizeof(const char *));
    error = cgwm_parse_env(exact, len, *out, line, pool);
    free(exact);
    return error;
}

static void assert_gives(const char *text, const char *expected)
{
    apr_array_header_t *out;
    int line;

    assert_null(parse(text, strlen(text), &out, &line));
    assert_int_equal(out->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(out, 0, const char *), expected);
}

static void assert_fails(const char *text, int expected_line, const char *words)
{
    apr_array_header_t *out;
    int line;
    const char *error = parse(text, strlen(text), &out, &line);

    assert_non_null(error);
    assert_non_null(strstr(error, words));
    assert_int_equal(line, expected_line);
}

static void bare_values(void **state)
{
    (void)state;
    assert_gives("A=b", "A=b");
    assert_gives("A=b\n", "A=b");
    assert_gives("A=b\r\n", "A=b");
    assert_gives("  A=  b c  \n", "A=b c");
    assert_gives("A=", "A=");
    assert_gives("URL=postgres://u:p@h/db?x=1&y=2", "URL=postgres://u:p@h/db?x=1&y=2");
    assert_gives("export A=b", "A=b");
    assert_gives("export=b", "export=b");
    assert_gives("A=$B", "A=$B");
}

static void a_hash_is_a_comment_only_behind_white_space(void **state)
{
    (void)state;
    assert_gives("# note\n\n  # note\nA=b#c # note", "A=b#c");
    assert_gives("A=# note", "A=");
}

static void quoted_values(void **state)
{
    (void)state;
    assert_gives("A='b  $c \\n' # note", "A=b  $c \\n");
    assert_gives("A=\" b\\\"c\\\\d\\n\\te\\q \"", "A= b\"c\\d\n\te\\q ");
    assert_gives("A=\"\"", "A=");
    assert_gives("A=b\"c\"", "A=b\"c\"");
    assert_gives("A=\"b # c\"", "A=b # c");
}

static void every_line_counts_in_order(void **state)
{
    apr_array_header_t *out;
    int line;
    static const char text[] = "A=1\nB=2\n\nA=3";

    (void)state;
    assert_null(parse(text, sizeof(text) - 1, &out, &line));
    assert_int_equal(out->nelts, 3);
    assert_string_equal(APR_ARRAY_IDX(out, 2, const char *), "A=3");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    assert_gives("\xEF\xBB\xBF" "A=b", "A=b");
}

static void an_empty_file_is_fine(void **state)
{
    apr_array_header_t *out;
    int line;

    (void)state;
    assert_null(parse("", 0, &out, &line));
    assert_int_equal(out->nelts, 0);
}

static void errors_name_their_line(void **state)
{
    (void)state;
    assert_fails("A=1\n# x\nnonsense\n", 3, "NAME=value");
    assert_fails("A B=1", 1, "'A B'");
    assert_fails("A =1", 1, "'A '");
    assert_fails("=1", 1, "variable name");
    assert_fails("\nA='b", 2, "closing '");
    assert_fails("A=\"b\\\"", 1, "closing \"");
    assert_fails("A=\"b\\", 1, "closing \"");
    assert_fails("A='b'c", 1, "behind the closing");
}

static void a_nul_byte_is_an_error(void **state)
{
    apr_array_header_t *out;
    int line;

    (void)state;
    assert_non_null(parse("A=1\nB=\0x", 8, &out, &line));
    assert_int_equal(line, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_values),
        cmocka_unit_test(a_hash_is_a_comment_only_behind_white_space),
        cmocka_unit_test(quoted_values),
        cmocka_unit_test(every_line_counts_in_order),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(an_empty_file_is_fine),
        cmocka_unit_test(errors_name_their_line),
        cmocka_unit_test(a_nul_byte_is_an_error),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
