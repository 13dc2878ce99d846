/* SPDX-License-Identifier: Apache-2.0 */

#include "supervisor.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_portable.h"
#include "apr_strings.h"
#include "apr_thread_proc.h"
#include "httpd.h"
#include "ap_mmn.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "ap_listen.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "unixd.h"

#include "alarm.h"
#include "cgw_control.h"
#include "cgw_log.h"
#include "cgw_wire.h"
#include "config.h"
#include "grouplog.h"
#include "launch.h"
#include "rundir.h"

APLOG_USE_MODULE(cgateway);

#define RETAINED_KEY "mod_cgateway_supervisor"
/* Of what is retained: another one cannot be taken over. It changes with the
 * structs below and those of rundir.c. */
#define LAYOUT 2
#define FORMER_MAX 16
/* How long httpd's parent waits for the end of a supervisor that it has killed. */
#define END_MS 1000
/* And at its own end for one that ends the workers, which have 3 s (CGWD_END_MS). */
#define LAST_MS 5000

/* What httpd's parent keeps while its configuration and this very module are
 * unloaded and loaded again, perhaps in another version. Strings live in the
 * process pool. */
typedef struct supervisor {
    unsigned layout;        /* LAYOUT; stays the first one */
    pid_t parent;           /* httpd's parent: whose descriptors these are */
    pid_t pid;              /* cgatewayd, 0: none */
    int control;            /* our end of its control channel, -1: none */
    unsigned protocol;      /* CGW_CONTROL_VERSION that it speaks */
    char sockets[16];       /* CGW_WIRE_SOCKET of its groups */
    cgwm_program_id program;   /* of its executable file */
    pid_t former[FORMER_MAX]; /* others that are about to end; 0: none */
    cgwm_rundir *rundir;    /* lock and listening sockets, NULL: none yet */
    apr_pool_t *pool;
} supervisor;

static supervisor *retained(server_rec *s)
{
    supervisor *sup = ap_retained_data_get(RETAINED_KEY);

    if (!sup) {
        sup = ap_retained_data_create(RETAINED_KEY, sizeof(*sup));
        sup->layout = LAYOUT;
        sup->parent = getpid();
        sup->control = -1;
        apr_pool_create(&sup->pool, s->process->pool);
        apr_pool_tag(sup->pool, "cgateway_supervisor");
    }
    return sup;
}

const char *cgwm_library_dir(apr_pool_t *p)
{
    Dl_info info;

    if (!dladdr(&cgateway_module, &info)) {
        return NULL;
    }
    return apr_pstrcat(p, ap_make_dirstr_parent(p, info.dli_fname), "cgateway",
                       NULL);
}

/* ---- spawn ------------------------------------------------------------- */

static const char *program_path(apr_pool_t *p)
{
    return apr_pstrcat(p, cgwm_library_dir(p), "/cgatewayd", NULL);
}

static apr_status_t start_supervisor(supervisor *sup, server_rec *s,
                                     pid_t predecessor, apr_pool_t *ptemp)
{
    const char *program = program_path(ptemp);
    cgwm_launch launch = {.program = program,
                          .rundir = cgwm_rundir_path(sup->rundir),
                          .lock = cgwm_rundir_lock_fd(sup->rundir),
                          .predecessor = predecessor};
    apr_status_t rv;

    cgwm_program_identify(&sup->program, program);
    rv = cgwm_launch_run(&launch, ptemp);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0101)
                     "cannot start the supervisor %s: no group can be served; "
                     "it must be installed beside mod_cgateway.so and be "
                     "executable", program);
        return rv;
    }
    sup->pid = launch.pid;
    sup->control = launch.control;
    sup->protocol = CGW_CONTROL_VERSION;
    apr_cpystrn(sup->sockets, CGW_WIRE_SOCKET, sizeof(sup->sockets));
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "started %s, pid %ld", program,
                 (long)sup->pid);
    return APR_SUCCESS;
}

static void close_control(supervisor *sup)
{
    if (sup->control >= 0) {
        close(sup->control);
        sup->control = -1;
    }
}

/* With more of them httpd's parent wonders. */
static void let_end(supervisor *sup, pid_t pid)
{
    for (int i = 0; i < FORMER_MAX; i++) {
        if (!sup->former[i]) {
            sup->former[i] = pid;
            return;
        }
    }
}

