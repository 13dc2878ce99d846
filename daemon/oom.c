/* SPDX-License-Identifier: Apache-2.0 */

#include "oom.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than the kernel has counters for. */
#define VMSTAT_MAX 32768
#define NAME "\noom_kill "

int64_t cgwd_oom_parse(const char *vmstat)
{
    const char *at = strstr(vmstat, NAME);

    return at ? strtoll(at + strlen(NAME), NULL, 10) : -1;
}

int64_t cgwd_oom_count(void)
{
    char text[VMSTAT_MAX];
    size_t len = 0;
    ssize_t n = 1;
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    while (n > 0 && len < sizeof(text) - 1) {
        n = read(fd, text + len, sizeof(text) - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    text[len] = '\0';
    return cgwd_oom_parse(text);
}

static int64_t unexplained(const cgwd_oom *oom, int64_t count)
{
    return count < 0 ? -1 : count - oom->explained;
}

void cgwd_oom_init(cgwd_oom *oom, int64_t count)
{
    *oom = (cgwd_oom){.latest = count, .former = count};
}

void cgwd_oom_sample(cgwd_oom *oom, int64_t count)
{
    oom->former = oom->latest;
    oom->latest = unexplained(oom, count);
}

enum cgwd_oom_answer cgwd_oom_explains(cgwd_oom *oom, int64_t count)
{
    int64_t now = unexplained(oom, count);

    if (now < 0 || oom->former < 0) {
        return CGWD_OOM_UNKNOWN;
    }
    if (now <= oom->former) {
        return CGWD_OOM_NO;
    }
    oom->explained++;
    if (oom->latest == now) {
        oom->latest--; /* it was sampled meanwhile */
    }
    return CGWD_OOM_YES;
}
