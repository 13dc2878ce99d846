/* SPDX-License-Identifier: Apache-2.0 */
/* Requests at a group's socket that the supervisor refuses, whatever those do who
 * share its descriptor. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/queue.h"

static struct stage {
    cgwd_loop *loop;
    cgwd_queue queue;
    int listener;
    struct sockaddr_un address;
    socklen_t size;
} stage;

/* An abstract name: nothing is left of it. */
static int set_up(void **state)
{
    (void)state;
    stage = (struct stage){.loop = cgwd_loop_create(),
                           .address = {.sun_family = AF_UNIX}};
    stage.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(stage.address.sun_path + 1, sizeof(stage.address.sun_path) - 1,
             "cgw-test-%ld", (long)getpid());
    stage.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1
                             + strlen(stage.address.sun_path + 1));
    assert_int_equal(bind(stage.listener, (struct sockaddr *)&stage.address,
                          stage.size), 0);
    assert_int_equal(listen(stage.listener, 100), 0);
    cgwd_queue_init(&stage.queue, stage.loop, "shop");
    cgwd_queue_set(&stage.queue, stage.listener);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cgwd_queue_leave(&stage.queue);
    close(stage.listener);
    cgwd_loop_destroy(stage.loop);
    return 0;
}

static int ask(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&stage.address, stage.size), 0);
    return fd;
}

/* Whether it has been refused; closes it then. */
static int is_refused(int fd)
{
    char answer[512] = "";
    ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

    if (n <= 0) {
        return 0;
    }
    assert_non_null(memmem(answer, (size_t)n, "group shop is busy", 18));
    close(fd);
    return 1;
}

static void stop_loop(cgwd_timer *timer)
{
    cgwd_loop_stop(timer->owner);
}

/* Turns of the loop for so many ms. */
static void go_on(int64_t ms)
{
    cgwd_timer stop = {.handle = stop_loop, .owner = stage.loop};

    cgwd_timer_set(stage.loop, &stop, ms);
    cgwd_loop_run(stage.loop);
    cgwd_timer_clear(stage.loop, &stop);
}

static void await_refusal(int fd)
{
    while (!is_refused(fd)) {
        go_on(1);
    }
}

static void more_than_a_turn_s_worth_are_refused(void **state)
{
    int fds[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        fds[i] = ask();
    }
    assert_true(cgwd_queue_is_waiting(&stage.queue));
    cgwd_queue_refuse(&stage.queue, "is busy", NULL);
    for (int i = 0; i < 100; i++) {
        await_refusal(fds[i]);
    }
    assert_false(cgwd_queue_is_waiting(&stage.queue));
}

/* A process of the group that says again and again that accept() is to wait. */
static pid_t start_meddler(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            fcntl(stage.listener, F_SETFL, 0);
        }
    }
    return pid;
}

static void nobody_has_the_supervisor_wait(void **state)
{
    pid_t pid = start_meddler();

    (void)state;
    cgwd_queue_refuse(&stage.queue, "is busy", NULL);
    for (int i = 0; i < 20; i++) {
        await_refusal(ask());
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void without_descriptors_it_does_not_spin(void **state)
{
    int fd = ask(), next = dup(0);
    struct rlimit former, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &former), 0);
    none = former;
    none.rlim_cur = (rlim_t)next;
    close(next);
    cgwd_queue_refuse(&stage.queue, "is busy", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    go_on(0);
    assert_int_not_equal(stage.queue.pause.slot, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &former), 0);
    await_refusal(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(more_than_a_turn_s_worth_are_refused),
        TEST(nobody_has_the_supervisor_wait),
        TEST(without_descriptors_it_does_not_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
