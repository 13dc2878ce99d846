/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include <apr_general.h>

#include "module/parse.h"

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

static void int_keeps_to_its_range(void **state)
{
    int64_t n = -7;

    (void)state;
    assert_true(cgwm_parse_int("1", 1, 512, &n));
    assert_int_equal(n, 1);
    assert_true(cgwm_parse_int("512", 1, 512, &n));
    assert_int_equal(n, 512);
    assert_false(cgwm_parse_int("0", 1, 512, &n));
    assert_false(cgwm_parse_int("513", 1, 512, &n));
    assert_int_equal(n, 512);
}

static void int_refuses_what_is_no_number(void **state)
{
    static const char *const bad[] = {
        "", " 4", "4 ", "+4", "-4", "4x", "0x4", "4.0", "four",
        "9223372036854775808", "99999999999999999999999"
    };
    int64_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgwm_parse_int(bad[i], 0, INT64_MAX, &n));
    }
}

static void range_is_one_number_or_two(void **state)
{
    const char *bad[] = {"", "0", "11", "4-", "-4", "4-2", "0-2", "2-11", "2-4-6",
                         "2 - 4", "2..4", "x"};
    int64_t least = 0, most = 0;

    (void)state;
    assert_true(cgwm_parse_range("4", 1, 10, &least, &most));
    assert_int_equal(least, 4);
    assert_int_equal(most, 4);
    assert_true(cgwm_parse_range("1-10", 1, 10, &least, &most));
    assert_int_equal(least, 1);
    assert_int_equal(most, 10);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgwm_parse_range(bad[i], 1, 10, &least, &most));
    }
}

static void duration_knows_its_units(void **state)
{
    static const struct { const char *text; int64_t ms; } good[] = {
        {"0", 0}, {"30", 30000}, {"30s", 30000}, {"250ms", 250}, {"2min", 120000},
        {"1h", 3600000}, {"1H", 3600000}, {"5Min", 300000}
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(cgwm_parse_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
}

static void duration_refuses_the_rest(void **state)
{
    static const char *const bad[] = {
        "", "s", "-1", "1.5", "5 s", "5m", "5sec", "5 minutes",
        "9223372036854775807h"
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgwm_parse_duration(bad[i], &ms));
    }
}

static void duration_is_shown_in_its_biggest_unit(void **state)
{
    (void)state;
    assert_string_equal(cgwm_format_duration(0, pool), "0s");
    assert_string_equal(cgwm_format_duration(250, pool), "250ms");
    assert_string_equal(cgwm_format_duration(90000, pool), "90s");
    assert_string_equal(cgwm_format_duration(120000, pool), "2min");
    assert_string_equal(cgwm_format_duration(86400000, pool), "24h");
}

static void bytes_know_their_units(void **state)
{
    int64_t n;

    (void)state;
    assert_true(cgwm_parse_bytes("0", &n));
    assert_int_equal(n, 0);
    assert_true(cgwm_parse_bytes("1000", &n));
    assert_int_equal(n, 1000);
    assert_true(cgwm_parse_bytes("64K", &n));
    assert_int_equal(n, 65536);
    assert_true(cgwm_parse_bytes("2m", &n));
    assert_int_equal(n, 2 << 20);
    assert_true(cgwm_parse_bytes("1G", &n));
    assert_int_equal(n, 1 << 30);
    assert_false(cgwm_parse_bytes("64KB", &n));
    assert_false(cgwm_parse_bytes("-1", &n));
    assert_false(cgwm_parse_bytes("K", &n));
    assert_false(cgwm_parse_bytes("9223372036854775807G", &n));
}

static void flag_is_on_or_off(void **state)
{
    int64_t n = 7;

    (void)state;
    assert_false(cgwm_parse_flag("", &n));
    assert_false(cgwm_parse_flag("yes", &n));
    assert_false(cgwm_parse_flag("On ", &n));
    assert_int_equal(n, 7);
    assert_true(cgwm_parse_flag("oN", &n));
    assert_int_equal(n, 1);
    assert_true(cgwm_parse_flag("OFF", &n));
    assert_int_equal(n, 0);
}

static void syslog_has_a_facility_and_a_tag(void **state)
{
    static const struct {
        const char *text;
        int facility;
        const char *tag;
    } cases[] = {
        {"syslog", LOG_LOCAL7, NULL}, {"syslog:", LOG_LOCAL7, NULL},
        {"syslog:kern", LOG_KERN, NULL}, {"Syslog:Local3", LOG_LOCAL3, NULL},
        {"syslog:user:shop", LOG_USER, "shop"}, {"syslog::shop", LOG_LOCAL7, "shop"},
        {"syslog:user:", LOG_USER, NULL}, {"syslog:user:a:b", LOG_USER, "a:b"},
    };
    int64_t n = 7;
    const char *tag = "none";

    (void)state;
    assert_false(cgwm_is_syslog("syslog.log"));
    assert_false(cgwm_is_syslog("sys"));
    assert_false(cgwm_parse_syslog("/var/log/shop", &n, &tag));
    assert_false(cgwm_parse_syslog("syslog:local", &n, &tag));
    assert_false(cgwm_parse_syslog("syslog:local77", &n, &tag));
    assert_false(cgwm_parse_syslog("syslog:nowhere:shop", &n, &tag));
    assert_int_equal(n, 7);
    assert_string_equal(tag, "none");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(cgwm_parse_syslog(cases[i].text, &n, &tag));
        assert_int_equal(n, cases[i].facility);
        if (cases[i].tag) {
            assert_string_equal(tag, cases[i].tag);
        }
        else {
            assert_null(tag);
        }
    }
}

