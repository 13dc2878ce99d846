/* SPDX-License-Identifier: Apache-2.0 */

/* From what is written to the groups that it means. */

#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_strings.h"

#include "cgw_wire.h"
#include "check.h"
#include "sandbox.h"
#include "definition.h"
#include "limits.h"
#include "mount.h"
#include "parse.h"
#include "tally.h"
#include "user.h"
#include "variables.h"

#define MAIN_GROUP_NAME "_default_"
#define SYSTEM_PYTHON "/usr/bin/python3"

typedef struct resolver {
    cgwm_report report;
    apr_pool_t *p;              /* what stays */
    apr_hash_t *groups;         /* name -> cgwm_group */
    apr_hash_t *definitions;    /* name -> the definition that came first */
} resolver;

/* ---- names ------------------------------------------------------------- */

/* httpd gives a virtual host without ServerName a looked-up name, so the
 * configuration tree has to tell. */
static int has_server_name(const cgwm_definition *def)
{
    const ap_directive_t *d = def->scope ? def->scope->first_child : ap_conftree;

    while (d && ap_cstr_casecmp(d->directive, "ServerName")) {
        d = d->next;
    }
    return d != NULL;
}

/* The name of a server's own group, NULL (reported) where it has none. */
static const char *own_name(resolver *r, const cgwm_definition *def)
{
    const char *name;

    if (!has_server_name(def)) {
        if (!def->server->is_virtual) {
            return MAIN_GROUP_NAME;
        }
        cgwm_report_error(&r->report, CGW_LOGNO(0022) "the virtual host with %s has no "
            "ServerName, which its group would be named after. Add ServerName.",
            cgwm_definition_quote(def, CGWM_APPLICATION, r->p));
        return NULL;
    }
    name = cgwm_group_name_from(def->server->server_hostname, r->p);
    if (!cgwm_is_group_name(name)) {
        cgwm_report_error(&r->report, CGW_LOGNO(0023) "ServerName %s (the virtual host "
            "with %s) cannot name its group: a name has at most %d characters and begins "
            "with a letter, a digit or '_'. Put the directives into <CGatewayGroup name> "
            "and add CGatewayMount / name to the virtual host.",
            def->server->server_hostname,
            cgwm_definition_quote(def, CGWM_APPLICATION, r->p), CGWM_GROUP_NAME_MAX);
        return NULL;
    }
    return name;
}

/* ---- the spec ---------------------------------------------------------- */

