/* SPDX-License-Identifier: Apache-2.0 */

#include "tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not by opendir(), which takes memory. */
void cgww_tasks_each(void (*call)(pid_t tid, void *baton), void *baton)
{
    _Alignas(struct dirent64) char entries[4096];
    int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = 0;

    while (tasks >= 0
           && (n = syscall(SYS_getdents64, tasks, entries, sizeof(entries))) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(entries + at);
            pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);
            if (tid > 0 && tid != gettid()) {
                call(tid, baton);
            }
            at += d->d_reclen;
        }
    }
    if (tasks >= 0) {
        close(tasks);
    }
}
