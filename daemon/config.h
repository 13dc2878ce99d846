/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CONFIG_H
#define CGWD_CONFIG_H

#include "supervisor.h"

/* The configuration as it comes from httpd's parent: taken whole, at COMMIT,
 * or not at all. */
typedef struct cgwd_config cgwd_config;

/* Listens on fd. Its end of file ends the supervisor. NULL: errno. */
cgwd_config *cgwd_config_listen(cgwd_supervisor *sup, int fd);

#endif
