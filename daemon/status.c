/* SPDX-License-Identifier: Apache-2.0 */

#include "status.h"

#include <stdio.h>
#include <unistd.h>

#include "activity.h"
#include "cgw_admin.h"

/* ---- names of what administrators see -------------------------------------- */

static const char *state_of(const cgwd_group *group)
{
    if (group->retiring) {
        return "retiring";
    }
    if (group->stopped) {
        return "stopped";
    }
    if (group->demand.asleep) {
        return "asleep";
    }
    if (cgwd_group_serving(group)) {
        return "serving";
    }
    return group->refusing ? "failed" : "starting";
}

/* ---- parts ------------------------------------------------------------------ */

static void put_process(cgwd_json *json, const cgwd_process *proc)
{
    cgwd_json_object(json, NULL);
    cgwd_json_number(json, "pid", proc->pid);
    cgwd_json_string(json, "state", cgwd_process_state_name(proc->state));
    cgwd_json_number(json, "age_ms", cgwd_now() - proc->born);
    cgwd_activity_process(json, proc);
    cgwd_json_object_end(json);
}

/* sys.hexversion as 3.13.1 */
static void put_version(cgwd_json *json, uint32_t version)
{
    char text[32];

    if (!version) {
        cgwd_json_null(json, "python_version");
        return;
    }
    snprintf(text, sizeof(text), "%u.%u.%u", version >> 24, version >> 16 & 0xff,
             version >> 8 & 0xff);
    cgwd_json_string(json, "python_version", text);
}

static void put_generation(cgwd_json *json, const cgwd_generation *gen)
{
    cgwd_json_object(json, NULL);
    cgwd_json_number(json, "number", gen->number);
    cgwd_json_string(json, "state", cgwd_generation_state_name(gen->state));
    cgwd_json_number(json, "age_ms", cgwd_now() - gen->born);
    cgwd_json_bool(json, "forked", !gen->solo);
    put_version(json, gen->python);
    cgwd_json_array(json, "processes");
    for (const cgwd_process *p = gen->processes; p; p = p->next) {
        put_process(json, p);
    }
    cgwd_json_array_end(json);
    cgwd_json_object_end(json);
}

/* Whether what came after the failure could be started; where nothing runs, what came
 * last is as good as known to be well. */
static int is_repaired(const cgwd_group *group)
{
    const cgwd_generation *gen = cgwd_group_serving(group);
    unsigned reached = gen ? gen->number : group->generations ? 0 : group->last_number;

    return reached > group->failure->generation;
}

static void put_failure(cgwd_json *json, const cgwd_group *group)
{
    const cgwd_failure *failure = group->failure;

    if (!failure) {
        cgwd_json_null(json, "last_failure");
        return;
    }
    cgwd_json_object(json, "last_failure");
    cgwd_json_number(json, "generation", failure->generation);
    cgwd_json_number(json, "time", failure->time);
    cgwd_json_bool(json, "repaired", is_repaired(group));
    cgwd_json_string(json, "reason", failure->reason);
    cgwd_json_string(json, "output", failure->output);
    cgwd_json_object_end(json);
}

static void put_spec(cgwd_json *json, const cgw_spec *spec)
{
    cgwd_json_string(json, "application", spec->application);
    cgwd_json_string(json, "settings", spec->settings);
    cgwd_json_string(json, "python", spec->python);
    cgwd_json_string(json, "user", spec->user);
    cgwd_json_number(json, "uid", spec->uid >= 0 ? spec->uid : geteuid());
    cgwd_json_number(json, "processes", spec->processes);
    cgwd_json_number(json, "processes_max", spec->processes_max);
    cgwd_json_number(json, "threads", spec->threads);
}

/* ---- whole ------------------------------------------------------------------ */

void cgwd_status_group(cgwd_json *json, cgwd_group *group)
{
    const cgwd_generation *gen = cgwd_group_serving(group);

    cgwd_json_object(json, NULL);
    cgwd_json_string(json, "name", group->name);
    cgwd_json_string(json, "state", state_of(group));
    if (gen) {
        cgwd_json_number(json, "generation", gen->number);
    }
    else {
        cgwd_json_null(json, "generation");
    }
    cgwd_json_bool(json, "ready", cgwd_group_is_ready(group));
    put_spec(json, group->spec);
    put_failure(json, group);
    cgwd_activity_group(json, group);
    cgwd_activity_requests(json, group);
    cgwd_json_array(json, "generations");
    for (const cgwd_generation *g = group->generations; g; g = g->next) {
        put_generation(json, g);
    }
    cgwd_json_array_end(json);
    cgwd_json_object_end(json);
}

void cgwd_status_supervisor(cgwd_json *json, const cgwd_supervisor *sup)
{
    cgwd_json_number(json, "protocol", CGW_ADMIN_VERSION);
    cgwd_json_number(json, "pid", getpid());
    cgwd_json_number(json, "age_ms", cgwd_now() - sup->born);
    cgwd_json_bool(json, "ending", sup->ending);
    cgwd_json_bool(json, "draining", sup->unready);
}
