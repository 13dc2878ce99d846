/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's event loop: order of timers, removal while events wait. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/loop.h"

#define TIMERS 200

static cgwd_loop *loop;
static int64_t fired[TIMERS];
static int nfired;

static void note(cgwd_timer *timer)
{
    fired[nfired++] = timer->at;
    if (timer->owner) {
        cgwd_loop_stop(loop);
    }
}

static void timers_fire_in_their_order(void **state)
{
    static cgwd_timer timers[TIMERS], last;

    (void)state;
    nfired = 0;
    srand(1);
    for (int i = 0; i < TIMERS - 1; i++) {
        timers[i].handle = note;
        cgwd_timer_set(loop, &timers[i], rand() % 40);
    }
    for (int i = 0; i < TIMERS - 1; i += 3) {
        cgwd_timer_clear(loop, &timers[i]);
        cgwd_timer_clear(loop, &timers[i]); /* twice is no harm */
    }
    for (int i = 1; i < TIMERS - 1; i += 3) {
        cgwd_timer_set(loop, &timers[i], rand() % 40); /* moved */
    }
    last.handle = note;
    last.owner = &last;
    cgwd_timer_set(loop, &last, 60);
    cgwd_loop_run(loop);
    assert_int_equal(nfired, TIMERS - 1 - (TIMERS - 1 + 2) / 3 + 1);
    for (int i = 1; i < nfired; i++) {
        assert_true(fired[i - 1] <= fired[i]);
    }
}

static cgwd_watch a, b;
static int handled;

/* Whichever comes first removes the other, whose event is already reported. */
static void remove_other(cgwd_watch *watch)
{
    cgwd_watch *other = watch == &a ? &b : &a;

    handled++;
    cgwd_watch_remove(loop, other);
    cgwd_watch_remove(loop, watch);
    cgwd_loop_stop(loop);
}

static void removed_watch_gets_no_event(void **state)
{
    int x[2], y[2];

    (void)state;
    assert_int_equal(pipe(x), 0);
    assert_int_equal(pipe(y), 0);
    assert_int_equal(write(x[1], "x", 1), 1);
    assert_int_equal(write(y[1], "y", 1), 1);
    a = (cgwd_watch){.fd = x[0], .handle = remove_other};
    b = (cgwd_watch){.fd = y[0], .handle = remove_other};
    assert_int_equal(cgwd_watch_add(loop, &a), 0);
    assert_int_equal(cgwd_watch_add(loop, &b), 0);
    cgwd_loop_run(loop);
    assert_int_equal(handled, 1);
    for (int i = 0; i < 2; i++) {
        close(x[i]);
        close(y[i]);
    }
}

static int set_up(void **state)
{
    (void)state;
    loop = cgwd_loop_create();
    return loop == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    cgwd_loop_destroy(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_their_order),
        cmocka_unit_test(removed_watch_gets_no_event),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
