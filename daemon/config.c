/* SPDX-License-Identifier: Apache-2.0 */

#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin.h"
#include "cgw_control.h"
#include "cgw_log.h"
#include "group.h"
#include "reaper.h"
#include "rundir.h"
#include "succession.h"

#define GROUPS_MAX 100000
#define SPECS_SIZE_MAX (256 * 1024 * 1024)

typedef struct entry {
    apr_pool_t *pool;       /* with the spec; NULL once a group owns it */
    cgw_spec *spec;
    int listener, log;
} entry;

struct cgwd_config {
    cgwd_supervisor *sup;
    cgwd_watch watch;
    apr_pool_t *pool;       /* of what is being received, NULL: nothing */
    apr_array_header_t *entries;
    int log;
    int lock;               /* -1: none was sent */
    int refused;            /* httpd's parent speaks another version */
    int trouble;            /* why the next COMMIT is refused; 0: for nothing yet */
    uid_t httpd_uid;
};

/* ---- receiving ---------------------------------------------------------- */

static void forget(cgwd_config *config)
{
    if (!config->pool) {
        return;
    }
    for (int i = 0; i < config->entries->nelts; i++) {
        entry *e = &APR_ARRAY_IDX(config->entries, i, entry);
        if (e->pool) {
            apr_pool_destroy(e->pool);
        }
        if (e->listener >= 0) {
            close(e->listener);
        }
        if (e->log >= 0) {
            close(e->log);
        }
    }
    if (config->log >= 0) {
        close(config->log);
    }
    if (config->lock >= 0) {
        close(config->lock);
    }
    config->log = config->lock = -1;
    apr_pool_destroy(config->pool);
    config->pool = NULL;
}

static int read_specs(const char **bytes, apr_size_t *len, int fd, apr_pool_t *p)
{
    struct stat st;
    char *buf;
    apr_size_t have = 0;

    if (fstat(fd, &st) < 0) {
        return errno;
    }
    if (st.st_size > SPECS_SIZE_MAX) {
        return EFBIG;
    }
    buf = apr_palloc(p, (apr_size_t)st.st_size + 1);
    while (have < (apr_size_t)st.st_size) {
        ssize_t n = pread(fd, buf + have, (size_t)st.st_size - have, (off_t)have);
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        have += (apr_size_t)n;
    }
    *bytes = buf;
    *len = have;
    return 0;
}

static int decode_specs(cgwd_config *config, uint64_t count, int fd)
{
    const char *bytes = NULL;
    apr_size_t len = 0, pos = 0;
    int rv = count > GROUPS_MAX ? EINVAL
                                : read_specs(&bytes, &len, fd, config->pool);

    for (uint64_t i = 0; i < count && rv == 0; i++) {
        entry e = {.listener = -1, .log = -1};
        apr_pool_create(&e.pool, config->sup->pool);
        rv = cgw_spec_decode(&e.spec, bytes, len, &pos, e.pool) == APR_SUCCESS
                 ? 0 : EINVAL;
        APR_ARRAY_PUSH(config->entries, entry) = e;
    }
    return rv == 0 && pos != len ? EINVAL : rv;
}

static int take_config(cgwd_config *config, const struct cgw_message *msg,
                       int *fds)
{
    int rv;

    forget(config);
    config->trouble = 0;
    apr_pool_create(&config->pool, config->sup->pool);
    config->entries = apr_array_make(config->pool, 16, sizeof(entry));
    config->log = fds[1] < 0 ? -1 : cgwd_log_adopt(fds[1]);
    fds[1] = -1;
    if (fds[0] < 0 || config->log < 0) {
        rv = EINVAL;
    }
    else {
        rv = decode_specs(config, msg->arg, fds[0]);
    }
    if (rv) {
        forget(config);
    }
    return rv;
}

static int take_lock(cgwd_config *config, int *fds)
{
    if (!config->pool || fds[0] < 0 || config->lock >= 0) {
        return EINVAL;
    }
    config->lock = fds[0];
    fds[0] = -1;
    return 0;
}

static int take_group(cgwd_config *config, const struct cgw_message *msg, int *fds)
{
    entry *e;

    if (!config->pool || msg->arg >= (uint64_t)config->entries->nelts
        || fds[0] < 0 || fds[1] < 0) {
        return EINVAL;
    }
    e = &APR_ARRAY_IDX(config->entries, (int)msg->arg, entry);
    if (e->listener >= 0) {
        return EINVAL;
    }
    e->listener = fds[0];
    e->log = cgwd_log_adopt(fds[1]);
    fds[0] = fds[1] = -1;
    return 0;
}

/* ---- applying ----------------------------------------------------------- */

static int is_complete(const cgwd_config *config)
{
    if (!config->pool || config->lock < 0) {
        return 0;
    }
    for (int i = 0; i < config->entries->nelts; i++) {
        if (APR_ARRAY_IDX(config->entries, i, entry).listener < 0) {
            return 0;
        }
    }
    return 1;
}

static void mark_unseen(cgwd_supervisor *sup)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        ((cgwd_group *)group)->seen = 0;
    }
}

static void retire_unseen(cgwd_supervisor *sup)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        if (!((cgwd_group *)group)->seen) {
            cgwd_group_retire(group, CGWD_RETIRE_MS);
        }
    }
}

static void apply_entry(cgwd_supervisor *sup, entry *e, int how)
{
    cgwd_group *group = apr_hash_get(sup->groups, e->spec->name,
                                     APR_HASH_KEY_STRING);

    if (group) {
        cgwd_group_update(group, e->pool, e->spec, e->listener, e->log, how);
    }
    else {
        cgwd_group_create(sup, e->pool, e->spec, e->listener, e->log);
    }
    e->pool = NULL;
    e->listener = e->log = -1;
}

