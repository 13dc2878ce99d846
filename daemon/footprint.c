/* SPDX-License-Identifier: Apache-2.0 */

#include "footprint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_proc(char *text, size_t size, pid_t pid, const char *file)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

int64_t cgwd_footprint(pid_t pid, int pss)
{
    char text[4096], *at;

    if (pss) {
        at = read_proc(text, sizeof(text), pid, "smaps_rollup")
                 ? strstr(text, "\nPss:") : NULL;
        return at ? strtoll(at + strlen("\nPss:"), NULL, 10) * 1024 : -1;
    }
    at = read_proc(text, sizeof(text), pid, "statm") ? strchr(text, ' ') : NULL;
    return at ? strtoll(at, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

int64_t cgwd_cpu_ms(pid_t pid)
{
    char text[1024], *at;
    unsigned long user, system;

    /* "pid (any name) S 1 2 3 ...": utime and stime are the 12th and 13th word
     * behind the name */
    at = read_proc(text, sizeof(text), pid, "stat") ? strrchr(text, ')') : NULL;
    for (int i = 0; at && i < 12; i++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return -1;
    }
    user = strtoul(at, &at, 10);
    system = strtoul(at, NULL, 10);
    return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}
