/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_DELAY_H
#define CGWW_DELAY_H

/*
 * How long threads of this process were ready to run and got no processor, as the
 * kernel counts it (/proc/self/task/<tid>/schedstat). A kernel that does not count
 * says 0. The wait that a thread is in is counted once it is over. Takes no memory.
 */

#include <stdint.h>
#include <sys/types.h>

#define CGWW_DELAY_THREADS 64

struct cgww_delay {
    struct {
        pid_t tid;
        uint64_t us;            /* then */
    } threads[CGWW_DELAY_THREADS]; /* those beyond are not looked at */
    unsigned count;
};

/* Counts from now on: those threads that there are now, but the caller's. */
void cgww_delay_begin(struct cgww_delay *d);
/* Microseconds since then, of the thread that has had most. */
uint64_t cgww_delay_most(const struct cgww_delay *d);

#endif
