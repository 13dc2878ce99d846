/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SCHEDULING_H
#define CGWM_SCHEDULING_H

/* CGatewayBatchScheduling: threads of httpd that wake up let a running worker go on
 * until it waits, or its turn is over, in place of taking its processor from it. */

#include "apr_pools.h"

void cgwm_scheduling_register_hooks(apr_pool_t *p);

#endif
