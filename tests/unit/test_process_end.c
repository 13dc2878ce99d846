/* SPDX-License-Identifier: Apache-2.0 */
/* The last process of a generation takes the generation with it; and one that never
 * came to be leaves nothing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fuzz/supervisor.h"

static pid_t spawned;

/* A process that ends at once. */
pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    (void)spawn;
    (void)p;
    *what = NULL;
    spawned = fork();
    if (spawned == 0) {
        _exit(1);
    }
    return spawned;
}

/* Whoever looks at it later on finds nothing that can be followed. */
static apr_status_t poison(void *gen)
{
    memset(gen, 0xa5, sizeof(cgwd_generation));
    return APR_SUCCESS;
}

static void nothing_of_a_generation_is_used_behind_its_end(void **state)
{
    cgwd_supervisor *sup = make_supervisor();
    cgwd_group *group = make_group(sup, 0);
    cgwd_generation *gen = group->generations;
    int status;

    (void)state;
    assert_non_null(gen);
    apr_pool_cleanup_register(gen->pool, gen, poison, apr_pool_cleanup_null);
    assert_int_equal(waitpid(spawned, &status, 0), spawned);
    cgwd_process_reaped(sup, spawned, status);
    assert_null(group->generations);
    assert_int_equal(sup->nprocesses, 0);
    assert_int_equal(apr_hash_count(sup->processes), 0);
    cgwd_timer_clear(sup->loop, &group->retry);
}

/* For want of memory, say; here, since a file is nothing that is waited for. It would
 * be waited for until CGatewayStartTimeout. */
static void there_is_no_process_that_cannot_be_heard(void **state)
{
    cgwd_supervisor *sup = make_supervisor();
    cgwd_group *group = make_group(sup, 0);
    cgwd_generation *gen = group->generations;
    int file = memfd_create("file", MFD_CLOEXEC), ends[2], status;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_null(cgwd_process_create(gen, CGWD_PROCESS_LAUNCHING, 0, file, ends[0]));
    assert_int_equal(errno, EPERM);
    assert_null(cgwd_process_create(gen, CGWD_PROCESS_LAUNCHING, 0, ends[0], file));
    assert_int_equal(sup->nprocesses, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(close(ends[i]), 0);
    }
    assert_int_equal(close(file), 0);
    assert_int_equal(waitpid(spawned, &status, 0), spawned);
    cgwd_process_reaped(sup, spawned, status);
    assert_int_equal(sup->nprocesses, 0);
    cgwd_timer_clear(sup->loop, &group->retry);
}

/* One that was forked, and whose first word the supervisor has not read yet. */
static struct unknown {
    cgwd_supervisor *sup;
    cgwd_group *group;
    cgwd_generation *gen;
    cgwd_process *proc;
    pid_t pid;
} unknown;

static int fork_unknown(void **state)
{
    int control[2], output[2];

    (void)state;
    unknown.sup = make_supervisor();
    unknown.group = make_group(unknown.sup, 0);
    unknown.gen = unknown.group->generations;
    unknown.pid = fork();
    if (unknown.pid == 0) {
        alarm(20);
        pause();
        _exit(0);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    unknown.proc = cgwd_process_create(unknown.gen, CGWD_PROCESS_LAUNCHING, 0,
                                       control[0], output[0]);
    close(control[1]);
    close(output[1]);
    return unknown.proc ? 0 : -1;
}

static int end_unknown(void **state)
{
    (void)state;
    kill(unknown.pid, SIGKILL);
    waitpid(unknown.pid, NULL, 0);
    cgwd_process_reaped(unknown.sup, unknown.pid, 0);
    waitpid(spawned, NULL, 0);
    cgwd_process_reaped(unknown.sup, spawned, 0);
    assert_int_equal(unknown.sup->nprocesses, 0);
    cgwd_timer_clear(unknown.sup->loop, &unknown.group->retry);
    return 0;
}

/* "cgatewayctl stop --now", say: it would accept requests until CGatewayStartTimeout,
 * and be killed with them. */
static void one_that_speaks_when_all_were_killed_is_killed_then(void **state)
{
    siginfo_t end = {0};

    (void)state;
    cgwd_group_stop(unknown.group, 1, "now");
    assert_int_equal(cgwd_process_introduce(unknown.proc, unknown.pid), 0);
    assert_int_equal(waitid(P_PID, (id_t)unknown.pid, &end, WEXITED | WNOWAIT), 0);
    assert_int_equal(end.si_status, SIGKILL);
}

/* Its own end, later on, is no matter of that. */
static void one_that_came_about_when_its_template_was_killed_is_one_like_others(
    void **state)
{
    (void)state;
    unknown.gen->state = CGWD_GENERATION_READY;
    unknown.gen->template = unknown.proc->next;
    cgwd_stall_end_template(unknown.gen);
    assert_true(unknown.proc->killed);
    assert_int_equal(cgwd_process_introduce(unknown.proc, unknown.pid), 0);
    assert_false(unknown.proc->killed);
    unknown.gen->state = CGWD_GENERATION_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_a_generation_is_used_behind_its_end),
        cmocka_unit_test(there_is_no_process_that_cannot_be_heard),
#define T(f) cmocka_unit_test_setup_teardown(f, fork_unknown, end_unknown)
        T(one_that_speaks_when_all_were_killed_is_killed_then),
        T(one_that_came_about_when_its_template_was_killed_is_one_like_others),
#undef T
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
