/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_GATEWAY_H
#define CGWM_GATEWAY_H

#include "apr_pools.h"

/* The request path: claims the requests of mounted URLs (translate_name) and
 * answers those of the handlers "cgateway:<group>". */
void cgwm_gateway_register_hooks(apr_pool_t *p);

#endif