/* The runtime directory's; it may have been made anew. */
static void change_lock(cgwd_config *config)
{
    if (config->sup->lock >= 0) {
        close(config->sup->lock);
    }
    config->sup->lock = config->lock;
    config->lock = -1;
}

static int commit(cgwd_config *config, const struct cgw_message *msg)
{
    cgwd_supervisor *sup = config->sup;
    int old_log = sup->log->fd;

    if (!is_complete(config)) {
        int trouble = config->trouble;
        config->trouble = 0;
        forget(config);
        return trouble ? trouble : EINVAL;
    }
    sup->log->fd = config->log;
    sup->successor_serves = 0; /* one that did not come about */
    sup->httpd_uid = config->httpd_uid;
    config->log = -1;
    cgwd_supervisor_watch_files(sup);
    change_lock(config);
    mark_unseen(sup);
    for (int i = 0; i < config->entries->nelts; i++) {
        apply_entry(sup, &APR_ARRAY_IDX(config->entries, i, entry), (int)msg->arg);
    }
    retire_unseen(sup);
    forget(config);
    cgwd_admin_listen(sup);
    cgwd_rundir_watch(sup);
    cgwd_succession_check(sup);
    if (old_log != STDERR_FILENO) {
        close(old_log);
    }
    return 0;
}

/* ---- messages ----------------------------------------------------------- */

static void answer(cgwd_config *config, int rv)
{
    int err = rv ? cgw_message_send(config->watch.fd, CGW_MSG_REFUSED,
                                    (uint64_t)rv, NULL, 0)
                 : cgw_message_send(config->watch.fd, CGW_MSG_ACCEPTED,
                                    apr_hash_count(config->sup->groups), NULL, 0);
    if (err) {
        cgwd_log(config->sup->log, CGWD_ERROR, CGW_LOGNO(0240)
                 "cannot answer httpd's parent: %s; it will start another "
                 "supervisor", strerror(err));
    }
}

static void take_message(cgwd_config *config, const struct cgw_message *msg,
                         int *fds)
{
    int rv = EINVAL;

    if (msg->type == CGW_MSG_CONFIG) {
        rv = take_config(config, msg, fds);
    }
    else if (msg->type == CGW_MSG_GROUP) {
        rv = take_group(config, msg, fds);
    }
    else if (msg->type == CGW_MSG_LOCK) {
        rv = take_lock(config, fds);
    }
    else if (msg->type == CGW_MSG_USER) {
        config->httpd_uid = (uid_t)msg->arg;
        rv = 0;
    }
    else if (msg->type == CGW_MSG_COMMIT) {
        rv = commit(config, msg);
        answer(config, rv);
        return;
    }
    if (rv && !config->trouble) {
        cgwd_log(config->sup->log, CGWD_ERROR, CGW_LOGNO(0241)
                 "the configuration that httpd's parent sent was not understood "
                 "(%s message: %s); module and supervisor are of different "
                 "versions: restart httpd", cgw_message_name(msg->type),
                 strerror(rv));
        forget(config); /* COMMIT will then be refused */
    }
}

/* One that is not of this version, mostly: nothing will be understood. The
 * answer, which httpd's parent may not understand either, keeps it from waiting.
 */
static void refuse_version(cgwd_config *config)
{
    forget(config);
    if (!config->refused) {
        config->refused = 1;
        cgwd_log(config->sup->log, CGWD_ERROR, CGW_LOGNO(0293)
                 "httpd's module and this supervisor (%s/cgatewayd) are of "
                 "different versions; mod_cgateway was upgraded, it seems: "
                 "\"apachectl graceful\" loads the new module",
                 config->sup->library);
        answer(config, EPROTO);
    }
}

static void refuse_for_want_of_room(cgwd_config *config)
{
    cgwd_log(config->sup->log, CGWD_ERROR, CGW_LOGNO(0242)
             "the supervisor has no descriptor left for the configuration; raise the "
             "limit on descriptors (LimitNOFILE=) of httpd's service");
    config->trouble = EMFILE;
    forget(config); /* COMMIT will then be refused */
}

static void handle_parent(cgwd_watch *watch)
{
    cgwd_config *config = watch->owner;
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS];
    int rv = cgw_message_recv(watch->fd, &msg, fds, NULL);

    if (rv == EMFILE) {
        if (!config->trouble) {
            refuse_for_want_of_room(config);
        }
        return;
    }
    if (rv == 0) {
        take_message(config, &msg, fds);
        for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
            if (fds[i] >= 0) {
                close(fds[i]);
            }
        }
        return;
    }
    if (rv == EPROTO || rv == EPROTONOSUPPORT) {
        refuse_version(config);
        return;
    }
    if (rv != EPIPE) {
        return; /* nothing there, or no memory for it: it is read later */
    }
    cgwd_watch_remove(config->sup->loop, watch);
    close(watch->fd);
    cgwd_reaper_take(config->sup);
    if (!config->sup->succeeded) {
        cgwd_supervisor_end(config->sup, "httpd has ended", 1);
    }
}

cgwd_config *cgwd_config_listen(cgwd_supervisor *sup, int fd)
{
    cgwd_config *config = apr_pcalloc(sup->pool, sizeof(*config));
    int err;

    config->sup = sup;
    config->log = config->lock = -1;
    config->httpd_uid = sup->httpd_uid;
    config->watch.fd = fd;
    config->watch.handle = handle_parent;
    config->watch.owner = config;
    err = cgwd_watch_add(sup->loop, &config->watch);
    if (err) {
        errno = err;
        return NULL;
    }
    return config;
}
