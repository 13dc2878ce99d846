/* SPDX-License-Identifier: Apache-2.0 */

#include "jitter.h"

#include <sys/random.h>

int64_t cgwd_jitter(int64_t most)
{
    uint64_t random = 0;

    /* Right after boot, before the kernel has entropy, it is 0 all the time:
     * that does no harm. */
    if (most <= 0
        || getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
        return 0;
    }
    return (int64_t)(random % ((uint64_t)most + 1));
}
