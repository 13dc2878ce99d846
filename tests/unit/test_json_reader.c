/* SPDX-License-Identifier: Apache-2.0 */

/* module/json_reader.c: what the supervisor writes is read; anything else is
 * refused, and never read beyond its end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <stdlib.h>
#include <string.h>

#include "module/json_reader.h"

/* In memory of exactly its size, so that a sanitizer sees a byte too many. */
static const cgwm_json *parse(const char *text, apr_pool_t *p)
{
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    const cgwm_json *json;

    memcpy(copy, text, len);
    json = cgwm_json_parse(copy, len, p);
    free(copy);
    return json;
}

static void values_are_found(void **state)
{
    const cgwm_json *json = parse(" {\"ok\":true,\"list\":[-9223372036854775808, {},"
                                  "[],null],\"last\":\"word\",\"no\":false}\n", *state);
    const cgwm_json *list = cgwm_json_get(json, "list");

    assert_non_null(json);
    assert_true(cgwm_json_is_true(cgwm_json_get(json, "ok")));
    assert_false(cgwm_json_is_true(cgwm_json_get(json, "no")));
    assert_int_equal(list->number, 4);
    assert_true(cgwm_json_int(list->first, 0) == INT64_MIN);
    assert_int_equal(list->first->next->type, CGWM_JSON_OBJECT);
    assert_string_equal(cgwm_json_text_of(json, "last"), "word");
}

static void what_is_absent_has_a_value_all_the_same(void **state)
{
    const cgwm_json *json = parse("{\"a\":1}", *state);

    assert_null(cgwm_json_get(json, "b"));
    assert_null(cgwm_json_get(cgwm_json_get(json, "a"), "b"));
    assert_null(cgwm_json_get(NULL, "a"));
    assert_int_equal(cgwm_json_int_of(json, "b"), 0);
    assert_string_equal(cgwm_json_text_of(json, "a"), "");
    assert_int_equal(cgwm_json_int(NULL, 7), 7);
}

static void escapes_are_resolved(void **state)
{
    static const struct { const char *json, *text; } cases[] = {
        {"\"a\\\"b\\\\c\\n\\r\\t\\/\\b\\f\"", "a\"b\\c\n\r\t/\b\f"},
        {"\"\\u0041\\u00fc\\u20AC\"", "A\xc3\xbc\xe2\x82\xac"},
        {"\"\\u0000\\ud800\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"Gr\xc3\xbc\xc3\x9f" "e\"", "Gr\xc3\xbc\xc3\x9f" "e"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const cgwm_json *json = parse(cases[i].json, *state);
        assert_non_null(json);
        assert_string_equal(cgwm_json_text(json, "?"), cases[i].text);
    }
}

static void what_is_malformed_is_refused(void **state)
{
    static const char *const cases[] = {
        "", " ", "{", "[", "\"", "\"\\", "\"\\\"", "\"\\u12\"", "\"\\x\"", "tru",
        "nul", "{}x", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
        "1.5", "1e9", "--1", "99999999999999999999", "\"a\nb\"", "-", "]", "{]", "[}",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (parse(cases[i], *state)) {
            fail_msg("was taken: %s", cases[i]);
        }
    }
}

static void nesting_is_bounded(void **state)
{
    char text[200000];

    memset(text, '[', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_null(parse(text, *state));
}

static int set_up(void **state)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    *state = pool;
    return 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(what_is_absent_has_a_value_all_the_same),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(nesting_is_bounded),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
