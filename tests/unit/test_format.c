/* SPDX-License-Identifier: Apache-2.0 */

/* daemon/format.c: lines of workers look as httpd's own do by ErrorLogFormat. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/format.h"

static const struct timespec now = {.tv_sec = 1764057600, .tv_nsec = 123456789};

static size_t write_line(char *out, size_t size, const char *format)
{
    const cgwd_line line = {.now = &now, .level = CGWD_WARN, .pid = 42,
                            .server = "www.example.com", .text = "shop: text", .len = 10};

    return cgwd_format_line(out, size, format, &line);
}

static void assert_line(const char *format, const char *expected)
{
    char out[512];
    size_t n = write_line(out, sizeof(out) - 1, format);

    out[n] = '\0';
    assert_string_equal(out, expected);
}

static void known_things_are_shown(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_line("[%t] [%m:%l] [pid %P] %M",
                "[Tue Nov 25 08:00:00 2025] [cgateway:warn] [pid 42] shop: text");
    assert_line("%{u}t %M", "Tue Nov 25 08:00:00.123456 2025 shop: text");
    assert_line("%{cu}t %M", "2025-11-25 08:00:00.123456 shop: text");
    assert_line("100%% %M", "100% shop: text");
    assert_line("%{m}t %{cz}t %M", "Tue Nov 25 08:00:00.123 2025 2025-11-25 08:00:00 "
                                   "+0000 shop: text");
    assert_line("<%v> %-V %M", "<www.example.com> - shop: text");
    assert_line("a\\tb\\ c %M", "a\tb c shop: text");
}

static void what_is_absent_takes_its_field_along(void **state)
{
    (void)state;
    assert_line("[%l] %7F: %E: [client\\ %a] %M% ,\\ referer\\ %{Referer}i",
                "[warn] shop: text");
    assert_line("%L %M", " shop: text");
    assert_line("[%l] {%L} (%a) %l: %M", "[warn] warn: shop: text");
    assert_line("[%l]   %L: %M", "[warn] shop: text");
}

static void a_number_is_the_least_severity(void **state)
{
    (void)state;
    assert_line("[%4l] %7P %M", "[warn] shop: text");
    assert_line("[%5l] %M", " shop: text");
    assert_line("%-9P %M", " shop: text");
}

static void or_is_a_hyphen_or_takes_the_line_along(void **state)
{
    (void)state;
    assert_line("{%-L} %M", "{-} shop: text");
    assert_line("%-a %-{X}i %M", "- - shop: text");
    assert_line("%+L %M", "");
}

static void an_odd_format_does_no_harm(void **state)
{
    static const char *const formats[] = {"", "%", "%%", "%{", "%{x", "%-", "%-+12",
                                          "\\", "% ", " ", "%{}t%", "a\\"};
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        assert_true(write_line(out, sizeof(out), formats[i]) <= sizeof(out));
    }
}

static void it_never_writes_beyond_its_room(void **state)
{
    (void)state;
    for (size_t size = 0; size < 80; size++) {
        char *out = malloc(size + 1); /* a sanitizer sees the rest */
        assert_true(write_line(out, size, "[%t] [%l] %L [pid %P] %M %M") <= size);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_things_are_shown),
        cmocka_unit_test(what_is_absent_takes_its_field_along),
        cmocka_unit_test(a_number_is_the_least_severity),
        cmocka_unit_test(or_is_a_hyphen_or_takes_the_line_along),
        cmocka_unit_test(an_odd_format_does_no_harm),
        cmocka_unit_test(it_never_writes_beyond_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
