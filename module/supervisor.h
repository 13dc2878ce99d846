/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SUPERVISOR_H
#define CGWM_SUPERVISOR_H

#include "apr_pools.h"

/* httpd's parent as the client of cgatewayd: keeps the listening sockets of
 * the groups open, starts cgatewayd, gives it every configuration, and starts
 * another one when it dies. Nothing here runs in an httpd child but the
 * closing of what the parent holds. */
void cgwm_supervisor_register_hooks(apr_pool_t *p);

/* The directory of cgatewayd and of the worker's files: <this module's
 * directory>/cgateway. NULL where the module's own file is not known. */
const char *cgwm_library_dir(apr_pool_t *p);

#endif
