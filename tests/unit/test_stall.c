/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that do not run: which are replaced, and when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgw_clock.h"
#include "daemon/history.h"
#include "tests/fuzz/supervisor.h"

#define THREADS 2

/* Nothing can be started; who asks has to live with it. */
pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    (void)spawn;
    (void)p;
    *what = NULL;
    errno = EAGAIN;
    return -1;
}

static struct stage {
    cgwd_supervisor *sup;
    cgwd_generation gen;
    cgwd_process proc;
    struct cgw_scoreboard *writer;
} stage;

/* A worker that serves. */
static int set_up(void **state)
{
    cgwd_group *group;
    int fd;

    (void)state;
    stage = (struct stage){.sup = make_supervisor()};
    group = make_group(stage.sup, 1);
    stage.gen = (cgwd_generation){.sup = stage.sup, .group = group,
                                  .pool = group->pool, .spec = group->spec,
                                  .state = CGWD_GENERATION_SERVING,
                                  .processes = &stage.proc};
    stage.proc = (cgwd_process){.sup = stage.sup, .generation = &stage.gen,
                                .pid = getpid(), .state = CGWD_PROCESS_SERVING};
    cgwd_stall_init(&stage.proc);
    fd = cgwd_board_open(&stage.proc.board, THREADS);
    stage.writer = cgw_scoreboard_map(fd, THREADS, 1);
    close(fd);
    assert_non_null(stage.writer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cgwd_stall_end(&stage.proc);
    cgwd_board_close(&stage.proc.board);
    cgw_scoreboard_unmap(stage.writer, THREADS);
    return 0;
}

static struct cgw_slot *slot(void)
{
    return cgw_scoreboard_slot(stage.writer, 1);
}

/* A request that began so many seconds ago, and may take `limit` of them. */
static void run(unsigned ago, unsigned limit)
{
    uint64_t started = cgw_clock_us() - ago * 1000000ull;

    CGW_SLOT_SET(slot(), started, started);
    CGW_SLOT_SET(slot(), deadline, limit ? started + limit * 1000000ull : 0);
    CGW_SLOT_SET(slot(), state, CGW_SLOT_RUNNING);
}

static void watch(void)
{
    CGW_SLOT_ADD(slot(), watched, 1);
}

/* Looks until the worker is replaced: how many times; 0: never. */
static unsigned looks_until_replaced(void)
{
    for (unsigned n = 1; n <= 100; n++) {
        cgwd_stall_look(&stage.proc);
        if (stage.proc.leaving) {
            return n;
        }
    }
    return 0;
}

static void a_late_request_that_the_watchdog_does_not_look_at(void **state)
{
    (void)state;
    run(20, 10);
    watch();
    /* the first one sees what the watchdog did before */
    assert_int_equal(looks_until_replaced(), 2);
    assert_string_equal(stage.proc.leaving, "CGatewayRequestTimeout");
}

static void a_late_request_is_the_watchdog_s_own_as_long_as_it_looks(void **state)
{
    (void)state;
    run(20, 10);
    for (int i = 0; i < 100; i++) {
        watch();
        cgwd_stall_look(&stage.proc);
        assert_null(stage.proc.leaving);
    }
}

static void a_request_without_time_has_that_of_a_deadlock(void **state)
{
    (void)state;
    stage.gen.spec->deadlock_timeout = 6LL * CGWD_SAMPLE_MS;
    run(1000, 0);
    watch();
    assert_int_equal(looks_until_replaced(), 7);
    assert_string_equal(stage.proc.leaving, "CGatewayDeadlockTimeout");
}

static void what_runs_in_between_begins_anew(void **state)
{
    (void)state;
    stage.gen.spec->deadlock_timeout = 2LL * CGWD_SAMPLE_MS;
    run(1000, 0);
    for (int i = 0; i < 100; i++) {
        if (i % 2 == 0) {
            watch();
        }
        cgwd_stall_look(&stage.proc);
        assert_null(stage.proc.leaving);
    }
}

/* As after docker unpause: the supervisor may look before the watchdog does. */
static void a_look_that_comes_late_itself_tells_nothing(void **state)
{
    (void)state;
    run(20, 10);
    watch();
    cgwd_stall_look(&stage.proc);
    for (int i = 0; i < 10; i++) {
        stage.proc.stall.looked -= CGWD_SAMPLE_MS + 1000;
        cgwd_stall_look(&stage.proc);
        assert_null(stage.proc.leaving);
    }
    assert_int_equal(looks_until_replaced(), 1);
}

static void who_is_left_alone(void **state)
{
    enum { NO_TIMES, IDLE, DRAINING, LEAVING, KILLED, ENDING, CASES };

    for (int which = 0; which < CASES; which++) {
        set_up(state);
        stage.gen.spec->deadlock_timeout = which == NO_TIMES ? 0 : CGWD_SAMPLE_MS;
        run(which == IDLE ? 0 : 20, which == NO_TIMES ? 0 : 10);
        if (which == IDLE) {
            CGW_SLOT_SET(slot(), started, 0);
        }
        stage.proc.state = which == DRAINING ? CGWD_PROCESS_DRAINING
                                             : CGWD_PROCESS_SERVING;
        stage.proc.killed = which == KILLED;
        if (which == ENDING) {
            stage.gen.state = CGWD_GENERATION_DRAINING;
        }
        if (which == LEAVING) {
            stage.proc.leaving = "before";
        }
        for (int i = 0; i < 10; i++) {
            cgwd_stall_look(&stage.proc);
        }
        if (which == LEAVING) {
            assert_string_equal(stage.proc.leaving, "before");
        }
        else {
            assert_null(stage.proc.leaving);
        }
        tear_down(state);
    }
}

static void stopped_and_continued(void **state)
{
    pid_t pid = getpid();

    (void)state;
    stage.gen.spec->deadlock_timeout = 1;
    cgwd_stall_take(stage.sup, pid, 1); /* nobody's */
    assert_int_equal(stage.proc.stall.stopped.slot, 0);
    apr_hash_set(stage.sup->processes, &stage.proc.pid, sizeof(pid), &stage.proc);
    cgwd_stall_take(stage.sup, pid, 1);
    assert_int_not_equal(stage.proc.stall.stopped.slot, 0);
    cgwd_stall_take(stage.sup, pid, 0);
    assert_int_equal(stage.proc.stall.stopped.slot, 0);
    cgwd_stall_take(stage.sup, pid, 1);
    stage.proc.stall.stopped.handle(&stage.proc.stall.stopped);
    assert_string_equal(stage.proc.leaving, "CGatewayDeadlockTimeout");
    stage.gen.spec->deadlock_timeout = 0;
    cgwd_stall_take(stage.sup, pid, 1);
    assert_int_equal(stage.proc.stall.stopped.slot, 0);
}

static void the_letters_of_proc(void **state)
{
    const struct { char letter; int has_word; } rows[] = {
        {'T', 1}, {'t', 1}, {'D', 1}, {'R', 0}, {'S', 0}, {'Z', 0}, {'?', 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(cgwd_stall_word(rows[i].letter) != NULL, rows[i].has_word);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_late_request_that_the_watchdog_does_not_look_at),
        TEST(a_late_request_is_the_watchdog_s_own_as_long_as_it_looks),
        TEST(a_request_without_time_has_that_of_a_deadlock),
        TEST(what_runs_in_between_begins_anew),
        TEST(a_look_that_comes_late_itself_tells_nothing),
        cmocka_unit_test(who_is_left_alone),
        TEST(stopped_and_continued),
        cmocka_unit_test(the_letters_of_proc),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
