/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_SPEC_H
#define CGW_SPEC_H

/*
 * The spec of a group: everything configured for it. The module writes specs
 * into one memfd per configuration, the supervisor reads them. Text lists are
 * vectors of NUL-terminated strings. Codec: common/spec.c (APR, neither httpd
 * nor Python).
 */

#include <apr_pools.h>
#include <apr_tables.h>
#include <stdint.h>

/* CGatewayPreload. X(symbol, name) */
#define CGW_PRELOAD_TABLE(X)                                                  \
    X(OFF, "off")               /* each worker imports the application */     \
    X(ON, "on")                 /* workers are forked from a template */      \
    X(AUTO, "auto")             /* forked where nothing speaks against it */

enum cgw_preload {
#define X(sym, name) CGW_PRELOAD_##sym,
    CGW_PRELOAD_TABLE(X)
#undef X
};

/* nice: none that setpriority(2) knows */
#define CGW_NICE_INHERITED 100

/* X(type, field, default)  -- the numbers of a spec. Times are milliseconds. */
#define CGW_SPEC_NUMBERS(X)                                                   \
    X(uid, -1)                  /* -1: do not switch */                       \
    X(gid, -1)                                                                \
    X(umask, -1)                /* -1: inherit */                             \
    X(processes, 2)             /* at least */                                \
    X(processes_max, 2)         /* and at most */                             \
    X(threads, 8)                                                             \
    X(start_timeout, 60000)                                                   \
    X(drain_timeout, 60000)                                                   \
    X(preload, CGW_PRELOAD_AUTO)                                              \
    X(start_on_demand, 0)       /* 1: by the first request */                 \
    X(idle_timeout, 0)          /* 0: it stays when there are none */         \
    X(queue_size, 100)          /* requests that may wait for a worker */     \
    X(queue_timeout, 60000)     /* 0: any time */                             \
    X(request_timeout, 300000)  /* 0: any time */                             \
    X(deadlock_timeout, 60000)  /* 0: it is not looked for */                 \
    X(max_requests, 0)          /* 0: any number */                           \
    X(max_requests_jitter, 0)                                                 \
    X(max_lifetime, 0)          /* 0: any time */                             \
    X(max_memory, 0)            /* bytes, 0: any size */                      \
    X(max_memory_hard, 0)       /* beyond it: killed; 0: never */             \
    X(max_memory_pss, 0)        /* 1: shared pages count in part */           \
    X(nice, CGW_NICE_INHERITED)                                               \
    X(reload_on_graceful, 1)    /* 1 always, 0 only when changed */           \
    X(watch_application, 1)     /* its file changing means a reload */        \
    X(private_tmp, 0)           /* bytes; 0: the machine's own /tmp */        \
    X(read_only_system, 0)      /* a file system that is read-only */         \
    X(syscall_filter, 0)        /* the default filter of system calls */      \
    X(log_level, 4)             /* LogLevel cgateway: of the owner */          \
    X(syslog_facility, 184)     /* LOG_LOCAL7, where error lines go to syslog */

/* X(field) -- the single strings of a spec; NULL when not configured */
#define CGW_SPEC_STRINGS(X)                                                   \
    X(name)                     /* identity of the group */                   \
    X(application)              /* module, module:callable or .wsgi path */   \
    X(settings)                 /* DJANGO_SETTINGS_MODULE */                  \
    X(python)                   /* absolute path of the interpreter */        \
    X(directory)                /* working directory */                       \
    X(error_format)             /* ErrorLogFormat of the owner */             \
    X(server_name)              /* of the owner: ServerName */                \
    X(error_log)                /* CGatewayErrorLog; for httpd's parent */    \
    X(syslog_tag)               /* NULL: cgateway */                          \
    X(user)                     /* login name that uid stands for */          \
    X(home)                     /* home directory of that user */             \
    X(cpus)                     /* cgw_cpus.h; NULL: all */                   \
    X(cgroup_dir)               /* to be made and joined; NULL: none */       \
    X(chroot)                   /* the root directory of the processes */     \
    X(unready)                  /* why it cannot be started, yet; NULL: it can */ \
    X(socket)                   /* absolute path of the listening socket */

/* X(field) -- lists of strings */
#define CGW_SPEC_LISTS(X)                                                     \
    X(path)                     /* sys.path entries, in order */              \
    X(env)                      /* NAME=VALUE, complete but for the base */   \
    X(groups)                   /* gids of the user, where uid is given */    \
    X(limits)                   /* "RLIMIT_* soft hard", numbers, -1: none */ \
    X(cgroup)                   /* "memory.max=1048576": its settings */      \
    X(watch)                    /* files whose change means a reload */       \
    X(allow_read)               /* all that may be read; empty: everything */ \
    X(allow_write)              /* all that may be written, alike */

typedef struct cgw_spec {
#define X(field, def) int64_t field;
    CGW_SPEC_NUMBERS(X)
#undef X
#define X(field) const char *field;
    CGW_SPEC_STRINGS(X)
#undef X
#define X(field) apr_array_header_t *field; /* of const char * */
    CGW_SPEC_LISTS(X)
#undef X
} cgw_spec;

#define CGW_SPEC_VERSION 11
#define CGW_DIGEST_HEX 40   /* SHA-1 in hexadecimal, without the NUL */

/* A spec with its defaults; lists are empty arrays. Never NULL. */
cgw_spec *cgw_spec_create(apr_pool_t *p);
/* Append the encoded spec to an apr_array_header_t of char (bytes). */
void cgw_spec_encode(const cgw_spec *spec, apr_array_header_t *bytes);
/* Decode one spec from bytes[0..len) at *pos; moves *pos behind it. Result in
 * pool p, bytes are copied. APR_EINVAL where the bytes are malformed. */
apr_status_t cgw_spec_decode(cgw_spec **out, const char *bytes, apr_size_t len,
                             apr_size_t *pos, apr_pool_t *p);
/* Hex digest over everything in the spec. */
const char *cgw_spec_digest(const cgw_spec *spec, apr_pool_t *p);

#endif
