/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter lock that nobody gets: what counts as a sign of it. Here there is no
 * Python, and nobody who answers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgw_clock.h"
#include "cgw_control.h"
#include "worker/watchdog.h"

#define THREADS 2
#define DEADLOCK_US 1000000u

static struct stage {
    struct cgww_watchdog watchdog;
    struct cgww_connection conns[THREADS];
    struct cgw_slot *slots;
    int supervisor;             /* reads what the watchdog tells it */
} stage;

static void claim_control(int *supervisor)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    *supervisor = fcntl(pair[0], F_DUPFD_CLOEXEC, 10);
    assert_int_equal(dup2(pair[1], CGW_CONTROL_FD), CGW_CONTROL_FD);
    for (int i = 0; i < 2; i++) {
        if (pair[i] != CGW_CONTROL_FD) {
            close(pair[i]);
        }
    }
}

static int set_up(void **state)
{
    struct cgww_watchdog_options options = {
        .threads = THREADS, .deadlock_us = DEADLOCK_US, .group = "shop",
        .stack = {.signal = SIGRTMAX - 1, .file = memfd_create("stack", 0)}};

    (void)state;
    memset(&stage, 0, sizeof(stage));
    claim_control(&stage.supervisor);
    stage.slots = calloc(THREADS, sizeof(*stage.slots));
    assert_int_equal(cgww_watchdog_start(&stage.watchdog, &options), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(cgww_connection_init(&stage.conns[i]), 0);
        stage.conns[i].slot = &stage.slots[i];
        CGW_SLOT_SET(&stage.slots[i], state, CGW_SLOT_IDLE);
        cgww_watchdog_enlist(&stage.watchdog, i, &stage.conns[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cgww_watchdog_stop(&stage.watchdog);
    for (unsigned i = 0; i < THREADS; i++) {
        cgww_connection_destroy(&stage.conns[i]);
    }
    close(stage.watchdog.stack.file);
    close(stage.supervisor);
    close(CGW_CONTROL_FD);
    free(stage.slots);
    return 0;
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    nanosleep(&time, NULL);
}

/* Has it told the supervisor? */
static int has_told(int flags)
{
    struct cgw_message message;

    if (recv(stage.supervisor, &message, sizeof(message), flags) < 0) {
        return 0;
    }
    assert_int_equal(message.type, CGW_MSG_DEADLOCKED);
    assert_true(message.arg >= DEADLOCK_US / 1000);
    return 1;
}

/* A thread begins a request, and gets the lock, or not. */
static void begin(unsigned n, enum cgw_slot_state state)
{
    CGW_SLOT_SET(&stage.slots[n], started, cgw_clock_us());
    CGW_SLOT_SET(&stage.slots[n], state, state);
    cgww_watchdog_note(&stage.watchdog, 0);
}

static void end(unsigned n)
{
    CGW_SLOT_ADD(&stage.slots[n], requests, 1);
    CGW_SLOT_SET(&stage.slots[n], started, 0);
    CGW_SLOT_SET(&stage.slots[n], state, CGW_SLOT_IDLE);
}

static void nobody_gets_the_lock(void **state)
{
    (void)state;
    begin(0, CGW_SLOT_RUNNING);
    begin(1, CGW_SLOT_LOCKING);
    assert_true(has_told(0));
}

/* Twice as long as the time in which it would be a deadlock. */
#define ROUNDS 200
#define ROUND_MS 10

static void requests_that_end_are_a_sign_of_life(void **state)
{
    (void)state;
    begin(1, CGW_SLOT_RUNNING);
    for (int i = 0; i < ROUNDS; i++) {
        begin(0, CGW_SLOT_RUNNING);
        pause_ms(ROUND_MS);
        end(0);
        assert_false(has_told(MSG_DONTWAIT));
    }
    assert_true(has_told(0));
}

static void requests_that_begin_to_run_are_a_sign_of_life(void **state)
{
    (void)state;
    begin(1, CGW_SLOT_RUNNING);
    for (int i = 0; i < ROUNDS; i++) {
        begin(0, i % 2 ? CGW_SLOT_CLIENT : CGW_SLOT_RUNNING);
        pause_ms(ROUND_MS);
        assert_false(has_told(MSG_DONTWAIT));
    }
    assert_true(has_told(0));
}

static void requests_that_only_come_are_none(void **state)
{
    (void)state;
    begin(1, CGW_SLOT_RUNNING);
    while (!has_told(MSG_DONTWAIT)) {
        begin(0, CGW_SLOT_LOCKING);
        pause_ms(ROUND_MS);
    }
}

#define SPINNERS 4
#define LESS_THAN_THEY 10

static atomic_int ends;

/* Keeps the lock, and computes, on the one processor that it may use. */
static void *compute(void *data)
{
    cpu_set_t one;

    (void)data;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    setpriority(PRIO_PROCESS, (id_t)gettid(), LESS_THAN_THEY);
    atomic_store(&ends, 1 + sched_getcpu());
    while (atomic_load(&ends) >= 0) {
    }
    return NULL;
}

/* A process that wants that processor, too. */
static pid_t spin(int processor)
{
    pid_t pid = fork();

    if (pid == 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        sched_setaffinity(0, sizeof(one), &one);
        alarm(60);
        for (;;) {
        }
    }
    return pid;
}

/* With a thirtieth of the processor it has computed for a small part of the time in
 * which it would be a deadlock. */
static void who_has_no_processor_is_not_deadlocked(void **state)
{
    pid_t spinners[SPINNERS];
    pthread_t thread;
    int processor;

    (void)state;
    atomic_store(&ends, 0);
    assert_int_equal(pthread_create(&thread, NULL, compute, NULL), 0);
    while (!(processor = atomic_load(&ends))) {
        sched_yield();
    }
    for (int i = 0; i < SPINNERS; i++) {
        spinners[i] = spin(processor - 1);
    }
    begin(0, CGW_SLOT_RUNNING);
    for (int i = 0; i < ROUNDS; i++) {
        pause_ms(ROUND_MS);
        assert_false(has_told(MSG_DONTWAIT));
    }
    for (int i = 0; i < SPINNERS; i++) {
        kill(spinners[i], SIGKILL);
        waitpid(spinners[i], NULL, 0);
    }
    assert_true(has_told(0));
    atomic_store(&ends, -1);
    pthread_join(thread, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_gets_the_lock),
        TEST(requests_that_end_are_a_sign_of_life),
        TEST(requests_that_begin_to_run_are_a_sign_of_life),
        TEST(requests_that_only_come_are_none),
        TEST(who_has_no_processor_is_not_deadlocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
