/* SPDX-License-Identifier: Apache-2.0 */

#include "metrics.h"

#include "apr_strings.h"
#include "http_protocol.h"

#include "cgw_scoreboard.h"
#include "control.h"

#define OPENMETRICS "application/openmetrics-text"
/* Of the bounds of the supervisor's histograms those are sent that are powers of two,
 * and tell anything: from 64 us to 67 s. */
#define BOUND_FIRST (1 << 6)
#define BOUND_LAST (1 << 26)

typedef struct writer {
    request_rec *r;
    int open;                       /* OpenMetrics */
    const apr_array_header_t *groups;
} writer;

/* A metric's value in a group. */
typedef apr_int64_t value_fn(const cgwm_json *group);

/* A label's value (OpenMetrics 1.0, escaped-string). */
static const char *label(const writer *w, const char *text)
{
    char *out = apr_palloc(w->r->pool, 2 * strlen(text) + 1), *at = out;

    for (; *text; text++) {
        if (*text == '\\' || *text == '"' || *text == '\n') {
            *at++ = '\\';
        }
        *at++ = (char)(*text == '\n' ? 'n' : *text);
    }
    *at = '\0';
    return out;
}

static const char *name_of(const writer *w, const cgwm_json *group)
{
    return label(w, cgwm_json_text_of(group, "name"));
}

/* The text format names a counter as its samples are named. */
static void begin(const writer *w, const char *name, const char *type,
                  const char *help)
{
    const char *suffix = strcmp(type, "counter") == 0 && !w->open ? "_total" : "";

    ap_rprintf(w->r, "# TYPE cgateway_%s%s %s\n# HELP cgateway_%s%s %s\n", name,
               suffix, type, name, suffix, help);
}

static const cgwm_json *group_at(const writer *w, int i)
{
    return APR_ARRAY_IDX(w->groups, i, const cgwm_json *);
}

static void put_gauge(const writer *w, const char *name, const char *help,
                      value_fn *value)
{
    begin(w, name, "gauge", help);
    for (int i = 0; i < w->groups->nelts; i++) {
        ap_rprintf(w->r, "cgateway_%s{group=\"%s\"} %" APR_INT64_T_FMT "\n", name,
                   name_of(w, group_at(w, i)), value(group_at(w, i)));
    }
}

static void put_counter(const writer *w, const char *name, const char *help,
                        value_fn *value)
{
    begin(w, name, "counter", help);
    for (int i = 0; i < w->groups->nelts; i++) {
        ap_rprintf(w->r, "cgateway_%s_total{group=\"%s\"} %" APR_INT64_T_FMT "\n",
                   name, name_of(w, group_at(w, i)), value(group_at(w, i)));
    }
}

/* A counter for each member of an object of the group. */
static void put_counters(const writer *w, const char *name, const char *help,
                         const char *what, const cgwm_json *(*find)(const cgwm_json *))
{
    begin(w, name, "counter", help);
    for (int i = 0; i < w->groups->nelts; i++) {
        const cgwm_json *object = find(group_at(w, i));
        for (const cgwm_json *m = object ? object->first : NULL; m; m = m->next) {
            ap_rprintf(w->r, "cgateway_%s_total{group=\"%s\",%s=\"%s\"} %"
                       APR_INT64_T_FMT "\n", name, name_of(w, group_at(w, i)), what,
                       label(w, m->key), cgwm_json_int(m, 0));
        }
    }
}

static void put_buckets(const writer *w, const char *name, const cgwm_json *group,
                        const char *key)
{
    const cgwm_json *counts = cgwm_json_get(cgwm_json_get(group, "total"), key);
    apr_int64_t sum = 0;
    int n = 0;

    for (const cgwm_json *c = counts ? counts->first : NULL; c; c = c->next, n++) {
        sum += cgwm_json_int(c, 0);
        apr_uint64_t end = cgw_bucket_low((unsigned)n + 1);
        if (n % 4 == 0 && end >= BOUND_FIRST && end <= BOUND_LAST) {
            ap_rprintf(w->r, "cgateway_%s_bucket{group=\"%s\",le=\"%.6f\"} %"
                       APR_INT64_T_FMT "\n", name, name_of(w, group),
                       (double)end / 1e6, sum);
        }
    }
    ap_rprintf(w->r, "cgateway_%s_bucket{group=\"%s\",le=\"+Inf\"} %"
               APR_INT64_T_FMT "\ncgateway_%s_count{group=\"%s\"} %"
               APR_INT64_T_FMT "\n", name, name_of(w, group), sum, name,
               name_of(w, group), sum);
}

