/* SPDX-License-Identifier: Apache-2.0 */
/* cgatewayd: the supervisor of mod_cgateway's groups. Started by httpd's
 * parent, with what include/cgw_control.h says; not meant to be started by
 * hand. */

#include <apr_general.h>
#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "cgw_control.h"
#include "admin.h"
#include "cgroup.h"
#include "cgw_log.h"
#include "config.h"
#include "group.h"
#include "output.h"
#include "reaper.h"
#include "rundir.h"
#include "sampler.h"
#include "want.h"

#define OVERFLOW_SAY_MS 60000
/* What was freed is kept for the next one, up to so many bytes: very many groups, each
 * with a new configuration at a graceful restart, or woken at the same time, would
 * leave as much memory behind. */
#define POOLS_KEEP_MAX (1024 * 1024)

static void for_each_generation(cgwd_supervisor *sup,
                                void (*act)(cgwd_generation *, const char *),
                                const char *why)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *value;
        apr_hash_this(i, NULL, NULL, &value);
        cgwd_group *group = value;
        cgwd_generation *next;
        cgwd_group_set_refusing(group, 0);
        cgwd_demand_stop(&group->demand);
        cgwd_timer_clear(sup->loop, &group->retry);
        for (cgwd_generation *g = group->generations; g; g = next) {
            next = g->next;
            act(g, why);
        }
    }
}

static void give_up_sockets(const cgwd_supervisor *sup)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, sup->groups); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        cgwd_group_unlink(group);
    }
}

/* Sockets of groups that a supervisor left behind that was killed. */
static void sweep_sockets(const char *rundir)
{
    DIR *dir = opendir(rundir);
    struct dirent *entry;
    struct stat st;

    while (dir && (entry = readdir(dir))) {
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISSOCK(st.st_mode)) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* A successor must not wait for our workers: sockets and lock go first. The
 * directory is ours alone, by the lock; unless it is another one by now. */
static void give_up_rundir(cgwd_supervisor *sup)
{
    const char *path = apr_pstrcat(sup->pool, sup->rundir, "/lock", NULL);

    give_up_sockets(sup);
    cgwd_admin_unlink(sup);
    if (cgwd_rundir_has_lock(sup, path)) {
        sweep_sockets(sup->rundir);
        unlink(path);
        rmdir(sup->rundir);
    }
    close(sup->lock);
    sup->lock = -1;
}

/* One directory changes faster than the loop reads; at most a line a minute. */
static void handle_overflow(void *data)
{
    cgwd_supervisor *sup = data;
    int64_t now = cgwd_now();

    if (sup->overflow_said && now - sup->overflow_said < OVERFLOW_SAY_MS) {
        return;
    }
    sup->overflow_said = now;
    cgwd_log(sup->log, CGWD_WARN, CGW_LOGNO(0291)
             "files in a watched directory (CGatewayWatch) change faster than "
             "events can be read; the busiest directory is not watched until "
             "its group is reloaded, and other groups may have to be reloaded "
             "by hand now");
}

void cgwd_supervisor_watch_files(cgwd_supervisor *sup)
{
    if (sup->notify) {
        return;
    }
    sup->notify = cgwd_notify_create(sup->loop, handle_overflow, sup, sup->pool);
    if (!sup->notify) {
        cgwd_log(sup->log, CGWD_WARN, CGW_LOGNO(0292)
                 "no files can be watched for changes (CGatewayWatch): %s; "
                 "raise fs.inotify.max_user_instances, then \"apachectl graceful\"",
                 strerror(errno));
    }
}

static void handle_end_timeout(cgwd_timer *timer)
{
    cgwd_supervisor *sup = timer->owner;

    cgwd_loop_stop(sup->loop); /* the sweep kills what is left */
}

void cgwd_supervisor_end(cgwd_supervisor *sup, const char *why, int httpd_ended)
{
    if (sup->ending) {
        return;
    }
    sup->ending = 1;
    cgwd_log(sup->log, CGWD_NOTICE, "ending: %s", why);
    cgwd_rundir_leave(sup);
    if (httpd_ended || sup->succeeded == CGW_SUCCEEDED_ELSEWHERE) {
        give_up_rundir(sup);
    }
    else if (sup->succeeded) {
        give_up_sockets(sup);
        rmdir(sup->rundir); /* where the successor has ended before */
    }
    for_each_generation(sup, cgwd_generation_drain, why);
    cgwd_admin_notify(sup);
    sup->end_timer.owner = sup;
    sup->end_timer.handle = handle_end_timeout;
    cgwd_timer_set(sup->loop, &sup->end_timer, CGWD_END_MS);
    cgwd_supervisor_check_end(sup);
}

void cgwd_supervisor_leave(cgwd_supervisor *sup)
{
    if (!sup->ending) {
        cgwd_log(sup->log, CGWD_NOTICE, "ending: SIGTERM, while httpd goes on; its "
                 "parent starts another supervisor, and the workers of this one "
                 "finish their requests");
        sup->left = 1;
        cgwd_loop_stop(sup->loop);
    }
}

void cgwd_supervisor_check_end(cgwd_supervisor *sup)
{
    if (sup->ending && sup->nprocesses == 0) {
        cgwd_loop_stop(sup->loop);
    }
}

static void raise_descriptor_limit(cgwd_supervisor *sup)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        sup->descriptors = limit;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void init_process(int has_predecessor)
{
    close_range(CGW_LOCK_FD + 1 + (has_predecessor != 0), ~0U, 0);
    fcntl(CGW_SUPERVISOR_FD, F_SETFD, FD_CLOEXEC);
    fcntl(CGW_LOCK_FD, F_SETFD, FD_CLOEXEC);
    fcntl(CGW_PREDECESSOR_FD, F_SETFD, FD_CLOEXEC);
    setsid();
    prctl(PR_SET_NAME, "cgatewayd", 0, 0, 0);
    if (chdir("/") < 0) {
        return; /* whatever it was, it is not left */
    }
}

/* Directory of this very program. */
static const char *library_dir(apr_pool_t *p)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (n <= 0) {
        return NULL;
    }
    path[n] = '\0';
    slash = strrchr(path, '/');
    *slash = '\0';
    return apr_pstrdup(p, path);
}

