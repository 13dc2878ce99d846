/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_CONFIG_H
#define CGWM_CONFIG_H

/* What the directives of httpd.conf say, per server and per directory, and
 * the groups that result. Filled by directives.c, settings.c and location.c while
 * httpd reads its configuration, resolved and checked once by
 * cgwm_groups_resolve(). */

#include <sys/socket.h>
#include <sys/un.h>

#include "apr_hash.h"
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"

#include "cgw_spec.h"

extern module AP_MODULE_DECLARE_DATA cgateway_module;

/* A group as the configuration defines it. Lives in pconf. */
typedef struct cgwm_group {
    cgw_spec *spec;
    const char *where;      /* file:line of its first definition */
    const struct cgwm_definition *definition; /* the one that came first */
    server_rec *owner;      /* its ErrorLog gets the group's output */
    const char *handler;    /* "cgateway:<name>" */
    piped_log *logger;      /* program of CGatewayErrorLog, NULL: none */
    struct sockaddr_un address;
    socklen_t address_len;
    int handle;             /* of the socket's file, -1: none (rundir.h) */
    struct cgwm_tally *tally;   /* NULL: there is no memory for it */
} cgwm_group;

/* A URL prefix of a virtual host that belongs to a group. */
typedef struct cgwm_mount {
    const char *prefix;     /* without trailing slash; "" for "/" */
    apr_size_t prefix_len;
    const char *group_name; /* NULL: the virtual host's own group */
    const char *where;      /* file:line */
    cgwm_group *group;      /* set by cgwm_groups_resolve */
} cgwm_mount;

typedef struct cgwm_server_conf {
    server_rec *server;
    const char *runtime_dir;        /* CGatewayRuntimeDir; main server only */
    const char *cgroup_parent;      /* CGatewayCgroupParent; the same */
    int batch_scheduling;           /* CGatewayBatchScheduling; the same */
    struct cgwm_definition *own;    /* directives directly in the virtual host;
                                       NULL when there are none */
    apr_array_header_t *named;      /* <CGatewayGroup>s, definition pointers */
    apr_array_header_t *mounts;     /* cgwm_mount; longest prefix first once
                                       resolved */
    struct cgwm_answers *answers;   /* main server, of a child; may be NULL */
    apr_hash_t *groups;             /* main server only, once resolved:
                                       name -> cgwm_group, of all servers */
    int is_pending;                 /* main server: the supervisor has not got it */
} cgwm_server_conf;

/* What is kept of a body, in memory and then in a temporary file, in bytes.
 * memory -1: not configured. */
typedef struct cgwm_bounds {
    apr_off_t memory, file;
} cgwm_bounds;

static inline const cgwm_bounds *cgwm_bounds_or(const cgwm_bounds *bounds,
                                                const cgwm_bounds *defaults)
{
    return bounds->memory < 0 ? defaults : bounds;
}

#define CGWM_STATUS_LOW 400
#define CGWM_STATUS_HIGH 599

/* A set of the statuses of errors. */
typedef struct cgwm_statuses {
    char has[CGWM_STATUS_HIGH - CGWM_STATUS_LOW + 1];
} cgwm_statuses;

static inline int cgwm_statuses_have(const cgwm_statuses *set, int status)
{
    return status >= CGWM_STATUS_LOW && status <= CGWM_STATUS_HIGH
           && set->has[status - CGWM_STATUS_LOW];
}

/* What is asked about users: functions of a site, "module:function". */
typedef struct cgwm_auth_functions {
    const char *password, *groups;
} cgwm_auth_functions;

/* What a group's worker is asked in place of a request (module/ask.h). */
typedef struct cgwm_question {
    const char *kind;       /* "password" or "groups" */
    const char *function;   /* module:function */
    const char *user;
    const char *password;   /* NULL where none is checked */
} cgwm_question;

/* Request directives; merged by location. -1 or NULL: not configured. */
typedef struct cgwm_dir_conf {
    int pass_authorization;
    int debug;
    cgwm_bounds body_buffer;
    cgwm_bounds response_buffer;
    cgwm_statuses *error_override;
    const char *auth_group;
    cgwm_auth_functions *auth_functions;
    apr_interval_time_t auth_cache;
    apr_array_header_t *sendfile_roots; /* of absolute paths, none: Off */
    int64_t request_timeout;    /* ms, 0: none, -1: the group's */
} cgwm_dir_conf;

#define CGWM_DEFAULT_PASSWORD_FUNCTION "cgateway.django.auth:check_password"
#define CGWM_DEFAULT_GROUPS_FUNCTION "cgateway.django.auth:groups_for_user"
#define CGWM_DEFAULT_AUTH_CACHE apr_time_from_sec(60)

#define CGWM_DEFAULT_BODY_MEMORY (64 * 1024)
#define CGWM_DEFAULT_BODY_FILE (16 * 1024 * 1024)
#define CGWM_DEFAULT_RESPONSE_MEMORY (256 * 1024)
#define CGWM_DEFAULT_RESPONSE_FILE (256 * 1024 * 1024)

static inline cgwm_server_conf *cgwm_server_conf_get(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &cgateway_module);
}

static inline cgwm_dir_conf *cgwm_dir_conf_get(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &cgateway_module);
}

/* Find every group of every server, merge equal definitions, bind mounts,
 * check what can be checked without starting anything (users, interpreters,
 * directories, files, socket paths). Reports every problem found through
 * ap_log_error (with directive, value, file:line and remedy) and returns
 * HTTP_INTERNAL_SERVER_ERROR if there was one, else OK. For the check_config
 * hook; idempotent. */
int cgwm_groups_resolve(apr_pool_t *pconf, apr_pool_t *ptemp,
                        server_rec *main_server);

/* Of groups that lack a file of their own (cgw_spec's unready): how many have it by now,
 * and may start. Says nothing. */
int cgwm_groups_complete(apr_pool_t *pconf, server_rec *main_server,
                         apr_pool_t *ptemp);

/* The group of that name, or NULL. After cgwm_groups_resolve. */
cgwm_group *cgwm_group_find(const server_rec *main_server, const char *name);

/* Is there any? After cgwm_groups_resolve. */
static inline int cgwm_has_groups(const server_rec *main_server)
{
    const cgwm_server_conf *conf = cgwm_server_conf_get(main_server);

    return conf->groups && apr_hash_count(conf->groups) > 0;
}

/* The mount of this server with the longest prefix of uri that ends at a
 * slash or at the end, or NULL. */
const cgwm_mount *cgwm_mount_find(const cgwm_server_conf *conf,
                                  const char *uri);

void *cgwm_server_conf_create(apr_pool_t *p, server_rec *s);
void *cgwm_server_conf_merge(apr_pool_t *p, void *base, void *add);
void *cgwm_dir_conf_create(apr_pool_t *p, char *dir);
void *cgwm_dir_conf_merge(apr_pool_t *p, void *base, void *add);

extern const command_rec cgwm_directives[];

/* Absolute path of the directory with the sockets. After resolve. */
const char *cgwm_runtime_dir(const server_rec *main_server, apr_pool_t *p);

#endif
