/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ERRORFORMAT_H
#define CGWM_ERRORFORMAT_H

#include "httpd.h"

/* The ErrorLogFormat of a server as it is written; NULL where there is none. httpd
 * keeps only what it makes of it, so it is looked up in the configuration's tree. In
 * httpd's parent. */
const char *cgwm_errorformat_of(const server_rec *s, apr_pool_t *p);

#endif
