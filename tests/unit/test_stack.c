/* SPDX-License-Identifier: Apache-2.0 */
/* The stack of another thread: of one that answers, of those that cannot, and where the
 * application took the signal. Here the handler is not Python's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/stack.h"

#define STACK "Stack (most recent call first):\n  File \"shop.py\", line 7 in buy\n"
#define HANGING 8
#define CHILD_STACK 65536

static struct stage {
    struct cgww_stack stack;
    int pipe[2];                /* a thread hangs until it is closed */
    char out[1024];
} stage;

static void write_stack(int sig)
{
    int former = errno;

    (void)sig;
    if (write(stage.stack.file, STACK, sizeof(STACK) - 1) < 0) {
        /* the test sees that nothing is there */
    }
    errno = former;
}

static void set_handler(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    assert_int_equal(sigaction(stage.stack.signal, &action, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    stage = (struct stage){.stack = {.signal = SIGRTMAX - 1,
                                     .file = memfd_create("stack", MFD_CLOEXEC)}};
    assert_int_equal(pipe(stage.pipe), 0);
    set_handler(write_stack);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(stage.stack.file);
    close(stage.pipe[0]);
    close(stage.pipe[1]);
    return 0;
}

/* ---- threads ---------------------------------------------------------------- */

struct thread {
    pthread_t thread;
    atomic_int tid;
};

/* In a process that shares all but the descriptors: until the test has closed its
 * end of the pipe. */
static int wait_for_pipe(void *data)
{
    char byte;

    (void)data;
    close(stage.pipe[1]);
    return (int)read(stage.pipe[0], &byte, 1);
}

/* As vfork() does it: the kernel lets the caller do nothing until the child ends. */
static void *hang_in_kernel(void *data)
{
    struct thread *self = data;
    char memory[CHILD_STACK] __attribute__((aligned(16)));
    pid_t child;

    atomic_store(&self->tid, gettid());
    child = clone(wait_for_pipe, memory + sizeof(memory),
                  CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
    return NULL;
}

static void *sleep_in_read(void *data)
{
    struct thread *self = data;
    char byte;

    atomic_store(&self->tid, gettid());
    if (read(stage.pipe[0], &byte, 1) < 0) {
        return self; /* the handler restarts it */
    }
    return NULL;
}

static char state_of(pid_t tid)
{
    char path[64], text[512] = "";
    FILE *file;
    const char *end;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    file = fopen(path, "re");
    if (file) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
    }
    end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

static void start(struct thread *t, void *(*run)(void *), char state)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    atomic_store(&t->tid, 0);
    assert_int_equal(pthread_create(&t->thread, NULL, run, t), 0);
    while (!atomic_load(&t->tid) || state_of(atomic_load(&t->tid)) != state) {
        nanosleep(&pause, NULL);
    }
}

static void release(struct thread *threads, int n)
{
    close(stage.pipe[1]);
    stage.pipe[1] = -1;
    for (int i = 0; i < n; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i].thread, &result), 0);
        assert_null(result);
    }
}

static const char *take(struct thread *t)
{
    size_t n = cgww_stack_take(&stage.stack, atomic_load(&t->tid), stage.out,
                               sizeof(stage.out));

    assert_int_equal(n, strlen(stage.out));
    return stage.out;
}

/* ---- tests ------------------------------------------------------------------ */

static void of_a_thread_that_sleeps(void **state)
{
    struct thread t;

    (void)state;
    start(&t, sleep_in_read, 'S');
    for (int i = 0; i < 20; i++) {
        assert_string_equal(take(&t), "  File \"shop.py\", line 7 in buy");
    }
    release(&t, 1);
}

static void a_signal_that_the_application_took_is_not_sent(void **state)
{
    void (*handlers[])(int) = {SIG_DFL, SIG_IGN};
    struct thread t;

    (void)state;
    start(&t, sleep_in_read, 'S');
    for (int i = 0; i < 2; i++) {
        set_handler(handlers[i]); /* the default would end this process */
        assert_non_null(strstr(take(&t), "(unknown: the application changed"));
    }
    set_handler(write_stack);
    assert_non_null(strstr(take(&t), "in buy"));
    release(&t, 1);
}

static void of_one_that_is_no_thread(void **state)
{
    struct thread t;

    (void)state;
    atomic_store(&t.tid, getppid());
    assert_non_null(strstr(take(&t), "(unknown: the thread takes no signals"));
}

/* All of their clients wait meanwhile. */
static void threads_that_hang_in_the_kernel_are_not_waited_for_one_by_one(void **state)
{
    struct thread hang[HANGING], t;

    (void)state;
    for (int i = 0; i < HANGING; i++) {
        start(&hang[i], hang_in_kernel, 'D');
    }
    start(&t, sleep_in_read, 'S');
    for (int i = 0; i < HANGING; i++) {
        assert_int_equal(stage.stack.halves, i < 5 ? i : 5);
        assert_non_null(strstr(take(&hang[i]), "(unknown: the thread takes no"));
    }
    /* one that answers is heard, and the next one waited for as the first one was */
    assert_non_null(strstr(take(&t), "in buy"));
    assert_int_equal(stage.stack.halves, 0);
    release(hang, HANGING);
    pthread_join(t.thread, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(of_a_thread_that_sleeps),
        TEST(a_signal_that_the_application_took_is_not_sent),
        TEST(of_one_that_is_no_thread),
        TEST(threads_that_hang_in_the_kernel_are_not_waited_for_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
