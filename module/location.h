/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_LOCATION_H
#define CGWM_LOCATION_H

/* The request directives, which any location can have: their setters, in the
 * form that command_rec wants. */

#include "httpd.h"
#include "http_config.h"

const char *cgwm_set_pass_authorization(cmd_parms *cmd, void *dir, int on);
const char *cgwm_set_debug(cmd_parms *cmd, void *dir, int on);
const char *cgwm_set_body_buffer(cmd_parms *cmd, void *dir, const char *memory,
                                 const char *file);
const char *cgwm_set_response_buffer(cmd_parms *cmd, void *dir,
                                     const char *memory, const char *file);
const char *cgwm_set_error_override(cmd_parms *cmd, void *dir, int argc,
                                    char *const argv[]);
const char *cgwm_set_auth_group(cmd_parms *cmd, void *dir, const char *name);
const char *cgwm_set_auth_functions(cmd_parms *cmd, void *dir,
                                    const char *password, const char *groups);
const char *cgwm_set_auth_cache(cmd_parms *cmd, void *dir, const char *time);
const char *cgwm_set_sendfile_root(cmd_parms *cmd, void *dir, int argc,
                                   char *const argv[]);
/* CGatewayRequestTimeout, whose words settings.c has checked. */
void cgwm_set_request_timeout(void *dir, int64_t ms);

#endif
