/* SPDX-License-Identifier: Apache-2.0 */

#include "backoff.h"

int64_t cgwd_backoff_next(cgwd_backoff *b, int64_t now)
{
    if (!b->until || now - b->until >= CGWD_BACKOFF_WELL) {
        b->delay = 0;
    }
    else if (b->delay == 0) {
        b->delay = CGWD_BACKOFF_FIRST;
    }
    else {
        b->delay = b->delay * 2 < CGWD_BACKOFF_LONGEST ? b->delay * 2
                                                       : CGWD_BACKOFF_LONGEST;
    }
    b->until = now + b->delay;
    return b->delay;
}
