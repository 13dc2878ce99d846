/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ALARM_H
#define CGWM_ALARM_H

/* After a graceful restart httpd's parent looks only once a second whether it has to
 * start children, and meanwhile nobody accepts connections. It is woken up earlier. */

#include "apr_pools.h"

void cgwm_alarm_register_hooks(apr_pool_t *p);

#endif
