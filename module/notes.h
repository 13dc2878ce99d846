/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_NOTES_H
#define CGWM_NOTES_H

/* Variables for the access log: LogFormat's %{cgateway-...}n. */

#include "httpd.h"

#include "response.h"

/* Once the worker has answered, or nobody will; took: from the attempt's begin to its
 * end. */
void cgwm_notes_set(request_rec *r, const cgwm_response *res,
                    apr_interval_time_t took);

void cgwm_notes_register_hooks(apr_pool_t *p);

#endif