static int is_executable_file(const char *path)
{
    struct stat st;

    return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static const char *find_on_path(const char *program, apr_pool_t *p)
{
    const char *path = getenv("PATH");
    char *state;
    char *dirs = apr_pstrdup(p, path ? path : "");

    for (char *dir = apr_strtok(dirs, ":", &state); dir;
         dir = apr_strtok(NULL, ":", &state)) {
        const char *file = apr_pstrcat(p, dir, "/", program, NULL);
        if (*dir == '/' && is_executable_file(file)) {
            return file;
        }
    }
    return NULL;
}

static const char *default_python(resolver *r, const cgw_spec *spec)
{
    const char *python = is_executable_file(cgwm_inside(spec, SYSTEM_PYTHON, r->p))
                             ? SYSTEM_PYTHON
                             : spec->chroot ? NULL : find_on_path("python3", r->p);
    int goes_on;

    if (python) {
        return python;
    }
    goes_on = cgwm_report_absent(&r->report, CGW_LOGNO(0042) "group %s has no "
        "CGatewayPython, and there is neither " SYSTEM_PYTHON " nor a python3 on httpd's "
        "PATH. Install Python, or set CGatewayPython to a virtual environment or an "
        "interpreter.", spec->name);
    return goes_on ? SYSTEM_PYTHON : NULL;
}

static void lack_python(resolver *r, cgw_spec *spec)
{
    spec->unready = apr_psprintf(r->p, "CGatewayPython %s is not there; \"apachectl "
                                 "configtest\" tells more", spec->python);
}

/* CGatewayPython: a directory is a virtual environment. */
static const char *resolve_python(resolver *r, const cgwm_definition *def,
                                  cgw_spec *spec)
{
    static const char *const names[] = {"/bin/python3", "/bin/python"};
    struct stat st;
    int goes_on;

    if (!spec->python) {
        return default_python(r, spec);
    }
    if (stat(cgwm_inside(spec, spec->python, r->p), &st)) {
        lack_python(r, spec);   /* or the directory that it is to be */
        return spec->python;
    }
    if (!S_ISDIR(st.st_mode)) {
        return spec->python;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *file = apr_pstrcat(r->p, spec->python, names[i], NULL);
        if (!stat(cgwm_inside(spec, file, r->p), &st)) {
            return file;
        }
    }
    goes_on = cgwm_report_absent(&r->report, CGW_LOGNO(0043) "group %s: %s: the "
        "directory is not a virtual environment: it has neither bin/python3 nor "
        "bin/python that leads to an interpreter. Create it (python3 -m venv %s), or "
        "name an interpreter.",
        spec->name, cgwm_definition_quote(def, CGWM_PYTHON, r->p), spec->python);
    lack_python(r, spec);
    return goes_on ? apr_pstrcat(r->p, spec->python, names[0], NULL) : NULL;
}

/* What may be missing for a while, and has to be known before the group can start. */
static void resolve_own_files(resolver *r, const cgwm_definition *def, cgw_spec *spec)
{
    spec->unready = NULL;
    spec->python = def->spec->python;
    spec->python = resolve_python(r, def, spec);
    cgwm_variables_resolve(&r->report, def, spec, r->p);
}

static const char *resolve_application(resolver *r, const cgw_spec *spec)
{
    const char *file = spec->application;

    if (!cgwm_is_application_file(file)) {
        return file;
    }
    if (spec->directory && *file != '/') {
        file = apr_pstrcat(r->p, spec->directory, "/", file, NULL);
    }
    file = ap_server_root_relative(r->p, file);
    return file ? file : spec->application;
}

/* The words that directives of a kind have given. */
static apr_array_header_t *values(const apr_array_header_t *words, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, words->nelts + 1, sizeof(const char *));

    for (int i = 0; i < words->nelts; i++) {
        APR_ARRAY_PUSH(list, const char *) = APR_ARRAY_IDX(words, i, cgwm_word).value;
    }
    return list;
}

static void resolve_path(resolver *r, const cgwm_definition *def, cgw_spec *spec)
{
    spec->path = values(def->path, r->p);
    if (spec->path->nelts) {
        return;
    }
    if (spec->directory) {
        APR_ARRAY_PUSH(spec->path, const char *) = spec->directory;
    }
    else if (cgwm_is_application_file(spec->application)) {
        const char *slash = ap_strrchr_c(spec->application, '/');
        APR_ARRAY_PUSH(spec->path, const char *) =
            slash > spec->application
                ? apr_pstrmemdup(r->p, spec->application,
                                 (apr_size_t)(slash - spec->application))
                : "/";
    }
}


static void resolve_address(resolver *r, cgwm_group *group)
{
    cgw_spec *spec = group->spec;
    const char *dir = cgwm_runtime_dir(r->report.main_server, r->p);

    spec->socket = apr_psprintf(r->p, "%s/%s" CGW_WIRE_SOCKET, dir, spec->name);
    group->handle = -1;
    group->address.sun_family = AF_UNIX;
    if (strlen(spec->socket) >= sizeof(group->address.sun_path)) {
        cgwm_report_error(&r->report, CGW_LOGNO(0025) "group %s (%s): the path of its "
            "socket, %s, has %d characters, and a Unix socket's at most %d. Set "
            "CGatewayRuntimeDir (now %s) to a shorter directory, or put the group into "
            "<CGatewayGroup name> with a shorter name.", spec->name, group->where,
            spec->socket, (int)strlen(spec->socket),
            (int)sizeof(group->address.sun_path) - 1, dir);
        return;
    }
    apr_cpystrn(group->address.sun_path, spec->socket,
                sizeof(group->address.sun_path));
    group->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path)
                                     + strlen(spec->socket) + 1);
}

