/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_STATUS_H
#define CGWM_STATUS_H

#include "apr_pools.h"

/* SetHandler cgateway-status, SetHandler cgateway-ready, and a section in
 * mod_status' page. They only read. */
void cgwm_status_register_hooks(apr_pool_t *p);

#endif