static void umask_is_octal(void **state)
{
    int64_t n;

    (void)state;
    assert_true(cgwm_parse_umask("027", &n));
    assert_int_equal(n, 027);
    assert_true(cgwm_parse_umask("0777", &n));
    assert_int_equal(n, 0777);
    assert_true(cgwm_parse_umask("0", &n));
    assert_int_equal(n, 0);
    assert_false(cgwm_parse_umask("1000", &n));
    assert_false(cgwm_parse_umask("8", &n));
    assert_false(cgwm_parse_umask("", &n));
    assert_false(cgwm_parse_umask("u=rwx", &n));
    assert_false(cgwm_parse_umask("77777777777777777777777", &n));
}

static void numeric_id_never_means_none(void **state)
{
    int64_t n;

    (void)state;
    assert_true(cgwm_parse_numeric_id("#1000", &n));
    assert_int_equal(n, 1000);
    assert_false(cgwm_parse_numeric_id("1000", &n));
    assert_false(cgwm_parse_numeric_id("#", &n));
    assert_false(cgwm_parse_numeric_id("#-1", &n));
    assert_false(cgwm_parse_numeric_id("#4294967295", &n));
}

static void env_names(void **state)
{
    (void)state;
    assert_true(cgwm_is_env_name("DATABASE_URL"));
    assert_true(cgwm_is_env_name("_x1"));
    assert_false(cgwm_is_env_name(""));
    assert_false(cgwm_is_env_name("1X"));
    assert_false(cgwm_is_env_name("A-B"));
    assert_false(cgwm_is_env_name("A=b"));
    assert_false(cgwm_is_env_name("\xC3\x84"));
}

static void module_names(void **state)
{
    (void)state;
    assert_true(cgwm_is_module_name("settings"));
    assert_true(cgwm_is_module_name("shop.settings.prod_2"));
    assert_true(cgwm_is_module_name("caf\xC3\xA9.settings"));
    assert_false(cgwm_is_module_name(""));
    assert_false(cgwm_is_module_name("."));
    assert_false(cgwm_is_module_name("shop."));
    assert_false(cgwm_is_module_name(".shop"));
    assert_false(cgwm_is_module_name("shop..settings"));
    assert_false(cgwm_is_module_name("shop/settings"));
    assert_false(cgwm_is_module_name("shop.2"));
    assert_false(cgwm_is_module_name("my-shop.settings"));
}

/* Django's startproject makes the module shop.wsgi: only a '/' makes a file. */
static void application_is_a_file_by_its_slash(void **state)
{
    (void)state;
    assert_false(cgwm_is_application_file("shop.wsgi"));
    assert_false(cgwm_is_application_file("shop.wsgi:application"));
    assert_true(cgwm_is_application_file("/srv/shop/app.wsgi"));
    assert_true(cgwm_is_application_file("./app.wsgi"));
}

static void an_application_file_may_have_a_callable_behind_it(void **state)
{
    static const char *const cases[][2] = {
        {"/srv/app.wsgi", "/srv/app.wsgi"}, {"/srv/app.wsgi:app", "/srv/app.wsgi"},
        {"./run.py:site.app", "./run.py"}, {"/srv/a:b/run.py", "/srv/a:b/run.py"},
        {"/srv/run.py:", "/srv/run.py:"}, {"/srv/run.py:1", "/srv/run.py:1"}
    };
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(cgwm_application_file(cases[i][0], p), cases[i][1]);
    }
    apr_pool_destroy(p);
}

