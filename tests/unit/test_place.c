/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's place: who gets it, and that it is never left lying. */

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/place.h"

#define THREADS 8
#define ROUNDS 2000

struct crowd {
    struct cgww_place place;
    pthread_t threads[THREADS];
    sem_t entered;              /* posted by whoever took the place */
    sem_t leave;                /* keeps who passed it in "the application" */
    atomic_int inside, most, refused, rounds;
};

static int32_t self(void)
{
    return (int32_t)gettid();
}

static struct crowd *crowd_new(void)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    assert_non_null(crowd);
    cgww_place_init(&crowd->place);
    sem_init(&crowd->entered, 0, 0);
    sem_init(&crowd->leave, 0, 0);
    return crowd;
}

static void crowd_start(struct crowd *crowd, void *(*run)(void *))
{
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, run, crowd), 0);
    }
}

/* Most of them, at least; no assertion depends on it. */
static void let_them_wait(void)
{
    struct timespec moment = {.tv_nsec = 5000000};

    nanosleep(&moment, NULL);
}

static void crowd_end(struct crowd *crowd)
{
    for (int i = 0; i < THREADS; i++) {
        pthread_join(crowd->threads[i], NULL);
    }
    free(crowd);
}

/* ---- one at a time ---------------------------------------------------------- */

static void *take_and_pass(void *data)
{
    struct crowd *crowd = data;

    while (atomic_fetch_add(&crowd->rounds, 1) < ROUNDS
           && cgww_place_take(&crowd->place)) {
        int inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        if (inside > atomic_load(&crowd->most)) {
            atomic_store(&crowd->most, inside);
        }
        sched_yield();
        atomic_fetch_sub(&crowd->inside, 1);
        cgww_place_compare(&crowd->place, cgww_place_pass(&crowd->place, self()));
    }
    return NULL;
}

static void one_thread_has_it_at_a_time(void **state)
{
    struct crowd *crowd = crowd_new();

    (void)state;
    crowd_start(crowd, take_and_pass);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(crowd->threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd->most), 1);
    free(crowd);
}

static void who_passed_it_can_take_it_again(void **state)
{
    struct cgww_place place;

    (void)state;
    cgww_place_init(&place);
    for (int i = 0; i < 3; i++) {
        assert_true(cgww_place_take(&place));
        struct cgww_pass passed = cgww_place_pass(&place, self());
        cgww_place_compare(&place, passed);
        assert_int_equal(atomic_load(&place.eager), 0); /* nobody else came */
    }
}

/* ---- a thread that does not come back ----------------------------------------- */

static void *take_and_stay(void *data)
{
    struct crowd *crowd = data;

    if (cgww_place_take(&crowd->place)) {
        cgww_place_pass(&crowd->place, self());
        sem_post(&crowd->entered);
        while (sem_wait(&crowd->leave) != 0) {
        }
    }
    return NULL;
}

/* Also the last one of many: each sentinel has a successor. */
static void the_place_of_a_thread_that_sleeps_is_taken(void **state)
{
    struct crowd *crowd = crowd_new();

    (void)state;
    assert_true(cgww_place_take(&crowd->place));
    crowd_start(crowd, take_and_stay);
    let_them_wait();
    cgww_place_pass(&crowd->place, self());
    for (int i = 0; i < THREADS; i++) {
        while (sem_wait(&crowd->entered) != 0) {
        }
    }
    for (int i = 0; i < THREADS; i++) {
        sem_post(&crowd->leave);
    }
    crowd_end(crowd);
}

static void *take(void *data)
{
    struct crowd *crowd = data;

    if (!cgww_place_take(&crowd->place)) {
        atomic_fetch_add(&crowd->refused, 1);
        return NULL;
    }
    sem_post(&crowd->entered);
    cgww_place_pass(&crowd->place, self());
    return NULL;
}

static void the_place_of_a_thread_that_computes_is_taken(void **state)
{
    struct crowd *crowd = crowd_new();

    (void)state;
    assert_true(cgww_place_take(&crowd->place));
    crowd_start(crowd, take);
    let_them_wait();
    cgww_place_pass(&crowd->place, self());
    for (int taken = 0; taken < THREADS;) {
        taken += sem_trywait(&crowd->entered) == 0;
    }
    crowd_end(crowd);
}

/* ---- close ------------------------------------------------------------------- */

static void closing_tells_all_who_wait(void **state)
{
    struct crowd *crowd = crowd_new();

    (void)state;
    assert_true(cgww_place_take(&crowd->place));
    crowd_start(crowd, take);
    let_them_wait();
    cgww_place_close(&crowd->place);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(crowd->threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd->refused), THREADS);
    cgww_place_pass(&crowd->place, self());
    assert_false(cgww_place_take(&crowd->place));
    free(crowd);
}

static void *close_and_await(void *data)
{
    struct crowd *crowd = data;

    cgww_place_close(&crowd->place);
    sem_post(&crowd->entered);
    cgww_place_await_free(&crowd->place);
    atomic_fetch_add(&crowd->rounds, 1);
    return NULL;
}

static void who_closes_it_can_wait_for_the_one_who_has_it(void **state)
{
    struct crowd *crowd = crowd_new();
    pthread_t closer;

    (void)state;
    assert_true(cgww_place_take(&crowd->place));
    assert_int_equal(pthread_create(&closer, NULL, close_and_await, crowd), 0);
    sem_wait(&crowd->entered);
    let_them_wait();
    assert_int_equal(atomic_load(&crowd->rounds), 0);
    cgww_place_pass(&crowd->place, self());
    pthread_join(closer, NULL);
    assert_int_equal(atomic_load(&crowd->rounds), 1);
    free(crowd);
}

/* ---- does waking others pay? --------------------------------------------------- */

#define EAGER 8

static int eager_after(bool another_served, bool slept)
{
    struct cgww_place place;
    struct cgww_pass passed;

    cgww_place_init(&place);
    atomic_store(&place.eager, EAGER);
    assert_true(cgww_place_take(&place));
    passed = cgww_place_pass(&place, self());
    if (another_served) {
        assert_true(cgww_place_take(&place));
        cgww_place_pass(&place, self());
    }
    if (slept) {
        usleep(1000);
    }
    cgww_place_compare(&place, passed);
    return atomic_load(&place.eager);
}

static void waking_pays_where_a_thread_sleeps_and_another_serves(void **state)
{
    (void)state;
    assert_true(eager_after(true, true) > EAGER);
    assert_true(eager_after(false, true) < EAGER);
    assert_true(eager_after(true, false) < EAGER);
    assert_true(eager_after(false, false) < EAGER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_has_it_at_a_time),
        cmocka_unit_test(who_passed_it_can_take_it_again),
        cmocka_unit_test(the_place_of_a_thread_that_sleeps_is_taken),
        cmocka_unit_test(the_place_of_a_thread_that_computes_is_taken),
        cmocka_unit_test(closing_tells_all_who_wait),
        cmocka_unit_test(who_closes_it_can_wait_for_the_one_who_has_it),
        cmocka_unit_test(waking_pays_where_a_thread_sleeps_and_another_serves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
