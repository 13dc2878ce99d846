/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a process that has ended: to whom it is news, what it means for
 * requests, and who ended it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/obituary.h"
#include "tests/fuzz/supervisor.h"

pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    (void)spawn;
    (void)p;
    *what = NULL;
    errno = EAGAIN;
    return -1;
}

#define THREADS 4
#define EXITED(code) ((code) << 8)
#define CORE 0x80
#define ENDED_BY(number) (number)

static struct stage {
    cgwd_supervisor *sup;
    cgwd_group *group;
    cgwd_generation gen;
    cgwd_process proc;
    struct cgw_scoreboard *board;
    cgwd_writer writer;
    char log[4096];
} stage;

static int set_up(void **state)
{
    int fd;

    (void)state;
    stage = (struct stage){.sup = make_supervisor()};
    stage.group = make_group(stage.sup, 1);
    stage.writer.fd = memfd_create("log", MFD_CLOEXEC);
    stage.group->log = &stage.writer;
    stage.gen = (cgwd_generation){.sup = stage.sup, .group = stage.group, .number = 3,
                                  .spec = stage.group->spec,
                                  .state = CGWD_GENERATION_SERVING};
    stage.proc = (cgwd_process){.sup = stage.sup, .generation = &stage.gen, .pid = 77,
                                .state = CGWD_PROCESS_SERVING};
    fd = cgwd_board_open(&stage.proc.board, THREADS);
    stage.board = cgw_scoreboard_map(fd, THREADS, 1);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cgwd_board_close(&stage.proc.board);
    cgw_scoreboard_unmap(stage.board, THREADS);
    close(stage.writer.fd);
    return 0;
}

/* What the group's log says of it. */
static const char *obituary(int status)
{
    ssize_t n;

    assert_int_equal(ftruncate(stage.writer.fd, 0), 0);
    lseek(stage.writer.fd, 0, SEEK_SET);
    cgwd_obituary_write(&stage.proc, status);
    n = pread(stage.writer.fd, stage.log, sizeof(stage.log) - 1, 0);
    stage.log[n > 0 ? n : 0] = '\0';
    return stage.log;
}

static void serve_requests(unsigned n)
{
    for (unsigned i = 0; i < THREADS; i++) {
        CGW_SLOT_SET(cgw_scoreboard_slot(stage.board, i), state,
                     i < n ? CGW_SLOT_RUNNING : CGW_SLOT_IDLE);
    }
}

/* ---- what it says ----------------------------------------------------------------- */

static void each_kind_of_process_has_its_own(void **state)
{
    const struct row {
        enum cgwd_process_state state;
        unsigned busy;
        int status;
        const char *text[3];
    } rows[] = {
        {CGWD_PROCESS_SERVING, 0, EXITED(3),
         {"CGW0213: shop: worker pid 77 exited with code 3 while serving; ",
          "it had no requests; another takes its place. Last words: (none)"}},
        {CGWD_PROCESS_SERVING, 1, EXITED(3),
         {"it had 1 request, lost unless it can be repeated; another takes"}},
        {CGWD_PROCESS_SERVING, 3, ENDED_BY(SIGABRT),
         {"worker pid 77 was ended by signal 6 (Aborted) while serving",
          "it had 3 requests, lost unless they can be repeated; another takes"}},
        {CGWD_PROCESS_SERVING, 0, ENDED_BY(SIGSEGV | CORE),
         {"was ended by signal 11 (Segmentation fault), core dumped while"}},
        {CGWD_PROCESS_LAUNCHING, 0, EXITED(1),
         {"worker pid 77 exited with code 1 while launching; it had no requests yet; "
          "another takes its place"}},
        {CGWD_PROCESS_LAUNCHING, 1, EXITED(1),
         {"worker pid 77 exited with code 1 while launching; it had 1 request, lost "
          "unless it can be repeated"}},
        {CGWD_PROCESS_TEMPLATE, 0, EXITED(1),
         {"template pid 77 exited with code 1 while ",
          "no request is lost: its workers serve on, and another template imports "
          "the application"}},
        {CGWD_PROCESS_STARTING, 0, EXITED(1),
         {"process pid 77 exited with code 1 while starting; it had no requests yet"}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(state);
        stage.proc.state = rows[i].state;
        serve_requests(rows[i].busy);
        obituary(rows[i].status);
        assert_non_null(strstr(stage.log, ":error]"));
        for (int n = 0; n < 3 && rows[i].text[n]; n++) {
            if (!strstr(stage.log, rows[i].text[n])) {
                fail_msg("%s\nis not in\n%s", rows[i].text[n], stage.log);
            }
        }
        tear_down(state);
    }
}

static void who_sent_sigkill_is_said_as_far_as_it_can_be_told(void **state)
{
    const struct row {
        int64_t more;       /* kills by the kernel since the sample; -1: unknown */
        int status;
        const char *text, *cause;
    } rows[] = {
        {1, ENDED_BY(SIGKILL), ", which the kernel sent for want of memory, while",
         "out of memory"},
        {0, ENDED_BY(SIGKILL), ", sent neither by this supervisor nor by the kernel for "
         "want of memory, while", "was ended by signal 9 (Killed)"},
        {-1, ENDED_BY(SIGKILL), ", not sent by this supervisor; want of memory is a "
         "likely cause (dmesg), while", "was ended by signal 9 (Killed)"},
        {1, ENDED_BY(SIGTERM), "signal 15 (Terminated) while",
         "was ended by signal 15 (Terminated)"},
        {1, EXITED(9), "code 9 while", "exited with code 9"},
    };
    int64_t count = cgwd_oom_count();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (count < 0 && rows[i].more >= 0 && rows[i].status == SIGKILL) {
            continue; /* no such kernel */
        }
        set_up(state);
        cgwd_oom_init(&stage.sup->oom, rows[i].more < 0 ? -1 : count);
        stage.sup->oom.explained = rows[i].more < 0 ? 0 : -rows[i].more;
        obituary(rows[i].status);
        if (!strstr(stage.log, rows[i].text)) {
            fail_msg("%s\nis not in\n%s", rows[i].text, stage.log);
        }
        assert_string_equal(stage.group->past->ends.last, rows[i].cause);
        tear_down(state);
    }
}