static cgwm_group *make_group(resolver *r, const cgwm_definition *def,
                              const char *name)
{
    cgwm_group *group = apr_pcalloc(r->p, sizeof(*group));
    cgw_spec *spec = apr_pmemdup(r->p, def->spec, sizeof(*spec));

    group->spec = spec;
    group->where = def->where;
    group->definition = def;
    group->owner = def->server;
    group->handler = apr_pstrcat(r->p, "cgateway:", name, NULL);
    spec->name = name;
    spec->application = resolve_application(r, spec);
    resolve_path(r, def, spec);
    spec->watch = values(def->watch, r->p);
    spec->allow_read = values(def->allow_read, r->p);
    spec->allow_write = values(def->allow_write, r->p);
    resolve_address(r, group);
    cgwm_limits_resolve(&r->report, spec, r->p);
    cgwm_user_resolve(&r->report, def, spec, r->p);
    resolve_own_files(r, def, spec);
    return group;
}

/* ---- collecting -------------------------------------------------------- */

static int has_application(resolver *r, const cgwm_definition *def)
{
    const cgwm_statement *first;

    if (def->spec->application) {
        return 1;
    }
    if (def->name) {
        cgwm_report_error(&r->report, CGW_LOGNO(0021) "<CGatewayGroup %s> (%s) has no "
            "CGatewayApplication. Add one: a module, module:callable or a .wsgi file.",
            def->name, def->where);
        return 0;
    }
    first = &APR_ARRAY_IDX(def->statements, 0, cgwm_statement);
    cgwm_report_error(&r->report, CGW_LOGNO(0020) "%s %s (%s) has no effect without "
        "CGatewayApplication in the same server: a virtual host takes nothing over from "
        "the main server or another one. Add CGatewayApplication, or move the directive "
        "to the group that it is meant for.", cgwm_field_name(first->field), first->text,
        first->where);
    return 0;
}

/* Equal definitions merge (certbot copies virtual hosts), others collide. */
static cgwm_group *merge(resolver *r, cgwm_group *first, cgwm_group *again,
                         const cgwm_definition *def)
{
    const cgwm_definition *def1 = apr_hash_get(r->definitions, first->spec->name,
                                               APR_HASH_KEY_STRING);

    if (strcmp(cgw_spec_digest(first->spec, r->report.p),
               cgw_spec_digest(again->spec, r->report.p)) != 0) {
        cgwm_report_error(&r->report, CGW_LOGNO(0024) "group %s is defined at %s and "
            "again, differently, at %s: %s. Make the definitions equal, give one of them "
            "another name (ServerName), or define one <CGatewayGroup> and mount it from "
            "both virtual hosts.", first->spec->name, first->where, again->where,
            cgwm_definition_difference(def1, first->spec, def, again->spec,
                                       r->report.p));
    }
    return first;
}

/* The group of a definition, NULL (reported) where it makes none. */
static cgwm_group *collect(resolver *r, const cgwm_definition *def)
{
    const char *name;
    cgwm_group *group, *first;

    if (!has_application(r, def)) {
        return NULL;
    }
    name = def->name ? def->name : own_name(r, def);
    if (!name) {
        return NULL;
    }
    group = make_group(r, def, name);
    first = apr_hash_get(r->groups, name, APR_HASH_KEY_STRING);
    if (first) {
        return merge(r, first, group, def);
    }
    cgwm_check_group(&r->report, def, group->spec);
    cgwm_limits_check(&r->report, def, group->spec);
    apr_hash_set(r->groups, name, APR_HASH_KEY_STRING, group);
    apr_hash_set(r->definitions, name, APR_HASH_KEY_STRING, def);
    return group;
}

/* A virtual host without any of our directives shares the main server's
 * config, whose mounts are not its own: give it an empty one. */
static cgwm_server_conf *conf_of_its_own(server_rec *s, apr_pool_t *p)
{
    cgwm_server_conf *conf = cgwm_server_conf_get(s);

    if (conf->server != s) {
        conf = cgwm_server_conf_create(p, s);
        ap_set_module_config(s->module_config, &cgateway_module, conf);
    }
    return conf;
}

static void collect_named(resolver *r, const cgwm_server_conf *conf)
{
    for (int i = 0; i < conf->named->nelts; i++) {
        collect(r, APR_ARRAY_IDX(conf->named, i, const cgwm_definition *));
    }
}

/* The servers in the order of the configuration; httpd's list has the virtual
 * hosts last first. */
static apr_array_header_t *ordered_servers(server_rec *main_server, apr_pool_t *p)
{
    apr_array_header_t *servers = apr_array_make(p, 16, sizeof(server_rec *));
    server_rec **list;

    for (server_rec *s = main_server; s; s = s->next) {
        APR_ARRAY_PUSH(servers, server_rec *) = s;
    }
    list = (server_rec **)servers->elts;
    for (int low = 1, high = servers->nelts - 1; low < high; low++, high--) {
        server_rec *s = list[low];
        list[low] = list[high];
        list[high] = s;
    }
    return servers;
}

