/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_METRICS_H
#define CGWM_METRICS_H

#include "httpd.h"

#include "json_reader.h"

/* Sends the status as metrics: OpenMetrics where the client's Accept names it,
 * else Prometheus' text format, which is what its tools check. */
void cgwm_metrics_send(request_rec *r, const cgwm_json *status);

#endif
