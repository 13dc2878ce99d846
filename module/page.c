/* SPDX-License-Identifier: Apache-2.0 */

#include "page.h"

#include "apr_general.h"
#include "apr_strings.h"
#include "apr_time.h"
#include "http_core.h"
#include "http_protocol.h"
#include "httpd.h"

#include "control.h"

#define PLOT_WIDTH 240
#define PLOT_HEIGHT 40

/* Colours come from the visitor's own light or dark theme. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2530;"
    "--dim:#5d6b7a;--line:#dfe4ea;--good:#1a7f4b;--bad:#b3261e;--wait:#946200;"
    "--plot:#2563c9}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1b2128;"
    "--ink:#e6ebf0;--dim:#93a1b0;--line:#303944;--good:#56c98a;--bad:#ff8a80;"
    "--wait:#e0b04d;--plot:#7aa7f5}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:76rem;margin:0 auto;padding:1.5rem 1rem 4rem}\n"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1.15rem;margin:0}"
    "h1,h2,section,header{overflow-wrap:anywhere;min-width:0}"
    "h3{font-size:.8rem;margin:1.2rem 0 .3rem;color:var(--dim);"
    "text-transform:uppercase;letter-spacing:.06em}\n"
    "header{display:flex;flex-wrap:wrap;gap:.3rem 1rem;align-items:baseline;"
    "margin-bottom:1rem}.dim,header a{color:var(--dim)}\n"
    "section{background:var(--card);border:1px solid var(--line);"
    "border-radius:10px;padding:1rem 1.2rem;margin:0 0 1rem}\n"
    ".title{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}\n"
    ".badge{font-size:.8rem;font-weight:600;border:1px solid;border-radius:99px;"
    "padding:0 .6rem}.good{color:var(--good)}.bad{color:var(--bad)}"
    ".wait{color:var(--wait)}\n"
    ".numbers{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));"
    "gap:.6rem 1rem;margin:.9rem 0 0}.numbers div{border-left:3px solid var(--line);"
    "padding-left:.6rem}.numbers b{display:block;font-size:1.05rem;"
    "font-variant-numeric:tabular-nums}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));"
    "gap:1rem;margin-top:1rem}figure{margin:0}svg{display:block;width:100%;"
    "height:44px;border-bottom:1px solid var(--line)}polyline{fill:none;"
    "stroke:var(--plot);stroke-width:1.5;vector-effect:non-scaling-stroke}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;"
    "font-variant-numeric:tabular-nums}td,th{text-align:left;padding:.2rem .9rem "
    ".2rem 0;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th{color:var(--dim);font-weight:500}td.url{white-space:normal;"
    "overflow-wrap:anywhere}\n"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--bg);"
    "border:1px solid var(--line);border-radius:6px;padding:.7rem;"
    "font-size:.85rem}summary{cursor:pointer}\n";

/* Fetches the same page and puts its content in place of what is shown; what the
 * reader has unfolded stays so. */
static const char script[] =
    "(function(){var wait=2000;function renew(){fetch(location.href,"
    "{cache:'no-store'}).then(function(a){if(!a.ok)throw a.status;return a.text()})"
    ".then(function(t){var now=new DOMParser().parseFromString(t,'text/html')"
    ".querySelector('main'),old=document.querySelector('main');"
    "old.querySelectorAll('details[open]').forEach(function(d){"
    "now.querySelectorAll('details').forEach(function(n){"
    "if(n.dataset.key===d.dataset.key)n.open=true})});old.replaceWith(now);"
    "document.getElementById('live').textContent='live'})"
    ".catch(function(){document.getElementById('live').textContent="
    "'no answer; shown is what was last'}).finally(function(){"
    "setTimeout(renew,document.hidden?10000:wait)})}"
    "setTimeout(renew,wait)})()";

/* ---- words and numbers -------------------------------------------------------- */

static const char *escaped(request_rec *r, const char *text)
{
    return ap_escape_html(r->pool, text);
}

static const char *text_of(request_rec *r, const cgwm_json *object, const char *key)
{
    return escaped(r, cgwm_json_text_of(object, key));
}

