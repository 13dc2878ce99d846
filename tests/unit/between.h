/* SPDX-License-Identifier: Apache-2.0 */

/* For cmocka's tests: its own assertion of this kind is deprecated from 2.0 on, and
 * the one in its place is not there before. */

#ifndef BETWEEN_H
#define BETWEEN_H

#include <stdint.h>

/* An unsigned value, the lowest and the highest it may have. */
#define assert_between(value, low, high)                                              \
    between((value), (low), (high), #value, __FILE__, __LINE__)

static inline void between(uint64_t value, uint64_t low, uint64_t high,
                           const char *what, const char *file, int line)
{
    if (value < low || value > high) {
        print_error("%s is %llu, not %llu to %llu\n", what, (unsigned long long)value,
                    (unsigned long long)low, (unsigned long long)high);
        _fail(file, line);
    }
}

#endif
