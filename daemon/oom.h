/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OOM_H
#define CGWD_OOM_H

#include <stdint.h>

/*
 * Whether a process that SIGKILL ended was ended by the kernel for want of
 * memory. The kernel counts those of the whole machine, control groups and
 * containers included (oom_kill in /proc/vmstat), before it sends the signal. So
 * a counter that has risen in these seconds speaks for it, one that has not rules
 * it out.
 */
typedef struct cgwd_oom {
    int64_t latest, former;     /* unexplained kills at the last two samples; -1:
                                   the kernel does not say */
    int64_t explained;          /* kills that a death was taken for */
} cgwd_oom;

enum cgwd_oom_answer { CGWD_OOM_NO, CGWD_OOM_YES, CGWD_OOM_UNKNOWN };

/* The counter, read from the kernel; -1: it does not say. */
int64_t cgwd_oom_count(void);
/* The same, from the text of /proc/vmstat. */
int64_t cgwd_oom_parse(const char *vmstat);

/* To begin with, and every CGWD_SAMPLE_MS from then on. */
void cgwd_oom_init(cgwd_oom *oom, int64_t count);
void cgwd_oom_sample(cgwd_oom *oom, int64_t count);
/* SIGKILL has just ended a process, and not by us: yes where the counter has
 * risen since the sample before the last one. Each kill explains one death. */
enum cgwd_oom_answer cgwd_oom_explains(cgwd_oom *oom, int64_t count);

#endif