static const char *duration(request_rec *r, apr_int64_t ms)
{
    static const struct {
        apr_int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms >= 2 * units[i].ms) {
            return apr_psprintf(r->pool, "%" APR_INT64_T_FMT " %s", ms / units[i].ms,
                                units[i].unit);
        }
    }
    return apr_psprintf(r->pool, "%.1f s", (double)ms / 1000);
}

static const char *latency(request_rec *r, apr_int64_t us)
{
    return us >= 1000000 ? apr_psprintf(r->pool, "%.1f s", (double)us / 1e6)
           : us >= 10000 ? apr_psprintf(r->pool, "%.0f ms", (double)us / 1e3)
                         : apr_psprintf(r->pool, "%.1f ms", (double)us / 1e3);
}

static const char *size(request_rec *r, apr_int64_t bytes)
{
    return bytes < 0 ? "-" : apr_psprintf(r->pool, "%.1f MiB",
                                          (double)bytes / 1048576);
}

static const char *moment(request_rec *r, apr_int64_t seconds)
{
    char text[APR_RFC822_DATE_LEN];

    apr_rfc822_date(text, apr_time_from_sec(seconds));
    return apr_pstrdup(r->pool, text);
}

static const char *tone(const char *state)
{
    return strcmp(state, "serving") == 0 || strcmp(state, "asleep") == 0 ? "good"
           : strcmp(state, "failed") == 0 || strcmp(state, "stopped") == 0
               ? "bad" : "wait";
}

static const char *rate(request_rec *r, const cgwm_json *group)
{
    const cgwm_json *recent = cgwm_json_get(group, "recent");
    apr_int64_t period = cgwm_json_int_of(recent, "period_ms");

    return period ? apr_psprintf(r->pool, "%.1f",
                                 (double)cgwm_json_int_of(recent, "requests") * 1000
                                     / (double)period) : "-";
}

/* ---- parts of a group ----------------------------------------------------------- */

static void put_number(request_rec *r, const char *value, const char *name)
{
    ap_rvputs(r, "<div><b>", value, "</b><span class=dim>", name, "</span></div>",
              NULL);
}

static void put_title(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *newest = cgwm_json_get(g, "generations");
    const char *state = cgwm_json_text_of(g, "state");

    newest = newest ? newest->first : NULL;
    ap_rprintf(r, "<div class=title><h2>%s</h2><span class=\"badge %s\">%s</span>",
               text_of(r, g, "name"), tone(state), escaped(r, state));
    if (!cgwm_json_is_true(cgwm_json_get(g, "ready"))) {
        ap_rputs("<span class=\"badge wait\">not ready</span>", r);
    }
    if (cgwm_json_int_of(g, "generation")) {
        ap_rprintf(r, "<span class=dim>generation %" APR_INT64_T_FMT "</span>",
                   cgwm_json_int_of(g, "generation"));
    }
    ap_rprintf(r, "</div><div class=dim>%s as %s, Python %s (%s)",
               text_of(r, g, "application"), text_of(r, g, "user"),
               escaped(r, cgwm_json_text(cgwm_json_get(newest, "python_version"), "?")),
               text_of(r, g, "python"));
    if (*cgwm_json_text_of(g, "settings")) {
        ap_rprintf(r, ", settings %s", text_of(r, g, "settings"));
    }
    ap_rputs("</div>", r);
}

static void put_percentiles(request_rec *r, const cgwm_json *values, const char *name)
{
    ap_rprintf(r, "<div><b>%s, %s, %s</b><span class=dim>%s: p50, p90, p99, last "
               "minute</span></div>", latency(r, cgwm_json_int_of(values, "p50")),
               latency(r, cgwm_json_int_of(values, "p90")),
               latency(r, cgwm_json_int_of(values, "p99")), name);
}

