/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches an error log, whatever a worker prints. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/log.h"

static void prefix_is_httpds(void **state)
{
    struct timespec when = {.tv_sec = 86400 * 3, .tv_nsec = 42000};
    char out[128];

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    cgwd_log_prefix(out, sizeof(out), &when, CGWD_NOTICE, 77);
    assert_string_equal(out, "[Sun Jan 04 00:00:00.000042 1970] "
                             "[cgateway:notice] [pid 77] ");
}

static void control_characters_cannot_forge_a_line(void **state)
{
    char out[64];
    size_t n = cgwd_log_escape(out, sizeof(out), "a\tb\r\n\x1b[2Jc\0d", 12);

    (void)state;
    assert_string_equal(out, "a\tb\\x0d\\x0a\\x1b[2Jc\\x00d");
    assert_int_equal(n, strlen(out));
}

static void utf8_stays_readable(void **state)
{
    char out[64];

    (void)state;
    cgwd_log_escape(out, sizeof(out), "caf\xc3\xa9", 5);
    assert_string_equal(out, "caf\xc3\xa9");
}

static void escape_never_writes_beyond_its_room(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++) {
        char *out = malloc(size);
        size_t n = cgwd_log_escape(out, size, "\n\n\n\n\n\n\n\n\n\n", 10);
        assert_true(n < size);
        assert_int_equal(out[n], '\0');
        free(out);
    }
}

static void a_line_goes_out_whole(void **state)
{
    char long_line[CGWD_LINE_MAX];
    char out[2 * CGWD_LINE_MAX];
    int fds[2];

    (void)state;
    memset(long_line, 'x', sizeof(long_line));
    assert_int_equal(pipe(fds), 0);
    cgwd_log_output(fds[1], 5, "shop", long_line, sizeof(long_line));
    cgwd_log(fds[1], CGWD_ERROR, "%s: %d", "two", 2);
    close(fds[1]);
    ssize_t n = 0, got;
    while ((got = read(fds[0], out + n, sizeof(out) - (size_t)n)) > 0) {
        n += got;
    }
    close(fds[0]);
    out[n] = '\0';
    assert_non_null(strstr(out, "[cgateway:error] [pid 5] shop: xxxx"));
    assert_non_null(strstr(out, "xxxx\n["));
    assert_non_null(strstr(out, "] two: 2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_is_httpds),
        cmocka_unit_test(control_characters_cannot_forge_a_line),
        cmocka_unit_test(utf8_stays_readable),
        cmocka_unit_test(escape_never_writes_beyond_its_room),
        cmocka_unit_test(a_line_goes_out_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
