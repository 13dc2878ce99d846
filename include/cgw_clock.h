/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_CLOCK_H
#define CGW_CLOCK_H

/* The clock of all times that cross from one program to another. */

#include <stdint.h>
#include <time.h>

/* microseconds of CLOCK_MONOTONIC: no jumps, the same for all processes */
static inline uint64_t cgw_clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

#endif
