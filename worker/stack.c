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
 * millisecond. */
#define PATIENCE_MS 500

/* Frames from here on are the gateway's, which called the application. */
#define OURS "/cgateway/_process.py\""
#define NO_ANSWER "(unknown: the thread takes no signals)"

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

/* Until the handler has returned. */
static bool await_handler(const struct cgww_stack *stack, pid_t tid)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct cgw_answer answer = {0};
    struct cgw_handler now;

    for (int i = 0; i < PATIENCE_MS; i++) {
        look_at(&now, tid, stack->signal);
        if (cgw_answer_is_complete(&answer, &now, (size_t)written(stack))) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool ask(const struct cgww_stack *stack, pid_t tid)
{
    struct cgw_handler now;

    look_at(&now, tid, stack->signal);
    return !now.pending && !now.blocked /* by the application */
           && tgkill(getpid(), tid, stack->signal) == 0
           && await_handler(stack, tid);
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

size_t cgww_stack_take(const struct cgww_stack *stack, pid_t tid, char *out,
                       size_t size)
{
    ssize_t n;

    if (ftruncate(stack->file, 0) < 0 || lseek(stack->file, 0, SEEK_SET) < 0
        || !ask(stack, tid)) {
        return put(out, size, NO_ANSWER);
    }
    n = pread(stack->file, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return trim(out, n > 0 ? (size_t)n : 0);
}
