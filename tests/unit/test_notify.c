/* SPDX-License-Identifier: Apache-2.0 */
/* Watched directories: rounds, shared ones, ones that vanish or never rest. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/notify.h"

#define SEEN_MAX 64

typedef struct witness {
    cgwd_subscriber subscriber;
    char seen[SEEN_MAX][32];    /* "name" or, not settled, "name?" */
    int nseen;
} witness;

static apr_pool_t *pool;
static cgwd_loop *loop;
static cgwd_notify *notify;
static int overflows;
static char dir[64];

static void note(cgwd_subscriber *subscriber, const char *name, int settled)
{
    witness *w = subscriber->owner;

    if (w->nseen < SEEN_MAX) {
        snprintf(w->seen[w->nseen++], sizeof(w->seen[0]), "%.20s%s", name,
                 settled ? "" : "?");
    }
}

static void count_overflow(void *data)
{
    (void)data;
    overflows++;
}

static witness *make_witness(void)
{
    witness *w = apr_pcalloc(pool, sizeof(*w));

    w->subscriber.owner = w;
    w->subscriber.changed = note;
    return w;
}

static int add(witness *w, const char *path, const char *name)
{
    int fd = open(path, O_PATH | O_DIRECTORY);
    int rv = cgwd_notify_add(notify, &w->subscriber, fd, name);

    close(fd);
    return rv;
}

static void watch_only(witness *w, const char *path, const char *name)
{
    cgwd_notify_begin(&w->subscriber);
    assert_int_equal(add(w, path, name), 0);
    cgwd_notify_end(notify, &w->subscriber);
}

static void stop_loop(cgwd_timer *timer)
{
    (void)timer;
    cgwd_loop_stop(loop);
}

/* Events of what has happened are there at once. */
static void deliver(void)
{
    cgwd_timer timer = {.handle = stop_loop};

    cgwd_timer_set(loop, &timer, 0);
    cgwd_loop_run(loop);
}

static const char *at(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static void write_file(const char *name)
{
    FILE *file = fopen(at(name), "w");

    assert_non_null(file);
    fputs("x", file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    snprintf(dir, sizeof(dir), "/tmp/cgw-notify-XXXXXX");
    overflows = 0;
    loop = cgwd_loop_create();
    notify = cgwd_notify_create(loop, count_overflow, NULL, pool);
    return mkdtemp(dir) && loop && notify ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[96];

    (void)state;
    apr_pool_destroy(pool);
    cgwd_loop_destroy(loop);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? -1 : 0;
}

static void only_the_wanted_name_is_told(void **state)
{
    witness *w = make_witness();

    (void)state;
    watch_only(w, dir, "wanted");
    write_file("other");
    write_file("wanted");
    deliver();
    assert_string_equal(w->seen[0], "wanted?");
    assert_string_equal(w->seen[w->nseen - 1], "wanted");
    for (int i = 0; i < w->nseen; i++) {
        assert_true(strncmp(w->seen[i], "wanted", 6) == 0);
    }
}

static void a_replaced_or_touched_file_is_settled(void **state)
{
    witness *w = make_witness();

    (void)state;
    write_file("new");
    write_file("app");
    watch_only(w, dir, "app");
    assert_int_equal(rename(at("new"), at("app")), 0);
    deliver();
    assert_int_equal(w->nseen, 1);
    assert_string_equal(w->seen[0], "app");
    assert_int_equal(utimensat(AT_FDCWD, at("app"), NULL, 0), 0);
    deliver();
    assert_int_equal(w->nseen, 2);
    assert_int_equal(unlink(at("app")), 0);
    deliver();
    assert_string_equal(w->seen[w->nseen - 1], "app");
}

static void two_groups_share_a_directory_and_leave_it_one_by_one(void **state)
{
    witness *one = make_witness(), *two = make_witness();

    (void)state;
    watch_only(one, dir, "app");
    watch_only(two, dir, "app");
    mkdir(at("app"), 0700);
    deliver();
    assert_int_equal(one->nseen, 1);
    assert_int_equal(two->nseen, 1);
    cgwd_notify_remove(notify, &one->subscriber);
    assert_null(one->subscriber.interests);
    chmod(at("app"), 0755);
    deliver();
    assert_int_equal(one->nseen, 1);
    assert_int_equal(two->nseen, 2);
    cgwd_notify_remove(notify, &two->subscriber);
    chmod(at("app"), 0700);
    deliver();
    assert_int_equal(two->nseen, 2);
}

static void a_round_forgets_what_it_does_not_repeat(void **state)
{
    witness *w = make_witness();

    (void)state;
    write_file("kept");
    write_file("gone");
    cgwd_notify_begin(&w->subscriber);
    assert_int_equal(add(w, dir, "kept"), 0);
    assert_int_equal(add(w, dir, "gone"), 0);
    cgwd_notify_end(notify, &w->subscriber);
    cgwd_notify_begin(&w->subscriber);
    assert_int_equal(add(w, dir, "kept"), 0);
    chmod(at("kept"), 0600); /* in the middle of a round nothing is missed */
    cgwd_notify_end(notify, &w->subscriber);
    chmod(at("gone"), 0600);
    deliver();
    assert_int_equal(w->nseen, 1);
    assert_string_equal(w->seen[0], "kept");
}

static void a_removed_directory_is_forgotten_and_can_be_watched_anew(void **state)
{
    witness *w = make_witness();

    (void)state;
    mkdir(at("sub"), 0700);
    watch_only(w, at("sub"), "app");
    rmdir(at("sub"));
    deliver();
    assert_null(w->subscriber.interests);
    mkdir(at("sub"), 0700);
    watch_only(w, at("sub"), "app");
    write_file("sub/app");
    deliver();
    assert_string_equal(w->seen[w->nseen - 1], "app");
}

static void what_is_no_directory_is_refused(void **state)
{
    witness *w = make_witness();
    int fd;

    (void)state;
    write_file("file");
    fd = open(at("file"), O_PATH);
    assert_int_equal(cgwd_notify_add(notify, &w->subscriber, fd, "app"), ENOTDIR);
    close(fd);
    assert_int_equal(cgwd_notify_add(notify, &w->subscriber, 999, "app"), ENOENT);
    assert_null(w->subscriber.interests);
}

/* Alternating names, so that the kernel cannot merge the events. */
static void flood(int fd)
{
    for (int i = 0; i < 40000; i++) {
        if (linkat(fd, "a", fd, i % 2 ? "b" : "c", 0) == 0) {
            unlinkat(fd, i % 2 ? "b" : "c", 0);
        }
    }
}

static void a_directory_that_never_rests_loses_its_watch_alone(void **state)
{
    witness *calm = make_witness(), *busy = make_witness();
    int fd;

    (void)state;
    mkdir(at("busy"), 0700);
    write_file("busy/a");
    watch_only(calm, dir, "app");
    watch_only(busy, at("busy"), "app");
    fd = open(at("busy"), O_RDONLY | O_DIRECTORY);
    flood(fd);
    close(fd);
    while (!overflows) {
        deliver();
    }
    assert_null(busy->subscriber.interests);
    assert_non_null(calm->subscriber.interests);
    write_file("app");
    deliver();
    assert_true(calm->nseen > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(only_the_wanted_name_is_told),
        T(a_replaced_or_touched_file_is_settled),
        T(two_groups_share_a_directory_and_leave_it_one_by_one),
        T(a_round_forgets_what_it_does_not_repeat),
        T(a_removed_directory_is_forgotten_and_can_be_watched_anew),
        T(what_is_no_directory_is_refused),
        T(a_directory_that_never_rests_loses_its_watch_alone),
#undef T
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
