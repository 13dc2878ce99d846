/* SPDX-License-Identifier: Apache-2.0 */
/* One supervisor takes over from another: who says what when, and what becomes of
 * the groups. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgw_control.h"
#include "daemon/succession.h"

#define CGW_OWN_SUPERVISOR_END
#include "tests/fuzz/supervisor.h"

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
    cgwd_group *group;
    cgwd_generation gen;
    const char *ended;      /* why; NULL: it goes on */
} stage;

void cgwd_supervisor_end(cgwd_supervisor *sup, const char *why, int httpd_ended)
{
    assert_false(httpd_ended);
    if (!sup->ending) {
        stage.ended = why;
    }
    sup->ending = 1;
}

static int set_up(void **state)
{
    (void)state;
    stage = (struct stage){.sup = make_supervisor()};
    stage.sup->parent = getppid();
    stage.sup->predecessor = -1;
    stage.group = make_group(stage.sup, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cgwd_timer_clear(stage.sup->loop, &stage.sup->end_timer);
    prctl(PR_SET_PDEATHSIG, 0);
    return 0;
}

/* ---- the former one --------------------------------------------------------------- */

#define SAID_MAX 3

enum fate { STAYS, LEAVES_NOW, LEAVES_LATER };

static enum fate fate(void)
{
    return !stage.group->retiring ? STAYS
           : stage.group->retry.at - cgwd_now() > CGWD_RETIRE_MS / 2 ? LEAVES_LATER
                                                                     : LEAVES_NOW;
}

static void what_it_is_told_and_what_it_does(void **state)
{
    const struct row {
        int said[SAID_MAX];
        enum fate fate;
        int succeeded;
        const char *ended;
    } rows[] = {
        {{0}, STAYS, 0, NULL},
        /* another is there: serve until it does, in whatever order that is heard */
        {{CGW_SUCCEEDED_SHARED}, STAYS, CGW_SUCCEEDED_SHARED, NULL},
        {{CGW_SUCCESSOR_SERVES}, STAYS, 0, NULL},
        {{CGW_SUCCEEDED_SHARED, CGW_SUCCESSOR_SERVES}, LEAVES_NOW,
         CGW_SUCCEEDED_SHARED, NULL},
        {{CGW_SUCCESSOR_SERVES, CGW_SUCCEEDED_SHARED}, LEAVES_NOW,
         CGW_SUCCEEDED_SHARED, NULL},
        /* children of the former configuration come to sockets that are ours */
        {{CGW_SUCCEEDED_APART, CGW_SUCCESSOR_SERVES}, LEAVES_LATER,
         CGW_SUCCEEDED_APART, NULL},
        {{CGW_SUCCEEDED_ELSEWHERE, CGW_SUCCESSOR_SERVES}, LEAVES_LATER,
         CGW_SUCCEEDED_ELSEWHERE, NULL},
        /* at once */
        {{CGW_SUCCEEDED_SHARED | CGW_SUCCEEDED_NOW}, STAYS, CGW_SUCCEEDED_SHARED,
         "httpd restarts"},
        {{CGW_SUCCEEDED_APART | CGW_SUCCEEDED_NOW}, STAYS, CGW_SUCCEEDED_APART,
         "httpd restarts"},
        /* nonsense: anybody with the rights may send the signal */
        {{99}, STAYS, 0, NULL},
        {{-1}, STAYS, 0, NULL},
        {{CGW_SUCCEEDED_NOW}, STAYS, 0, NULL},
        {{CGW_SUCCESSOR_SERVES | CGW_SUCCEEDED_NOW}, STAYS, 0, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(state);
        for (int n = 0; n < SAID_MAX && rows[i].said[n]; n++) {
            cgwd_succession_take(stage.sup, rows[i].said[n]);
        }
        assert_int_equal(fate(), rows[i].fate);
        assert_int_equal(stage.sup->succeeded, rows[i].succeeded);
        assert_true(stage.ended == rows[i].ended
                    || strcmp(stage.ended, rows[i].ended) == 0);
        tear_down(state);
    }
}

static void one_that_ends_anyhow_takes_no_orders(void **state)
{
    (void)state;
    stage.sup->ending = 1;
    cgwd_succession_take(stage.sup, CGW_SUCCEEDED_SHARED);
    cgwd_succession_take(stage.sup, CGW_SUCCESSOR_SERVES);
    assert_int_equal(stage.sup->succeeded, 0);
    assert_int_equal(fate(), STAYS);
}

static void a_successor_that_never_serves_is_not_waited_for(void **state)
{
    (void)state;
    cgwd_succession_take(stage.sup, CGW_SUCCEEDED_SHARED);
    assert_int_not_equal(stage.sup->end_timer.slot, 0);
    stage.sup->end_timer.handle(&stage.sup->end_timer);
    assert_int_equal(fate(), LEAVES_NOW);
    assert_int_equal(stage.sup->end_timer.slot, 0);
}

/* The end of its channel tells it nothing any more. */
static void an_httpd_that_has_ended_meanwhile_is_noticed(void **state)
{
    (void)state;
    stage.sup->parent = getppid() + 1;
    cgwd_succession_take(stage.sup, CGW_SUCCEEDED_SHARED);
    assert_string_equal(stage.ended, "httpd has ended");
}

static void it_ends_with_its_last_group(void **state)
{
    (void)state;
    cgwd_succession_take(stage.sup, CGW_SUCCEEDED_SHARED);
    assert_null(stage.ended);
    cgwd_succession_take(stage.sup, CGW_SUCCESSOR_SERVES);
    assert_null(stage.ended);
    turn(stage.sup);
    assert_int_equal(apr_hash_count(stage.sup->groups), 0);
    assert_non_null(strstr(stage.ended, "requests are finished"));
}

static void without_a_successor_it_outlives_its_groups(void **state)
{
    (void)state;
    cgwd_group_retire(stage.group, 0);
    turn(stage.sup);
    assert_int_equal(apr_hash_count(stage.sup->groups), 0);
    assert_null(stage.ended);
}

/* ---- the later one ---------------------------------------------------------------- */

/* The value of a signal that came to this process; 0: none did. */
static int heard(void)
{
    struct timespec none = {0};
    siginfo_t info;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, CGW_SUCCESSION_SIGNAL);
    return sigtimedwait(&set, &info, &none) > 0 ? info.si_value.sival_int : 0;
}

static void check(void)
{
    cgwd_succession_check(stage.sup);
    turn(stage.sup);
}

/* Who goes through all groups changes their states, and APR's tables have one
 * iterator, which nobody else may use meanwhile. */
static void a_walk_through_the_groups_is_not_disturbed(void **state)
{
    cgwd_group groups[20];
    int seen = 0;

    (void)state;
    stage.sup->predecessor = open("/dev/null", O_RDONLY);
    stage.sup->admin = (struct cgwd_admin *)&stage;
    for (int i = 0; i < 20; i++) {
        groups[i] = (cgwd_group){
            .name = apr_psprintf(stage.sup->pool, "group%d", i)};
        apr_hash_set(stage.sup->groups, groups[i].name, APR_HASH_KEY_STRING,
                     &groups[i]);
    }
    for (apr_hash_index_t *i = apr_hash_first(NULL, stage.sup->groups); i;
         i = apr_hash_next(i)) {
        cgwd_succession_check(stage.sup);
        seen++;
    }
    assert_int_equal(seen, 21);
    cgwd_timer_clear(stage.sup->loop, &stage.sup->check_timer);
    close(stage.sup->predecessor);
    for (int i = 0; i < 20; i++) {
        apr_hash_set(stage.sup->groups, groups[i].name, APR_HASH_KEY_STRING, NULL);
    }
}

static void it_says_so_when_nothing_starts_any_more(void **state)
{
    const struct { enum cgwd_generation_state state; int is_starting; } rows[] = {
        {CGWD_GENERATION_WAITING, 1}, {CGWD_GENERATION_STARTING, 1},
        {CGWD_GENERATION_READY, 1}, {CGWD_GENERATION_SERVING, 0},
        {CGWD_GENERATION_DRAINING, 0}, {CGWD_GENERATION_FAILED, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_up(state);
        stage.gen.state = rows[i].state;
        stage.group->generations = &stage.gen;
        stage.sup->predecessor = (int)syscall(SYS_pidfd_open, getpid(), 0);
        assert_true(stage.sup->predecessor >= 0);
        /* it has no configuration yet */
        check();
        assert_int_equal(heard(), 0);
        stage.sup->admin = (struct cgwd_admin *)&stage; /* is not looked into */
        check();
        assert_int_equal(heard(), rows[i].is_starting ? 0 : CGW_SUCCESSOR_SERVES);
        assert_true((stage.sup->predecessor >= 0) == rows[i].is_starting);
        /* once */
        if (!rows[i].is_starting) {
            check();
            assert_int_equal(heard(), 0);
        }
        stage.group->generations = NULL;
        tear_down(state);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_is_told_and_what_it_does),
        TEST(one_that_ends_anyhow_takes_no_orders),
        TEST(a_successor_that_never_serves_is_not_waited_for),
        TEST(an_httpd_that_has_ended_meanwhile_is_noticed),
        TEST(it_ends_with_its_last_group),
        TEST(without_a_successor_it_outlives_its_groups),
        TEST(a_walk_through_the_groups_is_not_disturbed),
        cmocka_unit_test(it_says_so_when_nothing_starts_any_more),
    };
    sigset_t set;

    apr_initialize();
    sigemptyset(&set);
    sigaddset(&set, CGW_SUCCESSION_SIGNAL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
