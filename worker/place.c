/* SPDX-License-Identifier: Apache-2.0 */

#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TAKEN 1u
#define CLOSED 2u
#define ONE_PASS 4u

/* So long the place may lie free before the sentinel looks at why; longer after
 * looks that found nothing to do, since each costs two switches of threads. */
#define LOOK_US 500
#define LOOK_MOST_US 4000
/* So often whoever closes it looks whether it is free. */
#define FREE_US 1000
/* So long a thread that computes keeps others from accepting. */
#define BUSY_US 3000
/* For how many requests passes wake others after it turned out to be worth it,
 * and how much each one counts that shows it again. */
#define EAGER_MOST 16
#define EAGER_MORE 4

void cgww_place_init(struct cgww_place *place)
{
    atomic_init(&place->state, 0);
    atomic_init(&place->calls, 0);
    atomic_init(&place->waiting, 0);
    atomic_init(&place->watched, false);
    atomic_init(&place->eager, 0);
    atomic_init(&place->passer, 0);
    atomic_init(&place->look_us, LOOK_US);
}

/* ---- the futex ------------------------------------------------------------ */

static void call(struct cgww_place *place, int how_many)
{
    atomic_fetch_add(&place->calls, 1);
    syscall(SYS_futex, &place->calls, FUTEX_WAKE_PRIVATE, how_many, NULL, NULL, 0);
}

/* Until the next call, for so long at most (0: no limit). */
static void await_call(struct cgww_place *place, uint32_t calls, long us)
{
    struct timespec limit = {.tv_nsec = us * 1000};

    syscall(SYS_futex, &place->calls, FUTEX_WAIT_PRIVATE, calls,
            us > 0 ? &limit : NULL, NULL, 0);
}

static bool try_take(struct cgww_place *place)
{
    uint32_t state = atomic_load(&place->state);

    return !(state & (TAKEN | CLOSED))
           && atomic_compare_exchange_strong(&place->state, &state,
                                             state | TAKEN);
}

static bool is_eager(struct cgww_place *place)
{
    return atomic_load(&place->eager) > 0;
}

/* ---- the sentinel --------------------------------------------------------- */

/* Does it run, or wait for a processor or a tracer only? */
static bool computes(int32_t tid)
{
    char path[64], text[256];
    const char *name_end;
    ssize_t n = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    name_end = strrchr(text, ')');
    return name_end
           && (strncmp(name_end, ") R", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}

/* It has not changed since `state`, calls aside, after a moment. */
static bool stays(struct cgww_place *place, uint32_t state, uint32_t calls)
{
    int look_us = atomic_load(&place->look_us);
    bool same;

    await_call(place, calls, look_us);
    same = atomic_load(&place->state) == state;
    if (!same && look_us < LOOK_MOST_US) {
        atomic_store(&place->look_us, look_us * 2);
    }
    return same;
}

/* Free: takes it unless whoever passed it comes back for it soon. */
static bool take_over(struct cgww_place *place, uint32_t state, uint32_t calls)
{
    bool blocked = false;

    for (long us = 0; us < BUSY_US && !blocked && !is_eager(place);
         us += atomic_load(&place->look_us)) {
        if (!stays(place, state, calls)) {
            return false;
        }
        blocked = !computes(atomic_load(&place->passer));
    }
    if (!try_take(place)) {
        return false;
    }
    if (blocked) {
        atomic_store(&place->eager, EAGER_MOST);
    }
    atomic_store(&place->look_us, LOOK_US);
    return true;
}

/* The sentinel's duty. False: there is nothing to watch, and the place is not
 * its own. */
static bool watch(struct cgww_place *place)
{
    for (;;) {
        uint32_t calls = atomic_load(&place->calls);
        uint32_t state = atomic_load(&place->state);
        if (state & CLOSED) {
            return false;
        }
        if (is_eager(place)) {
            return try_take(place);
        }
        if (!(state & TAKEN)) {
            if (take_over(place, state, calls)) {
                return true;
            }
        }
        else if (stays(place, state, calls)) {
            return false; /* the leader waits, and calls when it passes */
        }
    }
}

/* ---- take and pass --------------------------------------------------------- */

/* With the place free and nobody on duty. */
static bool try_watch(struct cgww_place *place)
{
    bool taken;

    if (atomic_exchange(&place->watched, true)) {
        return false;
    }
    taken = watch(place);
    atomic_store(&place->watched, false);
    return taken;
}

static bool wait_and_take(struct cgww_place *place)
{
    for (bool taken = false; !taken;) {
        uint32_t calls = atomic_load(&place->calls);
        uint32_t state = atomic_load(&place->state);
        if (state & CLOSED) {
            return false;
        }
        if ((state & TAKEN) || atomic_load(&place->watched)) {
            await_call(place, calls, 0);
        }
        taken = is_eager(place) ? try_take(place) : try_watch(place);
    }
    return true;
}

bool cgww_place_take(struct cgww_place *place)
{
    bool taken = try_take(place);

    if (!taken) {
        atomic_fetch_add(&place->waiting, 1);
        taken = wait_and_take(place);
        atomic_fetch_sub(&place->waiting, 1);
    }
    return taken;
}

/* How often this thread has given its processor up by itself. */
static long count_sleeps(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

struct cgww_pass cgww_place_pass(struct cgww_place *place, int32_t tid)
{
    struct cgww_pass passed = {.sleeps = is_eager(place) ? count_sleeps() : -1};

    atomic_store(&place->passer, tid);
    passed.state = atomic_fetch_add(&place->state, ONE_PASS - TAKEN) + ONE_PASS - TAKEN;
    if (atomic_load(&place->waiting) > 0
        && (is_eager(place) || !atomic_load(&place->watched))) {
        call(place, 1);
    }
    return passed;
}

void cgww_place_compare(struct cgww_place *place, struct cgww_pass passed)
{
    uint32_t changed = atomic_load(&place->state) ^ passed.state;
    int eager = atomic_load(&place->eager);

    if (eager == 0 || passed.sleeps < 0) {
        return;
    }
    if ((changed & ~(TAKEN | CLOSED)) && count_sleeps() != passed.sleeps) {
        eager += EAGER_MORE;
        atomic_store(&place->eager, eager < EAGER_MOST ? eager : EAGER_MOST);
    }
    else {
        atomic_store(&place->eager, eager - 1);
    }
}

void cgww_place_close(struct cgww_place *place)
{
    atomic_fetch_or(&place->state, CLOSED);
    call(place, INT_MAX);
}

void cgww_place_await_free(struct cgww_place *place)
{
    while (atomic_load(&place->state) & TAKEN) {
        await_call(place, atomic_load(&place->calls), FREE_US);
    }
}
