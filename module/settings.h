/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_SETTINGS_H
#define CGWM_SETTINGS_H

/* What the words of a group's directives mean: each setter checks those of one
 * kind and writes them down in the group's definition. */

#include "definition.h"

/* Sets a directive from its words: in def, or, where a <Location> has it (def is
 * NULL), in *number. NULL, or what is wrong, for httpd to say. */
const char *cgwm_setting_set(cmd_parms *cmd, enum cgwm_field field,
                             cgwm_definition *def, int64_t *number, int argc,
                             char *const argv[]);

/* A path of the configuration: a relative one begins at ServerRoot. NULL, and
 * what is wrong in *error, where it cannot be used; name is the directive's. */
const char *cgwm_setting_path(const char *name, const char *path, apr_pool_t *p,
                              const char **error);
/* "file:line" of a directive. */
const char *cgwm_where(const cmd_parms *cmd);

#endif
