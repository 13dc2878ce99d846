/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_DEFINITION_H
#define CGWM_DEFINITION_H

/* A group's directives as they are written: what a <CGatewayGroup>, or the
 * directives directly in a virtual host, say. group.c makes groups of them. */

#include "config.h"

/*
 * The directives of a group; this table is the one place where they are listed.
 * X(symbol, name, setter, fewest words, most words, field of cgw_spec, low,
 *   high, help). The setter is settings.c's set_<setter>; low and high bound
 * the numbers (times in milliseconds).
 */
#define CGWM_ANY_WORDS 64
#define CGWM_GROUP_TABLE(X)                                                   \
    X(APPLICATION, "CGatewayApplication", application, 1, 1, application,     \
      0, 0, "module, module:callable or a .wsgi file")                        \
    X(SETTINGS, "CGatewaySettings", settings, 1, 1, settings, 0, 0,           \
      "DJANGO_SETTINGS_MODULE of this group")                                 \
    X(PYTHON, "CGatewayPython", file, 1, 1, python, 0, 0,                     \
      "a virtual environment or an interpreter")                              \
    X(PATH, "CGatewayPath", path, 1, CGWM_ANY_WORDS, path, 0, 0,              \
      "directories that Python imports from")                                 \
    X(DIRECTORY, "CGatewayWorkingDirectory", file, 1, 1, directory, 0, 0,     \
      "current directory of the workers")                                     \
    X(USER, "CGatewayUser", user, 1, 2, uid, 0, 0,                            \
      "user [group] that the workers run as")                                 \
    X(UMASK, "CGatewayUmask", umask, 1, 1, umask, 0, 0777,                    \
      "umask of the workers, octal")                                          \
    X(ENV, "CGatewayEnv", env, 1, 2, env, 0, 0,                               \
      "NAME [value]: an environment variable of the workers")                 \
    X(ENV_FILE, "CGatewayEnvFile", env_file, 1, 1, env, 0, 0,                 \
      "a file of NAME=value lines")                                           \
    X(PASS_ENV, "CGatewayPassEnv", pass_env, 1, CGWM_ANY_WORDS, env, 0, 0,    \
      "variables of httpd's own environment to pass on")                      \
    X(PROCESSES, "CGatewayProcesses", processes, 1, 1, processes, 1, 1000,    \
      "worker processes: number, or least-most")                              \
    X(THREADS, "CGatewayThreads", number, 1, 1, threads, 1, 512,              \
      "request threads of each process, 1 to 512")                            \
    X(PRELOAD, "CGatewayPreload", preload, 1, 1, preload, 0, 0,               \
      "auto, on or off: import once and fork the workers")                    \
    X(START, "CGatewayStart", start, 1, 1, start_on_demand, 0, 1,             \
      "boot, or demand: when the processes start")                            \
    X(IDLE_TIMEOUT, "CGatewayIdleTimeout", duration_or_none, 1, 1,            \
      idle_timeout, 1000, 86400000, "after which no processes are left")      \
    X(START_TIMEOUT, "CGatewayStartTimeout", duration, 1, 1, start_timeout,   \
      1000, 3600000, "how long the application may take to load")             \
    X(DRAIN_TIMEOUT, "CGatewayDrainTimeout", duration, 1, 1, drain_timeout,   \
      0, 86400000, "how long a replaced process may finish its requests")     \
    X(QUEUE_SIZE, "CGatewayQueueSize", number, 1, 1, queue_size, 1, 65535,    \
      "requests that may wait for a worker, 1 to 65535")                      \
    X(QUEUE_TIMEOUT, "CGatewayQueueTimeout", duration_or_none, 1, 1,          \
      queue_timeout, 100, 86400000, "how long a request may wait for a worker") \
    X(REQUEST_TIMEOUT, "CGatewayRequestTimeout", duration_or_none, 1, 1,      \
      request_timeout, 100, 86400000, "how long a request may have a thread") \
    X(DEADLOCK_TIMEOUT, "CGatewayDeadlockTimeout", duration_or_none, 1, 1,    \
      deadlock_timeout, 1000, 86400000,                                       \
      "how long no thread may get the interpreter lock")                      \
    X(MAX_REQUESTS, "CGatewayMaxRequests", max_requests, 1, 2, max_requests,  \
      0, 1000000000, "requests after which a process is replaced [jitter]")   \
    X(MAX_LIFETIME, "CGatewayMaxLifetime", duration_or_none, 1, 1,            \
      max_lifetime, 1000, 31536000000, "age at which a process is replaced")  \
    X(MAX_MEMORY, "CGatewayMaxMemory", max_memory, 1, 3, max_memory, 0, 0,    \
      "size [hard limit] [rss|pss] at which a process is replaced")           \
    X(LIMIT, "CGatewayLimit", limit, 2, 3, limits, 0, 0,                      \
      "name soft [hard]: a resource limit of the processes")                  \
    X(NICE, "CGatewayNice", nice, 1, 1, nice, -20, 19,                        \
      "priority of the processes, -20 to 19")                                 \
    X(CPUS, "CGatewayCPUAffinity", cpus, 1, 1, cpus, 0, 0,                    \
      "the processors that the processes run on")                             \
    X(CGROUP, "CGatewayCgroup", cgroup, 2, 2, cgroup, 0, 0,                   \
      "memory.max, cpu.max, ... value: a limit of the group's control group") \
    X(ERROR_LOG, "CGatewayErrorLog", error_log, 1, 1, error_log, 0, 0,        \
      "a file, |program or syslog: for what the processes print")             \
    X(RELOAD_ON_GRACEFUL, "CGatewayReloadOnGraceful", reload, 1, 1,           \
      reload_on_graceful, 0, 1, "always or changed")                          \
    X(WATCH, "CGatewayWatch", watch, 1, CGWM_ANY_WORDS, watch, 0, 0,          \
      "On, Off or files: reload when one of them changes")                    \
    X(PRIVATE_TMP, "CGatewayPrivateTmp", private_tmp, 1, 1, private_tmp,      \
      1 << 20, (int64_t)1 << 40, "On, Off or a size: a /tmp of the group's own") \
    X(READ_ONLY_SYSTEM, "CGatewayReadOnlySystem", flag, 1, 1,                 \
      read_only_system, 0, 1, "On or Off: the file system is read-only")      \
    X(ALLOW_READ, "CGatewayAllowRead", path, 1, CGWM_ANY_WORDS, allow_read,   \
      0, 0, "files and directories that the workers may read, no others")     \
    X(ALLOW_WRITE, "CGatewayAllowWrite", path, 1, CGWM_ANY_WORDS,             \
      allow_write, 0, 0, "files and directories that the workers may write, " \
      "no others")                                                            \
    X(SYSCALL_FILTER, "CGatewaySyscallFilter", flag, 1, 1, syscall_filter,    \
      0, 1, "On or Off: system calls that no application needs are refused")  \
    X(CHROOT, "CGatewayChroot", file, 1, 1, chroot, 0, 0,                     \
      "the root directory of the workers")

