/* SPDX-License-Identifier: Apache-2.0 */

#include "delay.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tasks.h"

/* The second number of the file, of nanoseconds. */
static uint64_t delay_of(pid_t tid)
{
    char path[64], text[128], *second;
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    strtoull(text, &second, 10);
    return strtoull(second, NULL, 10) / 1000;
}

static void note(pid_t tid, void *baton)
{
    struct cgww_delay *d = baton;

    if (d->count < CGWW_DELAY_THREADS) {
        d->threads[d->count].tid = tid;
        d->threads[d->count++].us = delay_of(tid);
    }
}

void cgww_delay_begin(struct cgww_delay *d)
{
    d->count = 0;
    cgww_tasks_each(note, d);
}

uint64_t cgww_delay_most(const struct cgww_delay *d)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < d->count; i++) {
        uint64_t now = delay_of(d->threads[i].tid); /* 0: it has ended */
        if (now > d->threads[i].us && now - d->threads[i].us > most) {
            most = now - d->threads[i].us;
        }
    }
    return most;
}
