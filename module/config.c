/* SPDX-License-Identifier: Apache-2.0 */

#include "config.h"

#include "definition.h"

void *cgwm_server_conf_create(apr_pool_t *p, server_rec *s)
{
    cgwm_server_conf *conf = apr_pcalloc(p, sizeof(*conf));

    conf->server = s;
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

void *cgwm_dir_conf_create(apr_pool_t *p, char *dir)
{
    cgwm_dir_conf *conf = apr_pcalloc(p, sizeof(*conf));

    (void)dir;
    conf->pass_authorization = -1;
    conf->body_buffer = -1;
    conf->response_buffer.memory = -1;
    conf->response_buffer.file = -1;
    return conf;
}

void *cgwm_dir_conf_merge(apr_pool_t *p, void *base, void *add)
{
    const cgwm_dir_conf *outer = base, *inner = add;
    cgwm_dir_conf *conf = apr_palloc(p, sizeof(*conf));

#define INHERIT(field)                                                        \
    (conf->field = inner->field != -1 ? inner->field : outer->field)
    INHERIT(pass_authorization);
    INHERIT(body_buffer);
    INHERIT(response_buffer.memory);
    INHERIT(response_buffer.file);
#undef INHERIT
    return conf;
}

const char *cgwm_runtime_dir(const server_rec *main_server, apr_pool_t *p)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(main_server);

    return conf->runtime_dir ? conf->runtime_dir
                             : ap_runtime_dir_relative(p, "cgateway");
}
