/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_handler.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks, which are a millisecond apart, that tell where the kernel does not: so
 * long nothing comes between two lines, and so long nothing at all. */
#define PAUSE 20
#define SILENCE 50

static int has_signal(const char *status, const char *field, int sig)
{
    const char *line = strstr(status, field);
    uint64_t mask = line ? strtoull(line + strlen(field), NULL, 16) : 0;

    return (int)((mask >> (sig - 1)) & 1);
}

void cgw_handler_parse(struct cgw_handler *out, const char *status, int sig)
{
    const char *state = strstr(status, "\nState:\t");

    out->is_known = *status != '\0';
    out->pending = has_signal(status, "\nSigPnd:", sig);
    out->blocked = has_signal(status, "\nSigBlk:", sig);
    out->caught = has_signal(status, "\nSigCgt:", sig);
    out->sleeping = state && state[8] == 'S';
    out->runs = state && state[8] == 'R';
}

int cgw_handler_look(struct cgw_handler *out, const char *path, int sig)
{
    char status[4096] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    if (fd >= 0) {
        n = read(fd, status, sizeof(status) - 1);
        close(fd);
    }
    status[n > 0 ? n : 0] = '\0';
    cgw_handler_parse(out, status, sig);
    return n > 0;
}

/*
 * While its handler runs, a signal is blocked. Between delivery and handler there
 * is a moment in which it is neither pending nor blocked: then the thread runs,
 * and has written nothing yet. So what tells is that something was written, none
 * of it since the last look, or that the thread sleeps.
 */
int cgw_answer_is_complete(struct cgw_answer *answer, const struct cgw_handler *now,
                           size_t written)
{
    int busy = now->pending || now->blocked;

    answer->quiet = busy || written != answer->written ? 0 : answer->quiet + 1;
    answer->written = written;
    if (answer->quiet == 0) {
        return 0;
    }
    if (now->is_known && (written > 0 || now->sleeping)) {
        return 1;
    }
    return answer->quiet > (written > 0 ? PAUSE : SILENCE);
}
