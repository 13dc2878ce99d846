/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_PATIENCE_H
#define CGWM_PATIENCE_H

/*
 * How long httpd waits for a worker that has a request. In time the worker ends
 * it by itself (CGatewayRequestTimeout): this is for one that is stopped, or
 * does not run for another reason, and therefore a little longer.
 */

#include <stdint.h>

typedef struct cgwm_patience {
    uint64_t left_us;
    uint64_t looked;        /* cgw_clock_us() of the last look; 0: no limit */
} cgwm_patience;

/* deadline_ms as REQUEST has it; 0: no limit. */
void cgwm_patience_begin(cgwm_patience *patience, uint32_t deadline_ms);
/* Milliseconds until the next look; -1: none is needed. */
int cgwm_patience_next(const cgwm_patience *patience);
/* Time has passed since the last look; counts: it was the worker's. Is it over? */
int cgwm_patience_is_over(cgwm_patience *patience, int counts);

#endif
