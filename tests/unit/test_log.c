/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches an error log, whatever a worker prints. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "between.h"
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

static size_t read_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while ((got = read(fd, out + n, size - 1 - n)) > 0) {
        n += (size_t)got;
    }
    out[n] = '\0';
    return n;
}

static void a_line_goes_out_whole(void **state)
{
    char long_line[CGWD_LINE_MAX];
    char out[2 * CGWD_LINE_MAX];
    int fds[2];
    struct cgw_buf lines = {0};
    cgwd_writer writer = {.facility = LOG_LOCAL7};

    (void)state;
    memset(long_line, 'x', sizeof(long_line));
    assert_int_equal(pipe(fds), 0);
    writer.fd = fds[1];
    cgwd_log_add(&lines, &writer, "shop", CGWD_ERROR, 5, "short", 5);
    cgwd_log_add(&lines, &writer, "shop", CGWD_INFO, 5, long_line, sizeof(long_line));
    cgwd_log_flush(&lines, &writer);
    assert_int_equal(lines.len, 0);
    cgwd_log(&writer, CGWD_ERROR, "%s: %d", "two", 2);
    close(fds[1]);
    read_all(fds[0], out, sizeof(out));
    close(fds[0]);
    assert_non_null(strstr(out, "[cgateway:error] [pid 5] shop: short\n"));
    assert_non_null(strstr(out, "[cgateway:info] [pid 5] shop: xxxx"));
    assert_non_null(strstr(out, "xxxx\n["));
    assert_non_null(strstr(out, "] two: 2\n"));
}

static void the_supervisors_own_lines_have_the_format_of_their_host(void **state)
{
    char out[256];
    int fds[2];
    cgwd_writer writer = {.format = "<www> %l (%a) {%-L}: %M"};

    (void)state;
    assert_int_equal(pipe(fds), 0);
    writer.fd = fds[1];
    cgwd_log(&writer, CGWD_NOTICE, "shop/%d: starting -> ready", 1);
    writer.format = "%+L %M";   /* one that does not want such lines */
    cgwd_log(&writer, CGWD_NOTICE, "not this");
    close(fds[1]);
    read_all(fds[0], out, sizeof(out));
    close(fds[0]);
    assert_string_equal(out, "<www> notice {-}: shop/1: starting -> ready\n");
}

/* As many whole lines as a pipe takes in one piece; a file takes all. */
static void lines_that_belong_together_go_out_together(void **state)
{
    char out[65536], text[100];
    int fds[2];
    struct cgw_buf lines = {0};
    cgwd_writer writer = {0};
    size_t pieces = 0, n = 0;
    ssize_t got;

    (void)state;
    memset(text, 'y', sizeof(text));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    writer.fd = fds[1];
    for (int i = 0; i < 100; i++) {
        cgwd_log_add(&lines, &writer, "shop", CGWD_ERROR, 5, text, sizeof(text));
    }
    cgwd_log_flush(&lines, &writer);
    n = (size_t)read(fds[0], out, sizeof(out));
    assert_true(n > 10000 && out[n - 1] == '\n');
    close(fds[0]);
    close(fds[1]);

    assert_int_equal(pipe2(fds, O_DIRECT), 0); /* keeps pieces apart */
    writer.fd = fds[1];
    for (int i = 0; i < 100; i++) {
        cgwd_log_add(&lines, &writer, "shop", CGWD_ERROR, 5, text, sizeof(text));
    }
    cgwd_log_flush(&lines, &writer);
    close(fds[1]);
    while ((got = read(fds[0], out, sizeof(out))) > 0) {
        assert_true(got > 3000 || pieces >= 4);
        assert_true(out[got - 1] == '\n');
        pieces++;
    }
    assert_between(pieces, 3, 6);
    close(fds[0]);
}

static void syslogs_lines_are_datagrams(void **state)
{
    char out[CGWD_LINE_MAX + 512];
    int fds[2];
    struct cgw_buf lines = {0};
    cgwd_writer writer = {.facility = LOG_LOCAL7, .format = "not %M"};
    ssize_t n;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    writer.fd = fds[1];
    cgwd_log(&writer, CGWD_WARN, "%s", "a\nb");
    n = read(fds[0], out, sizeof(out) - 1);
    out[n] = '\0';
    assert_non_null(strstr(out, "<188>cgateway["));
    assert_non_null(strstr(out, "]: a\\x0ab"));
    writer.facility = LOG_MAIL;
    writer.tag = "shop";
    cgwd_log_add(&lines, &writer, "shop", CGWD_INFO, 7, "text", 4);
    cgwd_log_add(&lines, &writer, "shop", CGWD_ERROR, 7, "more", 4);
    cgwd_log_flush(&lines, &writer);
    n = read(fds[0], out, sizeof(out) - 1);
    out[n] = '\0';
    assert_string_equal(out, "<22>shop[7]: shop: text");
    n = read(fds[0], out, sizeof(out) - 1);
    out[n] = '\0';
    assert_string_equal(out, "<19>shop[7]: shop: more");
    close(fds[0]);
    close(fds[1]);
}

static void a_line_may_begin_with_its_level(void **state)
{
    static const struct {
        const char *line;
        enum cgwd_level level;
        size_t skip;
    } cases[] = {
        {"<7>x", CGWD_DEBUG, 3}, {"<6>x", CGWD_INFO, 3}, {"<5>", CGWD_NOTICE, 3},
        {"<4>x", CGWD_WARN, 3}, {"<3>x", CGWD_ERROR, 3}, {"<0>x", CGWD_ERROR, 3},
        {"<8>x", CGWD_ERROR, 0}, {"<6", CGWD_ERROR, 0}, {"<a>x", CGWD_ERROR, 0},
        {"x", CGWD_ERROR, 0}, {"", CGWD_ERROR, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t skip = 9;
        assert_int_equal(cgwd_log_level(cases[i].line, strlen(cases[i].line), &skip),
                         cases[i].level);
        assert_int_equal(skip, cases[i].skip);
    }
    assert_true(cgwd_log_shows(4, CGWD_WARN));
    assert_false(cgwd_log_shows(4, CGWD_INFO));
    assert_true(cgwd_log_shows(15, CGWD_DEBUG)); /* trace8 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_is_httpds),
        cmocka_unit_test(control_characters_cannot_forge_a_line),
        cmocka_unit_test(utf8_stays_readable),
        cmocka_unit_test(escape_never_writes_beyond_its_room),
        cmocka_unit_test(a_line_goes_out_whole),
        cmocka_unit_test(the_supervisors_own_lines_have_the_format_of_their_host),
        cmocka_unit_test(lines_that_belong_together_go_out_together),
        cmocka_unit_test(a_line_may_begin_with_its_level),
        cmocka_unit_test(syslogs_lines_are_datagrams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
