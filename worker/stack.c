/* SPDX-License-Identifier: Apache-2.0 */

#include "stack.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long a thread has to begin and finish its handler, which is looked at each
 * millisecond; and how long one says nothing that has nothing to say, as it is
 * not one of Python's. */
#define PATIENCE_MS 500
#define SILENCE_MS 50
/* Between two lines, where the kernel does not tell. */
#define PAUSE_MS 20

/* Frames from here on are the gateway's, which called the application. */
#define OURS "/cgateway/_process.py\""
#define NO_ANSWER "(unknown: the thread takes no signals)"

static bool has_signal(const char *status, const char *field, int sig)
{
    const char *line = strstr(status, field);

    return line
           && strtoull(line + strlen(field), NULL, 16) >> (sig - 1) & 1;
}

enum progress {
    IDLE,               /* the signal is neither pending nor in its handler */
    BUSY,
    UNKNOWN             /* there is no /proc, as in a chroot */
};

/* While it is handled, a signal is blocked. */
static enum progress look_at(pid_t tid, int sig)
{
    char path[64], status[4096];
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
    FILE *file = fopen(path, "re");
    if (file) {
        n = fread(status, 1, sizeof(status) - 1, file);
        fclose(file);
    }
    status[n] = '\0';
    return n == 0                                  ? UNKNOWN
           : has_signal(status, "\nSigPnd:", sig) ? BUSY
           : has_signal(status, "\nSigBlk:", sig) ? BUSY
                                                  : IDLE;
}

static off_t written(const struct cgww_stack *stack)
{
    struct stat st;

    return fstat(stack->file, &st) == 0 ? st.st_size : 0;
}

/* Until the handler has returned, as far as the kernel tells. Between delivery
 * and handler it shows a signal as neither: then what was written tells. */
static bool await_handler(const struct cgww_stack *stack, pid_t tid)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    off_t size = 0;

    for (int i = 0, quiet = 0; i < PATIENCE_MS; i++) {
        enum progress progress = look_at(tid, stack->signal);
        off_t now = written(stack);
        quiet = progress == BUSY || now != size ? 0 : quiet + 1;
        size = now;
        if (quiet > SILENCE_MS
            || (quiet && size && (progress == IDLE || quiet > PAUSE_MS))) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool ask(const struct cgww_stack *stack, pid_t tid)
{
    return look_at(tid, stack->signal) != BUSY /* blocked by the application */
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
