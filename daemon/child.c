/* SPDX-License-Identifier: Apache-2.0 */

#include "child.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of the flags in /proc/<pid>/stat: its exit has begun (linux/sched.h). */
#define PF_EXITING 0x4U

int cgwd_child_is(pid_t pid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

int cgwd_child_is_new(const cgwd_supervisor *sup, pid_t pid)
{
    return !apr_hash_get(sup->processes, &pid, sizeof(pid)) && cgwd_child_is(pid);
}

/* What proc(5) says of its first thread; 0 where that cannot be had. */
static int look(pid_t pid, char *state, unsigned *flags)
{
    char path[64], stat[512];
    const char *end;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[n > 0 ? n : 0] = '\0';
    end = strrchr(stat, ')'); /* of its name, which may be anything */
    return end && sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u", state, flags) == 2;
}

char cgwd_child_state(pid_t pid)
{
    unsigned flags;
    char state;

    return look(pid, &state, &flags) ? state : '?';
}

int cgwd_child_is_ending(pid_t pid)
{
    unsigned flags;
    char state;

    return !look(pid, &state, &flags) || (flags & PF_EXITING);
}