/* Whether it has ended; it is our child. */
static int wait_for(pid_t pid, int ms)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0),
                         .events = POLLIN};

    if (end.fd >= 0) {
        while (poll(&end, 1, ms) < 0 && errno == EINTR) {
            /* by alarm.c's signal, which comes for a second at most */
        }
        close(end.fd);
    }
    return waitpid(pid, NULL, WNOHANG) != 0;
}

/* One that was killed ends at once; unless it hangs in the kernel, or a debugger
 * keeps it: nobody would serve as long as httpd's parent waits. */
static void await_end(supervisor *sup, pid_t pid)
{
    if (!wait_for(pid, END_MS)) {
        let_end(sup, pid);
    }
}

/* Ends a supervisor that does not answer; it is our child. */
static void discard_supervisor(supervisor *sup)
{
    /* first: at the end of its channel it would remove the sockets */
    if (sup->pid > 0) {
        kill(sup->pid, SIGKILL);
        await_end(sup, sup->pid);
        sup->pid = 0;
    }
    close_control(sup);
}

/* ---- configuration ----------------------------------------------------- */

static apr_status_t write_all(int fd, const char *bytes, apr_size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0) {
            return errno;
        }
        bytes += n;
        len -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

/* What the supervisor is given. */
typedef struct configuration {
    const apr_array_header_t *groups;   /* of cgwm_group */
    int specs;                          /* a memfd with theirs, in that order */
} configuration;

/* A memfd that holds the specs of the groups in their order. */
static apr_status_t specs_memfd(int *fd, const apr_array_header_t *groups,
                                apr_pool_t *ptemp)
{
    apr_array_header_t *bytes = apr_array_make(ptemp, 4096, sizeof(char));
    apr_status_t rv;

    for (int i = 0; i < groups->nelts; i++) {
        cgwm_group *group = APR_ARRAY_IDX(groups, i, cgwm_group *);
        group->spec->log_level = ap_get_server_module_loglevel(
            group->owner, APLOG_MODULE_INDEX);
        cgwm_grouplog_describe(group, ptemp);
        cgw_spec_encode(group->spec, bytes);
    }
    *fd = memfd_create("cgateway-config", MFD_CLOEXEC);
    if (*fd < 0) {
        return errno;
    }
    rv = write_all(*fd, bytes->elts, (apr_size_t)bytes->nelts);
    if (rv != APR_SUCCESS) {
        close(*fd);
    }
    return rv;
}