static void put_histograms(const writer *w)
{
    begin(w, "request_duration_seconds", "histogram",
          "From a worker's receiving a request to the end of its response.");
    for (int i = 0; i < w->groups->nelts; i++) {
        const cgwm_json *total = cgwm_json_get(group_at(w, i), "total");
        put_buckets(w, "request_duration_seconds", group_at(w, i), "latency");
        ap_rprintf(w->r, "cgateway_request_duration_seconds_sum{group=\"%s\"} %.6f\n",
                   name_of(w, group_at(w, i)),
                   (double)cgwm_json_int_of(total, "busy_us") / 1e6);
    }
    begin(w, "queue_duration_seconds", "histogram",
          "From httpd's sending a request to a worker's receiving it.");
    for (int i = 0; i < w->groups->nelts; i++) {
        put_buckets(w, "queue_duration_seconds", group_at(w, i), "queue");
    }
}

/* ---- values ----------------------------------------------------------------- */

static apr_int64_t get_ready(const cgwm_json *group)
{
    return cgwm_json_is_true(cgwm_json_get(group, "ready"));
}

static apr_int64_t get_generation(const cgwm_json *group)
{
    return cgwm_json_int_of(group, "generation");
}

static apr_int64_t get_processes(const cgwm_json *group)
{
    return cgwm_control_sum(group, NULL);
}

static apr_int64_t get_threads(const cgwm_json *group)
{
    return cgwm_control_sum(group, "threads");
}

static apr_int64_t get_busy(const cgwm_json *group)
{
    return cgwm_control_sum(group, "busy");
}

static apr_int64_t get_memory(const cgwm_json *group)
{
    return cgwm_control_sum(group, "memory");
}

static apr_int64_t get_queue(const cgwm_json *group)
{
    return cgwm_json_int_of(cgwm_json_get(group, "queue"), "length");
}

static apr_int64_t get_requests(const cgwm_json *group)
{
    return cgwm_json_int_of(cgwm_json_get(group, "total"), "requests");
}

static apr_int64_t get_bytes(const cgwm_json *group)
{
    return cgwm_json_int_of(cgwm_json_get(group, "total"), "bytes");
}

static const cgwm_json *get_errors(const cgwm_json *group)
{
    return cgwm_json_get(cgwm_json_get(group, "total"), "errors");
}

static const cgwm_json *get_ends(const cgwm_json *group)
{
    return cgwm_json_get(group, "ends");
}

static void put_info(const writer *w)
{
    begin(w, "group_info", "gauge", "What the group is.");
    for (int i = 0; i < w->groups->nelts; i++) {
        const cgwm_json *g = group_at(w, i);
        ap_rprintf(w->r, "cgateway_group_info{group=\"%s\",state=\"%s\","
                   "application=\"%s\",user=\"%s\",python=\"%s\"} 1\n", name_of(w, g),
                   label(w, cgwm_json_text_of(g, "state")),
                   label(w, cgwm_json_text_of(g, "application")),
                   label(w, cgwm_json_text_of(g, "user")),
                   label(w, cgwm_json_text_of(g, "python")));
    }
}

void cgwm_metrics_send(request_rec *r, const cgwm_json *status)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    writer w = {.r = r, .open = accept && strstr(accept, OPENMETRICS) != NULL,
                .groups = cgwm_control_groups(status, r->pool)};

    ap_set_content_type(r, w.open ? OPENMETRICS "; version=1.0.0; charset=utf-8"
                                  : "text/plain; version=0.0.4; charset=utf-8");
    put_info(&w);
    put_gauge(&w, "group_ready", "1 where it serves and is not told to drain.",
              get_ready);
    put_gauge(&w, "group_generation", "Number of the generation that serves.",
              get_generation);
    put_gauge(&w, "processes", "Processes, with templates.", get_processes);
    put_gauge(&w, "threads", "Request threads.", get_threads);
    put_gauge(&w, "threads_busy", "Threads that are with a request.", get_busy);
    put_gauge(&w, "queue_length", "Requests that no worker has accepted.", get_queue);
    put_gauge(&w, "memory_bytes", "Resident memory of its processes.", get_memory);
    put_counter(&w, "requests", "Requests that ended.", get_requests);
    put_counter(&w, "response_bytes", "Bytes of response bodies.", get_bytes);
    put_counters(&w, "errors", "Requests that failed.", "kind", get_errors);
    put_counters(&w, "process_ends", "Processes that ended.", "cause", get_ends);
    put_histograms(&w);
    if (w.open) {
        ap_rputs("# EOF\n", r);
    }
}
