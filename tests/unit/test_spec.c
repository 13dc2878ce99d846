/* SPDX-License-Identifier: Apache-2.0 */
/* The group's spec between module and supervisor. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "cgw_spec.h"

static apr_pool_t *pool;

static cgw_spec *sample(void)
{
    cgw_spec *spec = cgw_spec_create(pool);

    spec->name = "shop.example.com";
    spec->application = "shop.wsgi";
    spec->threads = 3;
    APR_ARRAY_PUSH(spec->path, const char *) = "/srv/shop";
    APR_ARRAY_PUSH(spec->env, const char *) = "A=1";
    APR_ARRAY_PUSH(spec->env, const char *) = "EMPTY=";
    return spec;
}

static apr_array_header_t *encoded(const cgw_spec *spec)
{
    apr_array_header_t *bytes = apr_array_make(pool, 16, sizeof(char));

    cgw_spec_encode(spec, bytes);
    return bytes;
}

static void specs_one_after_another_round_trip(void **state)
{
    apr_array_header_t *bytes = encoded(sample());
    cgw_spec *out;
    apr_size_t pos = 0;

    (void)state;
    cgw_spec_encode(sample(), bytes);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cgw_spec_decode(&out, bytes->elts,
                                         (apr_size_t)bytes->nelts, &pos, pool),
                         APR_SUCCESS);
        assert_string_equal(out->name, "shop.example.com");
        assert_null(out->settings);
        assert_int_equal(out->threads, 3);
        assert_int_equal(out->uid, -1);
        assert_int_equal(out->env->nelts, 2);
        assert_string_equal(APR_ARRAY_IDX(out->env, 1, const char *), "EMPTY=");
    }
    assert_int_equal(pos, bytes->nelts);
}

static void every_truncation_is_refused(void **state)
{
    apr_array_header_t *bytes = encoded(sample());
    cgw_spec *out;

    (void)state;
    for (apr_size_t n = 0; n < (apr_size_t)bytes->nelts; n++) {
        char *copy = malloc(n ? n : 1);
        apr_size_t pos = 0;
        memcpy(copy, bytes->elts, n);
        assert_int_equal(cgw_spec_decode(&out, copy, n, &pos, pool),
                         APR_EINVAL);
        assert_int_equal(pos, 0);
        free(copy);
    }
}

static void every_flipped_byte_is_survived(void **state)
{
    apr_array_header_t *bytes = encoded(sample());
    cgw_spec *out;

    (void)state;
    for (int i = 0; i < bytes->nelts; i++) {
        apr_size_t pos = 0;
        bytes->elts[i] = (char)~bytes->elts[i];
        cgw_spec_decode(&out, bytes->elts, (apr_size_t)bytes->nelts, &pos, pool);
        assert_true(pos <= (apr_size_t)bytes->nelts);
        bytes->elts[i] = (char)~bytes->elts[i];
    }
}

static void digest_tells_any_difference(void **state)
{
    cgw_spec *a = sample(), *b = sample();

    (void)state;
    assert_string_equal(cgw_spec_digest(a, pool), cgw_spec_digest(b, pool));
    assert_int_equal(strlen(cgw_spec_digest(a, pool)), CGW_DIGEST_HEX);
    b->umask = 022;
    assert_string_not_equal(cgw_spec_digest(a, pool), cgw_spec_digest(b, pool));
    b = sample();
    b->settings = "";
    assert_string_not_equal(cgw_spec_digest(a, pool), cgw_spec_digest(b, pool));
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
        cmocka_unit_test(specs_one_after_another_round_trip),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(digest_tells_any_difference),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
