/* SPDX-License-Identifier: Apache-2.0 */

/* mod_cgateway: each virtual host its own daemon process group of Python WSGI
 * workers. docs/architecture.md says how. */

#include "httpd.h"
#include "http_config.h"

#include "module/alarm.h"
#include "module/auth.h"
#include "module/config.h"
#include "module/file.h"
#include "module/gate.h"
#include "module/gateway.h"
#include "module/intake.h"
#include "module/notes.h"
#include "module/scheduling.h"
#include "module/status.h"
#include "module/supervisor.h"

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                        server_rec *main_server)
{
    (void)plog;
    return cgwm_groups_resolve(pconf, ptemp, main_server);
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    cgwm_file_register_filter();
    cgwm_gate_register_filter();
    cgwm_intake_register_hooks();
    cgwm_gateway_register_hooks(p);
    cgwm_auth_register(p);
    cgwm_status_register_hooks(p);
    cgwm_notes_register_hooks(p);
    cgwm_supervisor_register_hooks(p);
    cgwm_scheduling_register_hooks(p);
    cgwm_alarm_register_hooks(p);
}

/* The one symbol that httpd looks up; everything else is hidden. */
__attribute__((visibility("default")))
AP_DECLARE_MODULE(cgateway) = {
    STANDARD20_MODULE_STUFF,
    cgwm_dir_conf_create,
    cgwm_dir_conf_merge,
    cgwm_server_conf_create,
    cgwm_server_conf_merge,
    cgwm_directives,
    register_hooks,
    AP_MODULE_FLAG_NONE
};