static apr_status_t send_groups(supervisor *sup, server_rec *s,
                                const configuration *config,
                                apr_pool_t *ptemp)
{
    for (int i = 0; i < config->groups->nelts; i++) {
        cgwm_group *group = APR_ARRAY_IDX(config->groups, i, cgwm_group *);
        int fds[2] = {cgwm_rundir_socket(sup->rundir, group->spec->name),
                      cgwm_grouplog_open(group, s, ptemp)};
        int rv = cgw_message_send(sup->control, CGW_MSG_GROUP, (uint64_t)i,
                                  fds, 2);
        if (rv) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

/* Whom httpd's children run as. */
static uid_t httpd_uid(void)
{
    return geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
}

static apr_status_t await_answer(supervisor *sup)
{
    struct cgw_message answer;
    int fds[CGW_MESSAGE_MAX_FDS];
    int rv = cgw_message_recv(sup->control, &answer, fds, NULL);

    if (rv) {
        return rv == EAGAIN ? ETIMEDOUT : rv;
    }
    if (answer.type == CGW_MSG_REFUSED) {
        return answer.arg ? (apr_status_t)answer.arg : EINVAL;
    }
    return answer.type == CGW_MSG_ACCEPTED ? APR_SUCCESS : EPROTO;
}

static apr_status_t send_all(supervisor *sup, server_rec *s,
                             const configuration *config, int commit,
                             apr_pool_t *ptemp)
{
    const int fds[2] = {config->specs, cgwm_grouplog_of_server(s, s, ptemp)};
    const int lock = cgwm_rundir_lock_fd(sup->rundir);
    apr_status_t rv = cgw_message_send(sup->control, CGW_MSG_CONFIG,
                                       (uint64_t)config->groups->nelts, fds, 2);

    if (rv == APR_SUCCESS) { /* it may be another one by now */
        rv = cgw_message_send(sup->control, CGW_MSG_LOCK, 0, &lock, 1);
    }
    if (rv == APR_SUCCESS) {
        rv = cgw_message_send(sup->control, CGW_MSG_USER, httpd_uid(), NULL, 0);
    }
    if (rv == APR_SUCCESS) {
        rv = send_groups(sup, s, config, ptemp);
    }
    if (rv == APR_SUCCESS) {
        rv = cgw_message_send(sup->control, CGW_MSG_COMMIT, (uint64_t)commit,
                              NULL, 0);
    }
    return rv;
}

/* Neither the supervisor's end nor its silence. */
static int is_own_want(apr_status_t rv)
{
    return rv == ENOMEM || rv == ENOBUFS || rv == EMFILE || rv == ENFILE
           || rv == ETOOMANYREFS;
}

/* *sent: as much as httpd's parent could do. */
static apr_status_t send_config(supervisor *sup, server_rec *s,
                                const configuration *config, int commit,
                                int *sent, apr_pool_t *ptemp)
{
    apr_status_t rv = send_all(sup, s, config, commit, ptemp);

    *sent = !is_own_want(rv);
    return rv == APR_SUCCESS ? await_answer(sup) : rv;
}

/* Those that have a socket. */
static apr_array_header_t *list_groups(const supervisor *sup, server_rec *s,
                                       apr_pool_t *ptemp)
{
    apr_hash_t *hash = cgwm_server_conf_get(s)->groups;
    apr_array_header_t *list = apr_array_make(ptemp, 8, sizeof(cgwm_group *));

    for (apr_hash_index_t *i = apr_hash_first(ptemp, hash); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        if (cgwm_rundir_socket(sup->rundir, ((cgwm_group *)group)->spec->name) >= 0) {
            APR_ARRAY_PUSH(list, cgwm_group *) = group;
        }
    }
    return list;
}

/* One that was let go has ended: nothing is to be done, but httpd's parent would
 * wonder whose child that was. */
static void say_farewell(int reason, void *data, apr_wait_t status)
{
    (void)status;
    if (reason == APR_OC_REASON_DEATH || reason == APR_OC_REASON_LOST) {
        *(pid_t *)data = 0;
        apr_proc_other_child_unregister(data);
    }
}

/* Until then httpd's parent has to be told after each restart. */
static void watch_former(supervisor *sup, apr_pool_t *pconf)
{
    for (int i = 0; i < FORMER_MAX; i++) {
        if (sup->former[i]) {
            apr_proc_t *proc = apr_pcalloc(pconf, sizeof(*proc));
            proc->pid = sup->former[i];
            apr_proc_other_child_register(proc, say_farewell, &sup->former[i],
                                          NULL, pconf);
        }
    }
}

/* Starts one, beside the predecessor where there is one, and gives it the
 * configuration. */
static apr_status_t start_and_configure(supervisor *sup, server_rec *s,
                                        const configuration *config,
                                        pid_t predecessor, apr_pool_t *ptemp)
{
    apr_status_t rv = start_supervisor(sup, s, predecessor, ptemp);
    int sent;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = send_config(sup, s, config, CGW_COMMIT_GRACEFUL, &sent, ptemp);
    if (rv != APR_SUCCESS) {
        discard_supervisor(sup);
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0103)
                     "a new supervisor did not take the configuration: no "
                     "group can be served; see its messages above. Where "
                     "mod_cgateway has been upgraded, \"apachectl graceful\" "
                     "brings module and supervisor together");
    }
    return rv;
}

/* Another version was installed, or this is one. */
static int is_outdated(const supervisor *sup, apr_pool_t *ptemp)
{
    return sup->protocol != CGW_CONTROL_VERSION
           || !cgwm_program_is(&sup->program, program_path(ptemp));
}

/* It serves on until the new one does, or ends at once. */
static void dismiss(const supervisor *former, int commit, int elsewhere)
{
    int apart = strcmp(former->sockets, CGW_WIRE_SOCKET) != 0;
    union sigval value = {.sival_int = elsewhere ? CGW_SUCCEEDED_ELSEWHERE
                                       : apart   ? CGW_SUCCEEDED_APART
                                                 : CGW_SUCCEEDED_SHARED};

    if (commit == CGW_COMMIT_RESTART) {
        value.sival_int |= CGW_SUCCEEDED_NOW;
    }
    sigqueue(former->pid, CGW_SUCCESSION_SIGNAL, value);
    close(former->control);
}

