/* SPDX-License-Identifier: Apache-2.0 */

#include "stack.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgw_handler.h"

/* How long a thread has to begin and finish its handler, which is looked at each
 * millisecond. Each one in a row that does not, as those that hang in the kernel do,
 * leaves the next one half of that, so many times: all of their clients wait. */
#define PATIENCE_MS 500
#define HALVES_MAX 5

/* Frames from here on are the gateway's, which called the application. */
#define OURS "/cgateway/_process.py\""
#define NO_ANSWER "(unknown: the thread takes no signals)"
#define NO_HANDLER "(unknown: the application changed what signal %d does)"

static void look_at(struct cgw_handler *out, pid_t tid, int sig)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
    cgw_handler_look(out, path, sig);
}

static off_t written(const struct cgww_stack *stack)
{
    struct stat st;

    return fstat(stack->file, &st) == 0 ? st.st_size : 0;
}

/* The application may have given the signal back to the kernel, which would end the
 * process. */
static bool is_caught(int sig)
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0
           && ((action.sa_flags & SA_SIGINFO)
               || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN));
}

/* Until the handler has returned. */
static bool await_handler(const struct cgww_stack *stack, pid_t tid)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct cgw_answer answer = {0};
    struct cgw_handler now;

    for (int i = 0; i < PATIENCE_MS >> stack->halves; i++) {
        look_at(&now, tid, stack->signal);
        if (cgw_answer_is_complete(&answer, &now, (size_t)written(stack))) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool ask(struct cgww_stack *stack, pid_t tid)
{
    struct cgw_handler now;

    look_at(&now, tid, stack->signal);
    if (now.pending || now.blocked /* by the application */
        || tgkill(getpid(), tid, stack->signal) < 0) {
        return false;
    }
    if (!await_handler(stack, tid)) {
        stack->halves += stack->halves < HALVES_MAX;
        return false;
    }
    stack->halves = 0;
    return true;
}

static size_t put(char *out, size_t size, const char *text)
{
    int n = snprintf(out, size, "%s", text);

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* Drops the title, and the frames of the gateway that called the application:
 * the length that is left. */
static size_t trim(char *text, size_t len)
{
    char *title = strchr(text, '\n');
    char *ours = strstr(text, OURS);

    if (ours) {
        while (ours > text && ours[-1] != '\n') {
            ours--;
        }
        len = (size_t)(ours - text);
    }
    if (title && strncmp(text, "  ", 2) != 0) {
        size_t cut = (size_t)(title + 1 - text);
        cut = cut < len ? cut : len;
        memmove(text, text + cut, len - cut);
        len -= cut;
    }
    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    text[len] = '\0';
    return len;
}

size_t cgww_stack_take(struct cgww_stack *stack, pid_t tid, char *out, size_t size)
{
    ssize_t n;

    if (!is_caught(stack->signal)) {
        n = snprintf(out, size, NO_HANDLER, stack->signal);
        return n > 0 ? (size_t)n : 0;
    }
    if (ftruncate(stack->file, 0) < 0 || lseek(stack->file, 0, SEEK_SET) < 0
        || !ask(stack, tid)) {
        return put(out, size, NO_ANSWER);
    }
    n = pread(stack->file, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return trim(out, n > 0 ? (size_t)n : 0);
}