static void put_numbers(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *recent = cgwm_json_get(g, "recent");
    const cgwm_json *queue = cgwm_json_get(g, "queue");
    const cgwm_json *total = cgwm_json_get(g, "total");

    ap_rputs("<div class=numbers>", r);
    put_number(r, rate(r, g), "requests/s, last minute");
    put_percentiles(r, cgwm_json_get(recent, "latency_us"), "latency");
    put_percentiles(r, cgwm_json_get(recent, "queue_us"), "waiting");
    put_number(r, apr_psprintf(r->pool, "%" APR_INT64_T_FMT " of %" APR_INT64_T_FMT,
                               cgwm_control_sum(g, "busy"),
                               cgwm_control_sum(g, "threads")), "threads busy");
    put_number(r, apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                               cgwm_json_int_of(queue, "length")),
               cgwm_json_int_of(queue, "age_ms") > 0
                   ? apr_psprintf(r->pool, "requests queued, for %s",
                                  duration(r, cgwm_json_int_of(queue, "age_ms")))
                   : "requests queued");
    put_number(r, apr_psprintf(r->pool, "%" APR_INT64_T_FMT,
                               cgwm_json_int_of(total, "requests")), "requests in all");
    put_number(r, size(r, cgwm_control_sum(g, "memory")),
               apr_psprintf(r->pool, "memory of %" APR_INT64_T_FMT " processes",
                            cgwm_control_sum(g, NULL)));
    put_number(r, duration(r, cgwm_control_sum(g, "cpu_ms")), "processor time");
    ap_rputs("</div>", r);
}

static void put_plot(request_rec *r, const cgwm_json *history, const char *key,
                     const char *name, double divisor, const char *unit)
{
    const cgwm_json *values = cgwm_json_get(history, key);
    apr_int64_t most = 0;
    apr_int64_t n = values ? values->number : 0, at = 0;

    for (const cgwm_json *v = values && n ? values->first : NULL; v; v = v->next) {
        most = cgwm_json_int(v, 0) > most ? cgwm_json_int(v, 0) : most;
    }
    ap_rprintf(r, "<figure><figcaption class=dim>%s, at most %.1f%s</figcaption>"
               "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=none role=img "
               "aria-label=\"%s\"><polyline points=\"", name, (double)most / divisor,
               unit, PLOT_WIDTH, PLOT_HEIGHT + 2, name);
    for (const cgwm_json *v = values && n > 1 ? values->first : NULL; v;
         v = v->next, at++) {
        ap_rprintf(r, "%.1f,%.1f ", (double)at * PLOT_WIDTH / (double)(n - 1),
                   1 + PLOT_HEIGHT
                       - (most ? (double)cgwm_json_int(v, 0) * PLOT_HEIGHT
                                     / (double)most : 0));
    }
    ap_rputs("\"/></svg></figure>", r);
}

static void put_plots(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *history = cgwm_json_get(g, "history");
    double seconds = (double)cgwm_json_int_of(history, "interval_ms") / 1000;

    ap_rputs("<div class=plots>", r);
    put_plot(r, history, "requests", "requests/s", seconds > 0 ? seconds : 1, "");
    put_plot(r, history, "p99_us", "latency, p99", 1000, " ms");
    put_plot(r, history, "busy", "threads busy", 1, "");
    put_plot(r, history, "queued", "requests queued", 1, "");
    ap_rputs("</div>", r);
}

static void put_requests(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *list = cgwm_json_get(g, "requests");

    if (!list || !list->first) {
        return;
    }
    ap_rputs("<h3>Requests that run</h3><div class=scroll><table><tr><th>age<th>state"
             "<th>process<th>thread<th>request</tr>", r);
    for (const cgwm_json *q = list->first; q; q = q->next) {
        ap_rprintf(r, "<tr><td>%s<td>%s<td>%" APR_INT64_T_FMT "<td>%" APR_INT64_T_FMT
                   "<td class=url>%s</tr>",
                   duration(r, cgwm_json_int_of(q, "age_ms")), text_of(r, q, "state"),
                   cgwm_json_int_of(q, "pid"), cgwm_json_int_of(q, "thread"),
                   text_of(r, q, "request"));
    }
    ap_rputs("</table></div>", r);
}