static cgwd_supervisor *create(const char *rundir, int predecessor)
{
    apr_pool_t *pool;
    cgwd_supervisor *sup;

    if (apr_initialize() != APR_SUCCESS
        || apr_pool_create_ex(&pool, NULL, cgwd_want_end, NULL) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_max_free_set(apr_pool_allocator_get(pool), POOLS_KEEP_MAX);
    sup = apr_pcalloc(pool, sizeof(*sup));
    sup->pool = pool;
    sup->rundir = rundir;
    sup->lock = CGW_LOCK_FD;
    sup->parent = getppid();
    sup->predecessor = predecessor;
    sup->log = apr_pcalloc(pool, sizeof(*sup->log));
    sup->log->fd = STDERR_FILENO;
    sup->log->facility = LOG_LOCAL7;
    cgwd_want_tell(sup->log);
    sup->httpd_uid = geteuid(); /* until httpd's parent says */
    sup->born = cgwd_now();
    sup->groups = apr_hash_make(pool);
    sup->processes = apr_hash_make(pool);
    sup->waiting_end = &sup->waiting;
    sup->library = library_dir(pool);
    sup->loop = cgwd_loop_create();
    return sup->library && sup->loop ? sup : NULL;
}

/* Those that the sweep has ended, or that are left to themselves; also one whose pid
 * was not known yet. */
static void forget_processes(cgwd_generation *gen, const char *why)
{
    cgwd_process *proc;

    (void)why;
    while ((proc = gen->processes)) {
        gen->processes = proc->next;
        cgwd_output_end(proc);
        free(proc);
    }
}

static void end_processes(cgwd_supervisor *sup)
{
    if (cgwd_reaper_sweep() > 0) {
        cgwd_log(sup->log, CGWD_ERROR, CGW_LOGNO(0251)
                 "processes of groups are left that SIGKILL did not end; they "
                 "hang in the kernel");
    }
    cgwd_cgroup_end(sup);
}

int main(int argc, char **argv)
{
    cgwd_supervisor *sup;

    if (argc < 2 || argc > 3 || fcntl(CGW_SUPERVISOR_FD, F_GETFD) < 0
        || fcntl(CGW_LOCK_FD, F_GETFD) < 0) {
        fprintf(stderr, "%s is started by httpd with mod_cgateway, not by "
                "hand\n", argv[0]);
        return 2;
    }
    init_process(argc == 3);
    sup = create(argv[1], argc == 3 ? CGW_PREDECESSOR_FD : -1);
    if (!sup || cgwd_reaper_listen(sup)
        || !cgwd_config_listen(sup, CGW_SUPERVISOR_FD)) {
        fprintf(stderr, CGW_LOGNO(0250) "cgatewayd cannot start: %s\n",
                strerror(errno));
        return 1;
    }
    raise_descriptor_limit(sup);
    cgwd_sampler_start(sup);
    cgwd_loop_run(sup->loop);
    if (!sup->left) {
        end_processes(sup);
    }
    for_each_generation(sup, forget_processes, NULL);
    cgwd_loop_destroy(sup->loop);
    apr_terminate();
    return 0;
}