enum cgwm_field {
#define X(sym, ...) CGWM_##sym,
    CGWM_GROUP_TABLE(X)
#undef X
    CGWM_FIELD_COUNT
};

/* Those that a <Location> may have, too: they are in cgwm_dir_conf then. */
#define CGWM_IN_LOCATIONS(field) ((field) == CGWM_REQUEST_TIMEOUT)

/* One directive as written. */
typedef struct cgwm_statement {
    enum cgwm_field field;
    const char *text;           /* all its words */
    const char *where;          /* file:line */
} cgwm_statement;

/* One word of a directive that may be repeated. */
typedef struct cgwm_word {
    const char *value;
    const char *where;
} cgwm_word;

typedef struct cgwm_definition {
    const char *name;           /* of <CGatewayGroup>; NULL: named after its
                                   virtual host */
    const char *where;          /* file:line: of the section, or of the first
                                   directive */
    server_rec *server;
    const ap_directive_t *scope; /* the <VirtualHost> around a definition
                                   without name; NULL: the main server */
    cgw_spec *spec;             /* numbers and single words that were given */
    const char *user, *user_group;      /* CGatewayUser */
    apr_array_header_t *statements;     /* cgwm_statement, in order */
    apr_array_header_t *path, *env, *env_files, *pass_env, *watch,
        *allow_read, *allow_write;      /* cgwm_word */
    int watch_on;               /* CGatewayWatch On, beside files */
} cgwm_definition;

cgwm_definition *cgwm_definition_create(const char *name, const char *where,
                                        server_rec *server, apr_pool_t *p);
/* Record a directive. */
void cgwm_definition_add(cgwm_definition *def, enum cgwm_field field,
                         const char *text, const char *where);
/* The last statement of that directive, which is the one that counts; NULL
 * where there is none. */
const cgwm_statement *cgwm_definition_last(const cgwm_definition *def,
                                           enum cgwm_field field);
/* "CGatewayThreads 4 (file:line)" of the last statement; "no CGatewayThreads
 * (file:line)" with the definition's place where there is none. */
const char *cgwm_definition_quote(const cgwm_definition *def,
                                  enum cgwm_field field, apr_pool_t *p);
/* "CGatewayThreads" */
const char *cgwm_field_name(enum cgwm_field field);
/* Whether a directive (by name, any case) is one of a group's. */
int cgwm_is_group_directive(const char *name);

/* The first directive that makes spec a of definition da differ from spec b of
 * db, as "CGatewayThreads 4 (file:line) against CGatewayThreads 8 (file:line)". */
const char *cgwm_definition_difference(const cgwm_definition *da,
                                       const cgw_spec *a,
                                       const cgwm_definition *db,
                                       const cgw_spec *b, apr_pool_t *p);

#endif