static void put_process(request_rec *r, const cgwm_json *gen, const cgwm_json *p)
{
    apr_int64_t cpu = cgwm_json_int_of(p, "cpu_ms");

    ap_rprintf(r, "<tr><td>%" APR_INT64_T_FMT "<td>%" APR_INT64_T_FMT "<td>%s%s%s<td>%s"
               "<td>%" APR_INT64_T_FMT "/%" APR_INT64_T_FMT "<td>%" APR_INT64_T_FMT
               "<td>%s<td>%s</tr>", cgwm_json_int_of(gen, "number"),
               cgwm_json_int_of(p, "pid"), text_of(r, p, "state"),
               *cgwm_json_text_of(p, "leaving") ? ", is replaced: " : "",
               text_of(r, p, "leaving"), duration(r, cgwm_json_int_of(p, "age_ms")),
               cgwm_json_int_of(p, "busy"), cgwm_json_int_of(p, "threads"),
               cgwm_json_int_of(p, "requests"), size(r, cgwm_json_int_of(p, "memory")),
               cpu < 0 ? "-" : duration(r, cpu));
}

static void put_processes(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *generations = cgwm_json_get(g, "generations");

    if (!cgwm_control_sum(g, NULL)) {
        return;
    }
    ap_rputs("<h3>Processes</h3><div class=scroll><table><tr><th>generation<th>pid"
             "<th>state<th>age<th>busy threads<th>requests<th>memory<th>processor</tr>",
             r);
    for (const cgwm_json *gen = generations->first; gen; gen = gen->next) {
        const cgwm_json *list = cgwm_json_get(gen, "processes");
        for (const cgwm_json *p = list ? list->first : NULL; p; p = p->next) {
            put_process(r, gen, p);
        }
    }
    ap_rputs("</table></div>", r);
}

/* "this: 3, that: 1" of the members of an object. */
static void put_counts(request_rec *r, const cgwm_json *object, const char *title)
{
    if (!object || !object->first) {
        return;
    }
    ap_rprintf(r, "<h3>%s</h3><div>", title);
    for (const cgwm_json *m = object->first; m; m = m->next) {
        ap_rprintf(r, "%s%s: %" APR_INT64_T_FMT, m == object->first ? "" : ", ",
                   escaped(r, m->key), cgwm_json_int(m, 0));
    }
    ap_rputs("</div>", r);
}

static void put_last_end(request_rec *r, const cgwm_json *end)
{
    if (!end || end->type != CGWM_JSON_OBJECT) {
        return;
    }
    ap_rprintf(r, "<div class=dim>last: pid %" APR_INT64_T_FMT ", %s, %s%s%s</div>",
               cgwm_json_int_of(end, "pid"), text_of(r, end, "cause"),
               moment(r, cgwm_json_int_of(end, "time")),
               *cgwm_json_text_of(end, "last_words") ? "; last words: " : "",
               text_of(r, end, "last_words"));
}

static void put_failure(request_rec *r, const cgwm_json *g)
{
    const cgwm_json *failure = cgwm_json_get(g, "last_failure");
    int grave = !cgwm_json_is_true(cgwm_json_get(failure, "repaired"));

    if (!failure || failure->type != CGWM_JSON_OBJECT) {
        return;
    }
    ap_rprintf(r, "<h3>Last start that failed</h3><details data-key=\"%s\"%s><summary>"
               "generation %" APR_INT64_T_FMT ", %s: %s</summary><pre>%s</pre></details>",
               text_of(r, g, "name"), grave ? " open" : "",
               cgwm_json_int_of(failure, "generation"),
               moment(r, cgwm_json_int_of(failure, "time")),
               text_of(r, failure, "reason"), text_of(r, failure, "output"));
}

static void put_group(request_rec *r, const cgwm_json *g)
{
    ap_rvputs(r, "<section id=\"group-", text_of(r, g, "name"), "\">", NULL);
    put_title(r, g);
    put_failure(r, g);
    put_numbers(r, g);
    put_plots(r, g);
    put_requests(r, g);
    put_processes(r, g);
    put_counts(r, cgwm_json_get(cgwm_json_get(g, "total"), "errors"), "Errors");
    put_counts(r, cgwm_json_get(g, "ends"), "Processes that ended");
    put_last_end(r, cgwm_json_get(g, "last_end"));
    ap_rputs("</section>\n", r);
}

