/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cgw_header.h"

static const char *status(const char *text, uint16_t *out)
{
    return cgw_status_check(text, strlen(text), out);
}

static void test_status_lines(void **state)
{
    uint16_t code = 0;

    (void)state;
    assert_null(status("200 OK", &code));
    assert_int_equal(code, 200);
    assert_null(status("999 ", &code));
    assert_int_equal(code, 999);
    assert_null(status("404 Nicht gefunden \xfc", &code));
    assert_null(status("207", &code));
    assert_int_equal(code, 207);
    static const char *const bad[] = {
        "", "20", "20 OK", "2000", "2000 OK", "200OK!", "abc OK", "099 X",
        "200 a\r\nb", "200 a\nb", "200 \x7f", " 200 OK"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(status(bad[i], &code));
    }
    assert_non_null(cgw_status_check("200 a\0b", 7, &code));
}

static void test_statuses_with_a_place_of_their_own(void **state)
{
    (void)state;
    assert_true(cgw_status_interim(100));
    assert_true(cgw_status_interim(103));
    assert_true(cgw_status_interim(199));
    assert_false(cgw_status_interim(99));
    assert_false(cgw_status_interim(101));
    assert_false(cgw_status_interim(200));
    assert_true(cgw_status_bodiless(204));
    assert_true(cgw_status_bodiless(304));
    assert_false(cgw_status_bodiless(200));
}

static void test_names_are_tokens(void **state)
{
    static const char *const good[] = {"A", "X-Y_z.1", "!#$%&'*+-.^_`|~",
                                       "Trailer-Park", "TEA"};
    static const char *const bad[] = {"", "A B", "A:", "A\r", "\xe4", "A\x7f",
                                      "(a)", "connection", "TE",
                                      "Transfer-Encoding", "UPGRADE",
                                      "Trailer", "trailers", "Keep-alive"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(cgw_header_name_check(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(cgw_header_name_check(bad[i], strlen(bad[i])));
    }
    assert_non_null(cgw_header_name_check("A\0B", 3));
}

static void test_values_have_no_control_characters(void **state)
{
    (void)state;
    assert_null(cgw_header_value_check("", 0));
    assert_null(cgw_header_value_check("a\tb \xfc", 5));
    assert_non_null(cgw_header_value_check("a\r\nb", 4));
    assert_non_null(cgw_header_value_check("a\0", 2));
    assert_non_null(cgw_header_value_check("\x1b", 1));
    assert_non_null(cgw_header_value_check("\x7f", 1));
}

static const char *length(const char *text, uint64_t *out)
{
    return cgw_content_length_parse(text, strlen(text), out);
}

static void test_content_lengths(void **state)
{
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1,1",
                                      "9223372036854775808",
                                      "99999999999999999999999"};
    uint64_t n = 0;

    (void)state;
    assert_null(length("0", &n));
    assert_int_equal(n, 0);
    assert_null(length("0017", &n));
    assert_int_equal(n, 17);
    assert_null(length("9223372036854775807", &n));
    assert_true(n == INT64_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(length(bad[i], &n));
    }
    assert_true(cgw_header_is("content-LENGTH", 14, "Content-Length"));
    assert_false(cgw_header_is("content-LENGTHS", 15, "Content-Length"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_statuses_with_a_place_of_their_own),
        cmocka_unit_test(test_names_are_tokens),
        cmocka_unit_test(test_values_have_no_control_characters),
        cmocka_unit_test(test_content_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