static void resolve_all(resolver *r, const apr_array_header_t *servers)
{
    int n = servers->nelts;
    cgwm_group **own = apr_pcalloc(r->report.p, (apr_size_t)n * sizeof(cgwm_group *));

    for (int i = 0; i < n; i++) {
        cgwm_server_conf *conf =
            conf_of_its_own(APR_ARRAY_IDX(servers, i, server_rec *), r->p);
        collect_named(r, conf);
        own[i] = conf->own ? collect(r, conf->own) : NULL;
    }
    /* every group is known now */
    for (int i = 0; i < n; i++) {
        server_rec *s = APR_ARRAY_IDX(servers, i, server_rec *);
        cgwm_mounts_bind(&r->report, cgwm_server_conf_get(s), own[i]);
    }
}

/* For the children that httpd's parent is about to fork. */
static void give_tallies(resolver *r)
{
    cgwm_tally *tallies = cgwm_tallies_create(apr_hash_count(r->groups), r->p);
    unsigned n = 0;

    for (apr_hash_index_t *i = apr_hash_first(r->report.p, r->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        ((cgwm_group *)group)->tally = cgwm_tally_of(tallies, n++);
    }
}

int cgwm_groups_resolve(apr_pool_t *pconf, apr_pool_t *ptemp,
                        server_rec *main_server)
{
    cgwm_server_conf *main_conf = cgwm_server_conf_get(main_server);
    resolver r = {
        .report = {.main_server = main_server, .p = ptemp,
                   .accounts = apr_hash_make(ptemp)}, .p = pconf,
        .groups = apr_hash_make(pconf), .definitions = apr_hash_make(ptemp),
    };

    if (!main_conf->groups) {
        main_conf->groups = r.groups;
        resolve_all(&r, ordered_servers(main_server, ptemp));
        give_tallies(&r);
    }
    return r.report.errors ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

/* What is made for it is in p: nothing of a try that fails may stay, since httpd's parent
 * lives long. */
static int complete(cgw_spec *spec, const cgwm_definition *def, server_rec *main_server,
                    apr_pool_t *p, apr_pool_t *ptemp)
{
    resolver r = {.report = {.main_server = main_server, .p = ptemp, .quiet = 1}, .p = p};

    resolve_own_files(&r, def, spec);
    return !spec->unready;
}

int cgwm_groups_complete(apr_pool_t *pconf, server_rec *main_server,
                         apr_pool_t *ptemp)
{
    apr_hash_t *groups = cgwm_server_conf_get(main_server)->groups;
    int completed = 0;

    for (apr_hash_index_t *i = apr_hash_first(ptemp, groups); i; i = apr_hash_next(i)) {
        cgwm_group *group = apr_hash_this_val(i);
        cgw_spec spec = *group->spec;
        if (spec.unready
            && complete(&spec, group->definition, main_server, ptemp, ptemp)
            && complete(&spec, group->definition, main_server, pconf, ptemp)) {
            *group->spec = spec;
            completed++;
        }
    }
    return completed;
}

struct name_search {
    const char *name;
    cgwm_group *found;
};

static int match_ignoring_case(void *data, const void *key, apr_ssize_t len,
                               const void *value)
{
    struct name_search *search = data;

    (void)len;
    if (ap_cstr_casecmp(key, search->name) != 0) {
        return 1;
    }
    search->found = (cgwm_group *)(intptr_t)value;
    return 0;
}

/* SetHandler puts the name into lower case. */
static cgwm_group *find_ignoring_case(apr_hash_t *groups, const char *name)
{
    struct name_search search = {.name = name};

    apr_hash_do(match_ignoring_case, &search, groups);
    return search.found;
}

cgwm_group *cgwm_group_find(const server_rec *main_server, const char *name)
{
    apr_hash_t *groups = cgwm_server_conf_get(main_server)->groups;
    cgwm_group *group = groups ? apr_hash_get(groups, name, APR_HASH_KEY_STRING)
                               : NULL;

    if (group || !groups) {
        return group;
    }
    return find_ignoring_case(groups, name);
}