/* Of many groups, those that a reader has to find. */
static void put_failed(request_rec *r, const apr_array_header_t *groups)
{
    const char *between = "<section class=bad>Could not be started: ";

    for (int i = 0; i < groups->nelts; i++) {
        const cgwm_json *g = APR_ARRAY_IDX(groups, i, const cgwm_json *);
        const char *name = text_of(r, g, "name");

        if (!strcmp(cgwm_json_text_of(g, "state"), "failed")) {
            ap_rvputs(r, between, "<a class=bad href=\"#group-", name, "\">", name,
                      "</a>", NULL);
            between = ", ";
        }
    }
    if (*between == ',') {
        ap_rputs("</section>\n", r);
    }
}

/* ---- the page --------------------------------------------------------------------- */

/* Nothing but this page's own style and script may have an effect in it. */
static const char *forbid_the_rest(request_rec *r)
{
    unsigned char random[16];
    char nonce[2 * sizeof(random) + 1];

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        memset(random, 0, sizeof(random));
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        apr_snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    }
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_psprintf(r->pool, "default-src 'none'; style-src 'nonce-%s'; "
                                "script-src 'nonce-%s'; connect-src 'self'; "
                                "base-uri 'none'; form-action 'none'", nonce, nonce));
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    return apr_pstrdup(r->pool, nonce);
}

void cgwm_page_send(request_rec *r, const cgwm_json *status)
{
    apr_array_header_t *groups = cgwm_control_groups(status, r->pool);
    const char *nonce = forbid_the_rest(r);

    ap_set_content_type(r, "text/html; charset=utf-8");
    ap_rvputs(r, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
              "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
              "<title>cgateway: ", escaped(r, ap_get_server_name(r)),
              "</title><noscript><meta http-equiv=refresh content=10></noscript>\n"
              "<style nonce=", nonce, ">", style, "</style></head><body>\n", NULL);
    ap_rprintf(r, "<main><header><h1>%s</h1><span class=dim>%d groups, supervisor pid %"
               APR_INT64_T_FMT ", up %s</span><span class=dim id=live></span>"
               "<a href=\"?json\">JSON</a><a href=\"?openmetrics\">metrics</a>"
               "</header>\n",
               escaped(r, ap_get_server_name(r)), groups->nelts,
               cgwm_json_int_of(status, "pid"),
               duration(r, cgwm_json_int_of(status, "age_ms")));
    if (cgwm_json_is_true(cgwm_json_get(status, "draining"))) {
        ap_rputs("<section class=wait>Told to drain: every group says that it is not "
                 "ready.</section>\n", r);
    }
    put_failed(r, groups);
    for (int i = 0; i < groups->nelts; i++) {
        put_group(r, APR_ARRAY_IDX(groups, i, const cgwm_json *));
    }
    ap_rvputs(r, "</main>\n<script nonce=", nonce, ">", script,
              "</script></body></html>\n", NULL);
}

/* ---- in mod_status ----------------------------------------------------------------- */

void cgwm_page_send_section(request_rec *r, const cgwm_json *status, int is_short)
{
    apr_array_header_t *groups = cgwm_control_groups(status, r->pool);

    ap_rputs(is_short ? "" : "<hr />\n<h2>cgateway</h2>\n<table border=\"0\"><tr>"
             "<th>Group</th><th>State</th><th>Req/s</th><th>Busy</th><th>Threads</th>"
             "<th>Queued</th><th>Requests</th></tr>\n", r);
    for (int i = 0; i < groups->nelts; i++) {
        const cgwm_json *g = APR_ARRAY_IDX(groups, i, const cgwm_json *);
        ap_rprintf(r, is_short
                   ? "cgateway %s: %s %s %" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %"
                     APR_INT64_T_FMT " %" APR_INT64_T_FMT "\n"
                   : "<tr><td>%s</td><td>%s</td><td>%s</td><td>%" APR_INT64_T_FMT
                     "</td><td>%" APR_INT64_T_FMT "</td><td>%" APR_INT64_T_FMT
                     "</td><td>%" APR_INT64_T_FMT "</td></tr>\n",
                   text_of(r, g, "name"), text_of(r, g, "state"), rate(r, g),
                   cgwm_control_sum(g, "busy"), cgwm_control_sum(g, "threads"),
                   cgwm_json_int_of(cgwm_json_get(g, "queue"), "length"),
                   cgwm_json_int_of(cgwm_json_get(g, "total"), "requests"));
    }
    ap_rputs(is_short ? "" : "</table>\n", r);
}