/* The supervisor that is installed now takes the place of the running one; that
 * one goes on where it cannot. */
static apr_status_t replace_supervisor(supervisor *sup, server_rec *s,
                                       const configuration *config,
                                       int commit, int elsewhere,
                                       apr_pool_t *ptemp)
{
    supervisor former = *sup;
    apr_status_t rv;
    int sent;

    if (!elsewhere) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mod_cgateway was upgraded "
                     "or replaced: another supervisor starts, and every group "
                     "with it; the former one (pid %ld) serves until then",
                     (long)former.pid);
    }
    rv = start_and_configure(sup, s, config, former.pid, ptemp);
    if (rv == APR_SUCCESS) {
        dismiss(&former, commit, elsewhere);
        let_end(sup, former.pid);
        return rv;
    }
    *sup = former;
    return sup->protocol == CGW_CONTROL_VERSION
               ? send_config(sup, s, config, commit, &sent, ptemp) : rv;
}

/* What httpd's parent has not got itself, a descriptor or memory, is no reason to end
 * a supervisor that serves: the hook of the monitor tries again. */
static void say_want(server_rec *s, apr_status_t rv)
{
    ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0184)
                 "the configuration of the groups cannot be passed on: they "
                 "are served as they were before, and it is tried again. "
                 "Limits on descriptors or memory of httpd's service are the "
                 "usual cause");
}

/* Gives the running supervisor the configuration; one that is gone or does
 * not answer is replaced, once. */
static apr_status_t pass_on(supervisor *sup, server_rec *s,
                            const configuration *config, int commit,
                            int elsewhere, apr_pool_t *ptemp)
{
    apr_status_t rv;
    int sent;

    if (sup->pid > 0 && (elsewhere || is_outdated(sup, ptemp))) {
        return replace_supervisor(sup, s, config, commit, elsewhere, ptemp);
    }
    if (sup->pid > 0) {
        kill(sup->pid, SIGCONT); /* nobody serves while its answer is awaited */
        rv = send_config(sup, s, config, commit, &sent, ptemp);
        if (!sent) {
            say_want(s, rv);
        }
        if (rv == APR_SUCCESS || !sent) {
            return rv;
        }
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, CGW_LOGNO(0102)
                     "the supervisor (pid %ld) did not take the configuration; "
                     "starting another one, which starts every group anew",
                     (long)sup->pid);
        discard_supervisor(sup);
    }
    return start_and_configure(sup, s, config, 0, ptemp);
}

static apr_status_t configure(supervisor *sup, server_rec *s, int commit,
                              int elsewhere, apr_pool_t *ptemp)
{
    configuration config = {.groups = list_groups(sup, s, ptemp)};
    apr_status_t rv = specs_memfd(&config.specs, config.groups, ptemp);

    cgwm_alarm_never(sup->control); /* its answer is awaited */
    if (rv == APR_SUCCESS) {
        rv = pass_on(sup, s, &config, commit, elsewhere, ptemp);
        close(config.specs);
    }
    else {
        say_want(s, rv);
    }
    cgwm_server_conf_get(s)->is_pending = rv != APR_SUCCESS;
    return rv;
}

/* ---- life -------------------------------------------------------------- */

static void watch(supervisor *sup, apr_pool_t *pconf);

static int is_stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
    return state == AP_MPMQ_STOPPING;
}

/* How it ended. The MPM gives what apr_proc_wait() makes of it, an exit code or a
 * signal's number, and not which of the two; apr_proc_other_child_refresh() what
 * waitpid() said. The supervisor exits with 0, 1 or 2, and ignores the signals of these
 * numbers. */
static const char *kind_of_end(apr_wait_t status, int *number)
{
    int exited = status < 3 || status > 255;

    *number = status > 255 ? WEXITSTATUS(status) : exited ? status : WTERMSIG(status);
    return exited ? "exit code" : "signal";
}

/* Its directory is not the configured one, which could not be used so far. */
static int is_misplaced(const supervisor *sup, server_rec *s, apr_pool_t *ptemp)
{
    return !sup->rundir
           || strcmp(cgwm_rundir_path(sup->rundir), cgwm_runtime_dir(s, ptemp)) != 0;
}

