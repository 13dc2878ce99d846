/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a group's processes: clean, its own, nothing else. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <cmocka.h>

#include "daemon/environment.h"

static apr_pool_t *pool;

static const char *find(char **env, const char *name)
{
    size_t len = strlen(name);

    for (; *env; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return *env + len + 1;
        }
    }
    return NULL;
}

static cgw_spec *sample(void)
{
    cgw_spec *spec = cgw_spec_create(pool);

    spec->user = "shop";
    spec->home = "/home/shop";
    spec->settings = "shop.settings";
    return spec;
}

static void base_is_there_and_nothing_leaks(void **state)
{
    char **env;

    (void)state;
    setenv("CGW_TEST_SECRET", "1", 1);
    unsetenv("TZ");
    env = cgwd_environment(sample(), pool);
    assert_string_equal(find(env, "LANG"), "C.UTF-8");
    assert_string_equal(find(env, "HOME"), "/home/shop");
    assert_string_equal(find(env, "USER"), "shop");
    assert_string_equal(find(env, "LOGNAME"), "shop");
    assert_string_equal(find(env, "DJANGO_SETTINGS_MODULE"), "shop.settings");
    assert_non_null(find(env, "PATH"));
    assert_null(find(env, "CGW_TEST_SECRET"));
    assert_null(find(env, "TZ"));
}

static void time_zone_is_passed_where_set(void **state)
{
    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    assert_string_equal(find(cgwd_environment(sample(), pool), "TZ"),
                        "Europe/Berlin");
}

static void configured_variables_win_once(void **state)
{
    cgw_spec *spec = sample();
    char **env;
    int paths = 0;

    (void)state;
    APR_ARRAY_PUSH(spec->env, const char *) = "PATH=/opt/bin";
    APR_ARRAY_PUSH(spec->env, const char *) = "EMPTY=";
    APR_ARRAY_PUSH(spec->env, const char *) = "PATHS=x";
    env = cgwd_environment(spec, pool);
    assert_string_equal(find(env, "PATH"), "/opt/bin");
    assert_string_equal(find(env, "EMPTY"), "");
    assert_string_equal(find(env, "PATHS"), "x");
    for (char **e = env; *e; e++) {
        paths += strncmp(*e, "PATH=", 5) == 0;
    }
    assert_int_equal(paths, 1);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_is_there_and_nothing_leaks),
        cmocka_unit_test(time_zone_is_passed_where_set),
        cmocka_unit_test(configured_variables_win_once),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