/* It may have gone on as another program, which has said nothing of its end. */
static void one_that_closed_its_channel_is_said_to_be_killed_for_that(void **state)
{
    (void)state;
    stage.proc.silent = 1;
    assert_non_null(strstr(obituary(ENDED_BY(SIGKILL)), "signal 9 (Killed), by this "
                           "supervisor: its application had closed descriptors"));
    assert_string_equal(stage.group->past->ends.last, "closed its channel");
    assert_null(strstr(obituary(EXITED(1)), "by this supervisor"));
}

static void last_words_are_repeated(void **state)
{
    (void)state;
    snprintf(stage.proc.last_words, sizeof(stage.proc.last_words), "Bus error");
    assert_non_null(strstr(obituary(EXITED(1)), "Last words: Bus error\n"));
    assert_string_equal(stage.group->past->ends.last_words, "Bus error");
    assert_int_equal(stage.group->past->ends.last_pid, 77);
}

/* ---- to whom it is news ---------------------------------------------------------- */

static void what_was_to_end_is_no_error(void **state)
{
    const struct row {
        enum cgwd_process_state state;
        int killed;
        const char *leaving;
        enum cgwd_generation_state gen;
        const char *cause;
    } rows[] = {
        {CGWD_PROCESS_DRAINING, 0, NULL, CGWD_GENERATION_DRAINING, "reload or stop"},
        {CGWD_PROCESS_DRAINING, 0, "CGatewayMaxRequests", CGWD_GENERATION_SERVING,
         "CGatewayMaxRequests"},
        {CGWD_PROCESS_SERVING, 1, NULL, CGWD_GENERATION_SERVING,
         "killed by the supervisor"},
        {CGWD_PROCESS_SERVING, 1, "CGatewayDeadlockTimeout", CGWD_GENERATION_SERVING,
         "CGatewayDeadlockTimeout"},
        {CGWD_PROCESS_STARTING, 0, NULL, CGWD_GENERATION_FAILED,
         "failed or abandoned start"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(state);
        stage.proc.state = rows[i].state;
        stage.proc.killed = rows[i].killed;
        stage.proc.leaving = rows[i].leaving;
        stage.gen.state = rows[i].gen;
        assert_string_equal(obituary(EXITED(0)), "");
        assert_string_equal(stage.group->past->ends.last, rows[i].cause);
        stage.gen.spec->log_level = LOG_INFO;
        assert_non_null(strstr(obituary(EXITED(0)), "shop/3 pid 77 exited with code 0\n"));
        assert_null(strstr(stage.log, "CGW0213"));
        tear_down(state);
    }
}

static void a_crash_loop_is_told_once_for_each_attempt(void **state)
{
    cgwd_timer *refill = &stage.gen.refill;

    (void)state;
    /* another is about to be started, after a while */
    stage.gen.backoff.delay = 1000;
    cgwd_timer_set(stage.sup->loop, refill, 60000);
    assert_non_null(strstr(obituary(EXITED(1)), "CGW0213"));
    assert_string_equal(obituary(EXITED(1)), "");
    assert_string_equal(obituary(EXITED(2)), "");
    assert_int_equal(stage.group->past->ends.n, 2);   /* they count all the same */
    /* the attempt was made, and failed */
    stage.gen.mourned = 0;
    assert_non_null(strstr(obituary(EXITED(1)), "(and so did 2 others before it)"));
    assert_string_equal(obituary(EXITED(1)), "");
    cgwd_timer_clear(stage.sup->loop, refill);
    assert_non_null(strstr(obituary(EXITED(1)), "(and so did 1 others before it)"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_process_has_its_own),
        cmocka_unit_test(who_sent_sigkill_is_said_as_far_as_it_can_be_told),
        TEST(one_that_closed_its_channel_is_said_to_be_killed_for_that),
        TEST(last_words_are_repeated),
        cmocka_unit_test(what_was_to_end_is_no_error),
        TEST(a_crash_loop_is_told_once_for_each_attempt),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
