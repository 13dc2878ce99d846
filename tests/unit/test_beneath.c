/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module/beneath.h"

/* base/root/sub/file, base/secret, and links of all kinds */
static char base[] = "/tmp/cgw-beneath.XXXXXX";
static char root[64];

typedef int (*opener)(const char *directory, const char *path);

static const char *in_base(const char *name)
{
    static char path[8][256];
    static int turn;

    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", base, name);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    int fd = open(in_base(name), O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(base));
    snprintf(root, sizeof(root), "%s/root", base);
    assert_int_equal(mkdir(root, 0700), 0);
    assert_int_equal(mkdir(in_base("root/sub"), 0700), 0);
    assert_int_equal(mkdir(in_base("rootless"), 0700), 0);
    write_file("root/sub/file", "inside");
    write_file("root/other", "inside");
    write_file("rootless/file", "outside");
    write_file("secret", "outside");
    assert_int_equal(symlink("sub/file", in_base("root/link")), 0);
    assert_int_equal(symlink("../root/sub/file", in_base("root/out-and-in")), 0);
    assert_int_equal(symlink("../secret", in_base("root/escape")), 0);
    assert_int_equal(symlink("..", in_base("root/up")), 0);
    assert_int_equal(symlink(in_base("secret"), in_base("root/absolute")), 0);
    assert_int_equal(symlink(in_base("root/other"), in_base("root/absolute-in")), 0);
    assert_int_equal(symlink("/proc/self/root", in_base("root/magic")), 0);
    assert_int_equal(symlink("loop", in_base("root/loop")), 0);
    assert_int_equal(mkfifo(in_base("root/fifo"), 0600), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", base);
    return system(command);
}

/* What a file has to say, or the errno. */
static const char *content(opener open_beneath, const char *directory,
                           const char *path)
{
    static char text[64];
    int fd = open_beneath(directory, path);
    ssize_t n;

    if (fd < 0) {
        return strerrorname_np(errno);
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static const opener both[] = {cgwm_beneath_open, cgwm_beneath_open_strictly};

static void files_below_are_opened(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_string_equal(content(both[i], root, in_base("root/sub/file")), "inside");
        assert_string_equal(content(both[i], root, in_base("root//sub///file")), "inside");
        assert_string_equal(content(both[i], root, in_base("root/./other")), "inside");
        assert_string_equal(content(both[i], in_base("root/"), in_base("root/other")),
                            "inside");
        assert_string_equal(content(both[i], "/", in_base("secret")), "outside");
    }
}

static void what_is_spelled_elsewhere_is_outside(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_string_equal(content(both[i], root, in_base("secret")), "EXDEV");
        assert_string_equal(content(both[i], root, in_base("rootless/file")), "EXDEV");
        assert_string_equal(content(both[i], root, root), "EXDEV");
        assert_string_equal(content(both[i], root, in_base("root/")), "EXDEV");
        assert_string_equal(content(both[i], root, "root/other"), "EXDEV");
        assert_string_equal(content(both[i], root, "other"), "EXDEV");
        assert_string_equal(content(both[i], root, ""), "EXDEV");
    }
}

static void dots_and_links_do_not_lead_out(void **state)
{
    static const char *const ways[] = {
        "root/../secret", "root/sub/../../secret", "root/up/secret", "root/escape",
        "root/absolute", "root/absolute-in", "root/magic/etc/passwd", "root/out-and-in"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        for (size_t n = 0; n < sizeof(ways) / sizeof(ways[0]); n++) {
            int fd = both[i](root, in_base(ways[n]));
            int error = errno;
            if (fd >= 0) {
                fail_msg("%s was opened", ways[n]);
            }
            assert_true(error == EXDEV || error == ELOOP || error == ENOTDIR);
        }
        assert_string_equal(content(both[i], root, in_base("root/loop")), "ELOOP");
    }
    assert_string_equal(content(cgwm_beneath_open, root, in_base("root/link")),
                        "inside");
    assert_string_equal(content(cgwm_beneath_open_strictly, root,
                                in_base("root/link")), "ELOOP");
}

static void only_files_and_nothing_waits(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_string_equal(content(both[i], root, in_base("root/sub")), "EISDIR");
        assert_string_equal(content(both[i], root, in_base("root/fifo")), "EINVAL");
        assert_string_equal(content(both[i], "/dev", "/dev/null"), "EINVAL");
        assert_string_equal(content(both[i], root, in_base("root/nothing")), "ENOENT");
        assert_string_equal(content(both[i], root, in_base("root/other/x")), "ENOTDIR");
        assert_string_equal(content(both[i], in_base("nothing"), in_base("nothing/x")),
                            "ENOENT");
    }
}

static atomic_int swapping;

/* root/swap is a directory of the root at one moment, a link out at the next. */
static void *swap(void *unused)
{
    assert_int_equal(mkdir(in_base("root/good"), 0700), 0);
    assert_int_equal(rename(in_base("root/other"), in_base("root/good/file")), 0);
    assert_int_equal(symlink("../rootless", in_base("root/bad")), 0);
    while (atomic_load(&swapping)) {
        rename(in_base("root/good"), in_base("root/swap"));
        rename(in_base("root/swap"), in_base("root/good"));
        rename(in_base("root/bad"), in_base("root/swap"));
        rename(in_base("root/swap"), in_base("root/bad"));
    }
    return unused;
}

static void a_link_that_is_swapped_in_does_not_lead_out(void **state)
{
    pthread_t thread;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/root/swap/file", base);
    atomic_store(&swapping, 1);
    assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
    for (int n = 0; n < 20000; n++) {
        assert_string_not_equal(content(both[n % 2], root, path), "outside");
    }
    atomic_store(&swapping, 0);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_below_are_opened),
        cmocka_unit_test(what_is_spelled_elsewhere_is_outside),
        cmocka_unit_test(dots_and_links_do_not_lead_out),
        cmocka_unit_test(only_files_and_nothing_waits),
        cmocka_unit_test(a_link_that_is_swapped_in_does_not_lead_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
