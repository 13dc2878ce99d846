/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_JITTER_H
#define CGWD_JITTER_H

#include <stdint.h>

/* A random number from 0 to most, so that what began together does not end
 * together. */
int64_t cgwd_jitter(int64_t most);

#endif
