/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_AUTH_H
#define CGWM_AUTH_H

/* The users of a site as httpd's: AuthBasicProvider cgateway and Require
 * cgateway-group. */

#include "apr_pools.h"

void cgwm_auth_register(apr_pool_t *p);

#endif
