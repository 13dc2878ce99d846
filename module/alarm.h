/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ALARM_H
#define CGWM_ALARM_H

/* httpd's parent looks only once a second whether children are missing or have ended,
 * and once in ten seconds whether there is anything else to do. It is woken up earlier:
 * after a graceful restart, since nobody accepts connections before it has started
 * children; when the supervisor ends; and when that one calls it. */

#include "apr_pools.h"

/* Look at once when the peer of this socket ends. In httpd's parent. */
void cgwm_alarm_at_end(int fd);
/* No longer; nor when something is to be read there. */
void cgwm_alarm_never(int fd);
/* It has looked: whatever it was woken for is done. */
void cgwm_alarm_heard(void);

void cgwm_alarm_register_hooks(apr_pool_t *p);

#endif
