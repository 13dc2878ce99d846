/* SPDX-License-Identifier: Apache-2.0 */

#include "notes.h"

#include "apr_strings.h"
#include "http_protocol.h"

#define PREFIX "cgateway-"

static void set_note(request_rec *r, const char *name, apr_uint64_t value)
{
    apr_table_setn(r->notes, name,
                   apr_psprintf(r->pool, "%" APR_UINT64_T_FMT, value));
}

/* What a worker says of itself is as true as it is. */
void cgwm_notes_set(request_rec *r, const cgwm_response *res,
                    apr_interval_time_t took)
{
    apr_uint64_t all = took > 0 ? (apr_uint64_t)took : 0;

    apr_table_setn(r->notes, PREFIX "group", res->group);
    if (res->worker_pid) {
        set_note(r, PREFIX "pid", res->worker_pid);
        set_note(r, PREFIX "generation", res->generation);
        set_note(r, PREFIX "queue-us", res->queue_us);
        set_note(r, PREFIX "app-us", all > res->queue_us ? all - res->queue_us : 0);
    }
}

static int copy_note(void *data, const char *name, const char *value)
{
    request_rec *to = data;

    if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0
        && !apr_table_get(to->notes, name)) {
        apr_table_setn(to->notes, name, value);
    }
    return 1;
}

/* The access log looks at the last of a chain of internal redirects: an ErrorDocument's
 * request, where the application's failed. */
static int pass_on(request_rec *r)
{
    request_rec *last = r;

    while (last->next) {
        last = last->next;
    }
    if (last != r) {
        apr_table_do(copy_note, last, r->notes, NULL);
    }
    return DECLINED;
}

void cgwm_notes_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_log_transaction(pass_on, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
