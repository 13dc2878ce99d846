/* SPDX-License-Identifier: Apache-2.0 */

#include "scheduling.h"

#include <errno.h>
#include <sched.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"

#include "config.h"

APLOG_USE_MODULE(cgateway);

/* Of this process, before it has threads, which inherit it (sched(7)). Where the
 * administrator has chosen a policy, it stays. */
static void child_init(apr_pool_t *p, server_rec *s)
{
    struct sched_param none = {0};

    (void)p;
    if (!cgwm_server_conf_get(s)->batch_scheduling || !cgwm_has_groups(s)
        || sched_getscheduler(0) != SCHED_OTHER) {
        return;
    }
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, errno, s,
                     "the kernel does not let httpd's processes be scheduled as "
                     "SCHED_BATCH: they take processors from workers more often");
    }
}

void cgwm_scheduling_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}