/* httpd's parent calls this when the supervisor has died, and when the
 * configuration that it was registered for ends. */
static void maintain(int reason, void *data, apr_wait_t status)
{
    supervisor *sup = data;
    server_rec *s = ap_server_conf;
    const char *kind;
    int number;
    apr_pool_t *ptemp;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    kind = kind_of_end(status, &number);
    apr_proc_other_child_unregister(data);
    close_control(sup);
    if (is_stopping()) {
        sup->pid = 0; /* post_config starts another, if there is one to come */
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CGW_LOGNO(0104)
                 "the supervisor (pid %ld) ended with %s %d; starting another. "
                 "Requests that no worker had accepted wait and are then served",
                 (long)sup->pid, kind, number);
    sup->pid = 0;
    apr_pool_create(&ptemp, sup->pool);
    if (!is_misplaced(sup, s, ptemp)) {
        cgwm_rundir_mend(sup->rundir, s, ptemp); /* the new one shall find it whole */
    }
    configure(sup, s, CGW_COMMIT_GRACEFUL, 0, ptemp);
    apr_pool_destroy(ptemp);
    watch(sup, s->process->pconf);
    cgwm_alarm_heard();
}

static void watch(supervisor *sup, apr_pool_t *pconf)
{
    apr_proc_t *proc = apr_pcalloc(pconf, sizeof(*proc));

    if (sup->pid > 0) {
        proc->pid = sup->pid;
        apr_proc_other_child_register(proc, maintain, sup, NULL, pconf);
        cgwm_alarm_at_end(sup->control);
    }
}

/* httpd's parent is about to exit. A service manager kills who is still there then at
 * once (systemd with KillMode=mixed): the supervisor, before it has removed what it made,
 * and workers that are in the middle of something. So it is told of the end now. */
static apr_status_t finish(void *data)
{
    supervisor *sup = data;

    if (getpid() != sup->parent || sup->pid <= 0) {
        return APR_SUCCESS;
    }
    ap_close_listeners(); /* the next httpd wants the ports */
    shutdown(sup->control, SHUT_RDWR);
    close_control(sup);
    wait_for(sup->pid, LAST_MS);
    return APR_SUCCESS;
}

/* The process pool outlives this very module. */
static apr_status_t forget_finish(void *process_pool)
{
    apr_pool_cleanup_kill(process_pool, ap_retained_data_get(RETAINED_KEY), finish);
    return APR_SUCCESS;
}

static void watch_end(supervisor *sup, apr_pool_t *process_pool, apr_pool_t *pconf)
{
    apr_pool_pre_cleanup_register(process_pool, sup, finish);
    apr_pool_cleanup_register(pconf, process_pool, forget_finish, apr_pool_cleanup_null);
}

/* SIGHUP ends everything; SIGUSR1 (graceful) ends nothing. The MPM says which
 * it was; is_ungraceful is already reset when the configuration is read. */
static int commit_kind(void)
{
    const ap_unixd_mpm_retained_data *mpm = ap_unixd_mpm_get_retained_data();

    return mpm && !mpm->was_graceful ? CGW_COMMIT_RESTART
                                     : CGW_COMMIT_GRACEFUL;
}

/* The directory that is left, or NULL: CGatewayRuntimeDir is another one now.
 * Everything starts anew in the new one. */
static cgwm_rundir *leave_rundir(supervisor *sup, server_rec *s,
                                 apr_pool_t *ptemp)
{
    const char *path = cgwm_runtime_dir(s, ptemp), *former;
    cgwm_rundir *left = sup->rundir;

    if (!left) {
        return NULL;
    }
    former = cgwm_rundir_path(left);
    if (strcmp(former, path) == 0) {
        return NULL;
    }
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "the runtime directory "
                 "moves from %s to %s: every group starts anew", former, path);
    sup->rundir = NULL;
    return left;
}

static int is_starting(void)
{
    return ap_unixd_mpm_get_retained_data()->my_generation == 0;
}

/* A group that has no socket for now keeps none of the others from the new
 * configuration, unless httpd has just been started. */
