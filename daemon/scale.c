/* SPDX-License-Identifier: Apache-2.0 */

#include "scale.h"

/* A quarter more, or a quarter less, at a time. */
#define STEP 4

static unsigned clamp(unsigned n, unsigned least, unsigned most)
{
    return n < least ? least : n > most ? most : n;
}

static int64_t patience(const cgwd_scale *scale)
{
    return scale->patience ? scale->patience : CGWD_SCALE_SHRINK_MS;
}

static void begin_time(cgwd_scale *scale, int64_t now)
{
    scale->since = now;
    scale->peak = 0;
}

static int is_soon(const cgwd_scale *scale, int64_t now)
{
    return scale->shrunk && now - scale->shrunk < CGWD_SCALE_SOON_MS;
}

static void grow(cgwd_scale *scale, unsigned most, int64_t now)
{
    if (is_soon(scale, now) && patience(scale) < CGWD_SCALE_SHRINK_LONGEST_MS) {
        scale->patience = 2 * patience(scale);
    }
    scale->shrunk = 0;
    scale->target = clamp(scale->target + (scale->target + STEP - 1) / STEP, 1, most);
    scale->stuck_since = 0;
    begin_time(scale, now);
}

/* A quarter more than the busiest moment needed stays. */
static void shrink(cgwd_scale *scale, const cgwd_load *load, unsigned least,
                   int64_t now)
{
    unsigned threads = load->threads ? load->threads : 1;
    unsigned needed = (scale->peak + scale->peak / STEP + threads - 1) / threads;
    unsigned step = (scale->target + STEP - 1) / STEP;

    needed = needed < least ? least : needed;
    begin_time(scale, now);
    if (needed >= scale->target) {
        if (scale->target == least && !is_soon(scale, now)) {
            scale->patience = 0;
        }
        return;
    }
    scale->target = scale->target - needed > step ? scale->target - step : needed;
    scale->shrunk = now;
}

void cgwd_scale_look(cgwd_scale *scale, const cgwd_load *load, unsigned least,
                     unsigned most, int64_t now)
{
    scale->target = clamp(scale->target, least, most);
    if (!scale->since) {
        begin_time(scale, now);
    }
    scale->peak = load->busy > scale->peak ? load->busy : scale->peak;
    if (!load->stuck) {
        scale->stuck_since = 0;
    }
    else if (!scale->stuck_since) {
        scale->stuck_since = now;
    }
    if (scale->stuck_since && !load->coming && scale->target < most
        && now - scale->stuck_since >= CGWD_SCALE_GROW_MS) {
        grow(scale, most, now);
    }
    else if (now >= cgwd_scale_next(scale)) {
        shrink(scale, load, least, now);
    }
}

int64_t cgwd_scale_next(const cgwd_scale *scale)
{
    return scale->since + patience(scale);
}
