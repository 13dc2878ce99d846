/* SPDX-License-Identifier: Apache-2.0 */

#include "patience.h"

#include "cgw_clock.h"

/* An eighth more, but at least so much. */
#define MORE_AT_LEAST_MS 1000
#define MORE_PART 8
/* When a worker takes a request is seen by looking. */
#define LOOK_MS 1000
/* Of a longer time between two looks, httpd itself has not run in the rest: nobody
 * has, where the machine or the container was suspended. It is not longer than what
 * the worker has more, whose own clock stood still. */
#define PASSED_MAX_US (LOOK_MS * 1000)

void cgwm_patience_begin(cgwm_patience *patience, uint32_t deadline_ms)
{
    uint64_t more = deadline_ms / MORE_PART;

    more = more < MORE_AT_LEAST_MS ? MORE_AT_LEAST_MS : more;
    patience->left_us = (deadline_ms + more) * 1000;
    patience->looked = deadline_ms ? cgw_clock_us() : 0;
}

int cgwm_patience_next(const cgwm_patience *patience)
{
    uint64_t ms = patience->left_us / 1000 + 1;

    return !patience->looked ? -1 : ms < LOOK_MS ? (int)ms : LOOK_MS;
}

int cgwm_patience_is_over(cgwm_patience *patience, int counts)
{
    uint64_t now, passed;

    if (!patience->looked) {
        return 0;
    }
    now = cgw_clock_us();
    passed = now - patience->looked;
    passed = passed < PASSED_MAX_US ? passed : PASSED_MAX_US;
    patience->looked = now;
    if (counts) {
        patience->left_us -= passed < patience->left_us ? passed : patience->left_us;
    }
    return patience->left_us == 0;
}