static apr_status_t apply_config(supervisor *sup, server_rec *s, int commit,
                                 apr_pool_t *ptemp)
{
    cgwm_rundir *left = leave_rundir(sup, s, ptemp);
    apr_status_t rv;

    if (sup->rundir) {
        cgwm_rundir_renew(sup->rundir, s, ptemp); /* else it is tried again */
    }
    rv = cgwm_rundir_prepare(&sup->rundir, s, commit == CGW_COMMIT_RESTART, ptemp,
                             sup->pool);
    if (sup->rundir && (rv == APR_SUCCESS || !is_starting())) {
        rv = configure(sup, s, commit, left != NULL, ptemp);
    }
    if (left && sup->rundir) {
        cgwm_rundir_leave(left);
    }
    else if (left) {
        sup->rundir = left;
    }
    return rv;
}

/* ---- in between ----------------------------------------------------------- */

/* Whether a file has appeared that a group could not start without. An upgrade is for
 * graceful alone. */
static int has_completed(const supervisor *sup, server_rec *s, apr_pool_t *pconf,
                         apr_pool_t *ptemp)
{
    return sup->pid > 0 && !is_outdated(sup, ptemp)
           && cgwm_groups_complete(pconf, s, ptemp) > 0;
}

/* What could not be done for want of processes, memory or space may be possible by now;
 * somebody may have removed the runtime directory, or a socket; and a group may have got
 * the file that it lacked. */
static void look_after(supervisor *sup, server_rec *s, apr_pool_t *pconf,
                       apr_pool_t *ptemp)
{
    int pending = cgwm_server_conf_get(s)->is_pending;
    int misplaced = is_misplaced(sup, s, ptemp);
    int changed = has_completed(sup, s, pconf, ptemp);

    if (!misplaced && cgwm_rundir_mend(sup->rundir, s, ptemp)) {
        changed = 1;
    }
    if (!misplaced && !changed && !pending) {
        return;
    }
    if (sup->pid > 0) {
        apr_proc_other_child_unregister(sup); /* that one may be replaced */
    }
    if (misplaced) {
        apply_config(sup, s, CGW_COMMIT_GRACEFUL, ptemp);
    }
    else {
        configure(sup, s, pending ? CGW_COMMIT_GRACEFUL : CGW_COMMIT_REPAIR, 0, ptemp);
    }
    watch(sup, s->process->pconf);
}

/* httpd's parent looks every ten seconds, and when the supervisor calls it. */
static int monitor(apr_pool_t *pconf, server_rec *s)
{
    supervisor *sup = ap_retained_data_get(RETAINED_KEY);
    apr_pool_t *ptemp;

    if (sup && sup->layout == LAYOUT && (sup->rundir || cgwm_has_groups(s))
        && !is_stopping()) {
        apr_pool_create(&ptemp, sup->pool);
        look_after(sup, s, pconf, ptemp);
        apr_pool_destroy(ptemp);
    }
    cgwm_alarm_heard();
    return DECLINED;
}

/* ---- hooks ---------------------------------------------------------------- */

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                       server_rec *s)
{
    supervisor *sup;
    apr_status_t rv;

    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    sup = retained(s);
    if (sup->layout != LAYOUT) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, CGW_LOGNO(0182)
                     "this version of mod_cgateway cannot take over from the one "
                     "that started httpd: stop httpd, then start it. Until then "
                     "the groups are served as they are, without changes");
        return OK;
    }
    if (apr_hash_count(cgwm_server_conf_get(s)->groups) == 0 && !sup->rundir) {
        return OK;
    }
    rv = apply_config(sup, s, commit_kind(), ptemp);
    watch(sup, pconf);
    watch_former(sup, pconf);
    watch_end(sup, s->process->pool, pconf);
    /* Failing here ends httpd. At start that is right; a running httpd serves
     * its other sites on. */
    return rv == APR_SUCCESS || !is_starting() ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* An httpd child needs nothing of this, and must not keep a socket alive. It
 * ends with httpd's parent: nobody could reap, stop or restart it, and it
 * would block the port for the next httpd. */
static void child_init(apr_pool_t *p, server_rec *s)
{
    supervisor *sup = ap_retained_data_get(RETAINED_KEY);

    (void)p;
    (void)s;
    if (!sup || sup->layout != LAYOUT || sup->parent == getpid()) {
        return; /* no groups, or httpd -X */
    }
    close_control(sup);
    if (sup->rundir) {
        cgwm_rundir_close(sup->rundir);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != sup->parent) {
        _exit(0);
    }
}

void cgwm_supervisor_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}
