/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor tells administrators is JSON, whatever texts are in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/json.h"

static void assert_json(cgwd_json *json, const char *expected)
{
    assert_false(json->buf.failed);
    assert_int_equal(json->buf.len, strlen(expected));
    assert_memory_equal(json->buf.data, expected, json->buf.len);
    cgw_buf_free(&json->buf);
}

static void values_are_separated_and_nested(void **state)
{
    cgwd_json json = {0};

    (void)state;
    cgwd_json_object(&json, NULL);
    cgwd_json_bool(&json, "ok", 1);
    cgwd_json_array(&json, "list");
    cgwd_json_number(&json, NULL, -9223372036854775807LL - 1);
    cgwd_json_object(&json, NULL);
    cgwd_json_object_end(&json);
    cgwd_json_array(&json, NULL);
    cgwd_json_array_end(&json);
    cgwd_json_string(&json, NULL, NULL);
    cgwd_json_array_end(&json);
    cgwd_json_string(&json, "last", "word");
    cgwd_json_object_end(&json);
    assert_json(&json, "{\"ok\":true,\"list\":[-9223372036854775808,{},[],null],"
                       "\"last\":\"word\"}");
}

static void control_characters_and_quotes_are_escaped(void **state)
{
    cgwd_json json = {0};

    (void)state;
    cgwd_json_text(&json, NULL, "a\"b\\c\n\r\t\0\x1b\x7f/", 12);
    assert_json(&json, "\"a\\\"b\\\\c\\n\\r\\t\\u0000\\u001b\\u007f/\"");
}

static void what_is_not_utf8_is_replaced(void **state)
{
    static const struct { const char *bytes, *json; } cases[] = {
        {"Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x90\x8d",
         "\"Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x90\x8d\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc3", "\"\xef\xbf\xbd\""},                       /* cut off */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},       /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xf4\x90\x80\x80",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x28\xa1", "\"\xef\xbf\xbd(\xef\xbf\xbd\""},
        {"\xe2\x82(", "\"\xef\xbf\xbd\xef\xbf\xbd(\""}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cgwd_json json = {0};
        cgwd_json_string(&json, NULL, cases[i].bytes);
        assert_json(&json, cases[i].json);
    }
}

static void a_key_is_escaped_too(void **state)
{
    cgwd_json json = {0};

    (void)state;
    cgwd_json_object(&json, NULL);
    cgwd_json_number(&json, "a\"b", 1);
    cgwd_json_object_end(&json);
    assert_json(&json, "{\"a\\\"b\":1}");
}

static void a_bound_is_a_failure_not_a_cut(void **state)
{
    cgwd_json json = {.most = 8};

    (void)state;
    cgwd_json_string(&json, NULL, "1234567");
    assert_true(json.buf.failed);
    cgw_buf_free(&json.buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_separated_and_nested),
        cmocka_unit_test(control_characters_and_quotes_are_escaped),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(a_key_is_escaped_too),
        cmocka_unit_test(a_bound_is_a_failure_not_a_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