static void applications(void **state)
{
    static const char *const good[] = {
        "shop", "shop.wsgi", "shop.wsgi:application", "shop:app.wsgi_app",
        "/srv/my shop/app.wsgi", "./run.py", "/srv/shop/app.wsgi:app"
    };
    static const char *const bad[] = {
        "", ":", "shop:", ":app", "shop:a:b", "shop wsgi", "shop-x", "/srv/shop/",
        "shop.wsgi:app()", "shop.wsgi:1"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(cgwm_is_application(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgwm_is_application(bad[i]));
    }
}

static void group_names_are_safe_as_file_names(void **state)
{
    char longest[CGWM_GROUP_NAME_MAX + 2];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[CGWM_GROUP_NAME_MAX] = '\0';
    assert_true(cgwm_is_group_name(longest));
    longest[CGWM_GROUP_NAME_MAX] = 'a';
    longest[CGWM_GROUP_NAME_MAX + 1] = '\0';
    assert_false(cgwm_is_group_name(longest));
    assert_true(cgwm_is_group_name("shop.example.com"));
    assert_true(cgwm_is_group_name("_default_"));
    assert_false(cgwm_is_group_name(""));
    assert_false(cgwm_is_group_name(".."));
    assert_false(cgwm_is_group_name("-x"));
    assert_false(cgwm_is_group_name("a/b"));
    assert_false(cgwm_is_group_name("a b"));
    assert_false(cgwm_is_group_name("a:b"));
}

static void group_name_from_a_server_name(void **state)
{
    (void)state;
    assert_string_equal(cgwm_group_name_from("Shop.Example.COM", pool),
                        "shop.example.com");
    assert_string_equal(cgwm_group_name_from("fe80::1", pool), "fe80__1");
}

static void archives(void **state)
{
    (void)state;
    assert_true(cgwm_is_archive("/srv/app.zip"));
    assert_false(cgwm_is_archive("/srv/app.py"));
    assert_false(cgwm_is_archive("/a"));
    assert_false(cgwm_is_archive(".zip"));
}

static void prefix_loses_its_trailing_slash(void **state)
{
    const char *out;

    (void)state;
    assert_true(cgwm_parse_prefix("/", &out, pool));
    assert_string_equal(out, "");
    assert_true(cgwm_parse_prefix("/blog", &out, pool));
    assert_string_equal(out, "/blog");
    assert_true(cgwm_parse_prefix("/blog/", &out, pool));
    assert_string_equal(out, "/blog");
    assert_true(cgwm_parse_prefix("/a b/..c/\xC3\xA9", &out, pool));
    assert_string_equal(out, "/a b/..c/\xC3\xA9");
}

static void prefix_refuses_what_no_path_has(void **state)
{
    static const char *const bad[] = {
        "", "blog", "//", "/a//b", "/a//", "/./a", "/a/..", "/a/.", "/a?b", "/a#b",
        "/a%20b", "/a\nb", "http://x/"
    };
    const char *out;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgwm_parse_prefix(bad[i], &out, pool));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int_keeps_to_its_range),
        cmocka_unit_test(int_refuses_what_is_no_number),
        cmocka_unit_test(range_is_one_number_or_two),
        cmocka_unit_test(duration_knows_its_units),
        cmocka_unit_test(duration_refuses_the_rest),
        cmocka_unit_test(duration_is_shown_in_its_biggest_unit),
        cmocka_unit_test(bytes_know_their_units),
        cmocka_unit_test(flag_is_on_or_off),
        cmocka_unit_test(syslog_has_a_facility_and_a_tag),
        cmocka_unit_test(umask_is_octal),
        cmocka_unit_test(numeric_id_never_means_none),
        cmocka_unit_test(env_names),
        cmocka_unit_test(module_names),
        cmocka_unit_test(application_is_a_file_by_its_slash),
        cmocka_unit_test(an_application_file_may_have_a_callable_behind_it),
        cmocka_unit_test(applications),
        cmocka_unit_test(group_names_are_safe_as_file_names),
        cmocka_unit_test(group_name_from_a_server_name),
        cmocka_unit_test(archives),
        cmocka_unit_test(prefix_loses_its_trailing_slash),
        cmocka_unit_test(prefix_refuses_what_no_path_has),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
