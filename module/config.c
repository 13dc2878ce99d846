/* SPDX-License-Identifier: Apache-2.0 */

#include "config.h"

#include "definition.h"

void *cgwm_server_conf_create(apr_pool_t *p, server_rec *s)
{
    cgwm_server_conf *conf = apr_pcalloc(p, sizeof(*conf));

    conf->server = s;
    conf->batch_scheduling = 1;
    conf->named = apr_array_make(p, 2, sizeof(cgwm_definition *));
    conf->mounts = apr_array_make(p, 2, sizeof(cgwm_mount));
    return conf;
}

/* A virtual host inherits nothing of the main server: neither its group nor
 * its mounts. That is the module's reason to exist. */
void *cgwm_server_conf_merge(apr_pool_t *p, void *base, void *add)
{
    (void)p;
    (void)base;
    return add;
}

const char *cgwm_runtime_dir(const server_rec *main_server, apr_pool_t *p)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(main_server);

    return conf->runtime_dir ? conf->runtime_dir
                             : ap_runtime_dir_relative(p, "cgateway");
}
