/* SPDX-License-Identifier: Apache-2.0 */

#include "supervisor.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
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
#include "ap_mpm.h"
#include "unixd.h"

#include "cgw_control.h"
#include "cgw_log.h"
#include "config.h"
#include "rundir.h"

APLOG_USE_MODULE(cgateway);

#define RETAINED_KEY "mod_cgateway_supervisor"
/* How long httpd's parent waits for cgatewayd to take a configuration. It
 * answers within milliseconds: only a stopped process takes longer. */
#define ANSWER_TIMEOUT_SECONDS 10

/* What httpd's parent keeps while its configuration and this very module are
 * unloaded and loaded again. Strings live in the process pool. */
typedef struct supervisor {
    pid_t parent;           /* httpd's parent: whose descriptors these are */
    pid_t pid;              /* cgatewayd, 0: none */
    int control;            /* our end of its control channel, -1: none */
    cgwm_rundir *rundir;    /* lock and listening sockets, NULL: none yet */
    apr_pool_t *pool;
} supervisor;

static supervisor *retained(server_rec *s)
{
    supervisor *sup = ap_retained_data_get(RETAINED_KEY);

    if (!sup) {
        sup = ap_retained_data_create(RETAINED_KEY, sizeof(*sup));
        sup->parent = getpid();
        sup->control = -1;
        apr_pool_create(&sup->pool, s->process->pool);
        apr_pool_tag(sup->pool, "cgateway_supervisor");
    }
    return sup;
}

/* The directory of cgatewayd and of the worker's files: <this module's
 * directory>/cgateway. */
static const char *library_dir(apr_pool_t *p)
{
    Dl_info info;

    if (!dladdr(&cgateway_module, &info)) {
        return NULL;
    }
    return apr_pstrcat(p, ap_make_dirstr_parent(p, info.dli_fname), "cgateway",
                       NULL);
}

/* ---- spawn ------------------------------------------------------------- */

/* In the child of fork(): async-signal-safe calls only. */
static void exec_supervisor(const char *program, char *const *argv,
                            char *const *envp, int control, int lock,
                            int failure)
{
    sigset_t none;
    int devnull;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* prefork signals its whole process group */
    /* out of the way of the descriptors that are about to be placed */
    control = fcntl(control, F_DUPFD_CLOEXEC, 10);
    lock = fcntl(lock, F_DUPFD_CLOEXEC, 10);
    failure = fcntl(failure, F_DUPFD_CLOEXEC, 10);
    devnull = open("/dev/null", O_RDWR);
    if (control >= 0 && lock >= 0 && failure >= 0 && devnull >= 0
        && dup2(devnull, STDIN_FILENO) >= 0 && dup2(devnull, STDOUT_FILENO) >= 0
        && dup2(control, CGW_SUPERVISOR_FD) >= 0 && dup2(lock, CGW_LOCK_FD) >= 0) {
        execve(program, argv, envp);
    }
    int err = errno;
    if (write(failure, &err, sizeof(err)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static void set_timeouts(int fd)
{
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_SECONDS};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* errno of the exec, 0 where it succeeded (the pipe closed on exec) */
static int exec_result(int fd)
{
    int err = 0;
    ssize_t n;

    do {
        n = read(fd, &err, sizeof(err));
    } while (n < 0 && errno == EINTR);
    return n == sizeof(err) ? err : 0;
}

static apr_status_t fork_supervisor(supervisor *sup, const char *program,
                                    const char *dir, apr_pool_t *ptemp)
{
    int pair[2], failure[2], err;
    const char *tz = getenv("TZ");
    char *argv[] = {apr_pstrdup(ptemp, program), apr_pstrdup(ptemp, dir), NULL};
    char *envp[] = {apr_pstrdup(ptemp, "PATH=/usr/local/sbin:/usr/local/bin:"
                                       "/usr/sbin:/usr/bin:/sbin:/bin"),
                    tz ? apr_pstrcat(ptemp, "TZ=", tz, NULL) : NULL, NULL};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return errno;
    }
    if (pipe2(failure, O_CLOEXEC) < 0) {
        err = errno;
        close(pair[0]);
        close(pair[1]);
        return err;
    }
    sup->pid = fork();
    if (sup->pid == 0) {
        exec_supervisor(program, argv, envp, pair[1],
                        cgwm_rundir_lock_fd(sup->rundir), failure[1]);
    }
    err = sup->pid < 0 ? errno : 0;
    close(pair[1]);
    close(failure[1]);
    if (!err && (err = exec_result(failure[0])) != 0) {
        waitpid(sup->pid, NULL, 0);
    }
    close(failure[0]);
    if (err) {
        close(pair[0]);
        sup->pid = 0;
        return err;
    }
    sup->control = pair[0];
    set_timeouts(sup->control);
    return APR_SUCCESS;
}

static apr_status_t start_supervisor(supervisor *sup, server_rec *s,
                                     apr_pool_t *ptemp)
{
    const char *dir = library_dir(ptemp);
    const char *program = apr_pstrcat(ptemp, dir, "/cgatewayd", NULL);
    apr_status_t rv = fork_supervisor(sup, program,
                                      cgwm_rundir_path(sup->rundir), ptemp);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0101)
                     "cannot start the supervisor %s: no group can be served; "
                     "it must be installed beside mod_cgateway.so and be "
                     "executable", program);
        return rv;
    }
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

/* Ends a supervisor that does not answer; it is our child. */
static void discard_supervisor(supervisor *sup)
{
    close_control(sup);
    if (sup->pid > 0) {
        kill(sup->pid, SIGKILL);
        waitpid(sup->pid, NULL, 0);
        sup->pid = 0;
    }
}

/* ---- configuration ----------------------------------------------------- */

static int log_fd(const server_rec *s, const server_rec *main_server)
{
    apr_os_file_t fd = STDERR_FILENO;

    if (s->error_log) {
        apr_os_file_get(&fd, s->error_log);
    }
    else if (main_server->error_log) {
        apr_os_file_get(&fd, main_server->error_log);
    }
    return fd;
}

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

/* A memfd that holds the specs of the groups in their order. */
static apr_status_t specs_memfd(int *fd, const apr_array_header_t *groups,
                                apr_pool_t *ptemp)
{
    apr_array_header_t *bytes = apr_array_make(ptemp, 4096, sizeof(char));
    apr_status_t rv;

    for (int i = 0; i < groups->nelts; i++) {
        const cgwm_group *group = APR_ARRAY_IDX(groups, i, cgwm_group *);
        group->spec->log_level = ap_get_server_module_loglevel(
            group->owner, APLOG_MODULE_INDEX);
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
                                const apr_array_header_t *groups)
{
    for (int i = 0; i < groups->nelts; i++) {
        const cgwm_group *group = APR_ARRAY_IDX(groups, i, cgwm_group *);
        int fds[2] = {cgwm_rundir_socket(sup->rundir, group->spec->name),
                      log_fd(group->owner, s)};
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

static apr_status_t send_config(supervisor *sup, server_rec *s,
                                const apr_array_header_t *groups, int commit,
                                apr_pool_t *ptemp)
{
    int fds[2];
    apr_status_t rv = specs_memfd(&fds[0], groups, ptemp);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    fds[1] = log_fd(s, s);
    rv = cgw_message_send(sup->control, CGW_MSG_CONFIG,
                          (uint64_t)groups->nelts, fds, 2);
    close(fds[0]);
    if (rv == APR_SUCCESS) {
        rv = cgw_message_send(sup->control, CGW_MSG_USER, httpd_uid(), NULL, 0);
    }
    if (rv == APR_SUCCESS) {
        rv = send_groups(sup, s, groups);
    }
    if (rv == APR_SUCCESS) {
        rv = cgw_message_send(sup->control, CGW_MSG_COMMIT, (uint64_t)commit,
                              NULL, 0);
    }
    return rv == APR_SUCCESS ? await_answer(sup) : rv;
}

static apr_array_header_t *list_groups(server_rec *s, apr_pool_t *ptemp)
{
    apr_hash_t *hash = cgwm_server_conf_get(s)->groups;
    apr_array_header_t *list = apr_array_make(ptemp, 8, sizeof(cgwm_group *));

    for (apr_hash_index_t *i = apr_hash_first(ptemp, hash); i;
         i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        APR_ARRAY_PUSH(list, cgwm_group *) = group;
    }
    return list;
}

/* Gives the running supervisor the configuration; one that is gone or does
 * not answer is replaced, once. */
static apr_status_t configure(supervisor *sup, server_rec *s, int commit,
                              apr_pool_t *ptemp)
{
    apr_array_header_t *groups = list_groups(s, ptemp);
    apr_status_t rv;

    if (sup->pid > 0) {
        rv = send_config(sup, s, groups, commit, ptemp);
        if (rv == APR_SUCCESS) {
            return rv;
        }
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, CGW_LOGNO(0102)
                     "the supervisor (pid %ld) did not take the configuration; "
                     "starting another one, which starts every group anew",
                     (long)sup->pid);
        discard_supervisor(sup);
    }
    rv = start_supervisor(sup, s, ptemp);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = send_config(sup, s, groups, CGW_COMMIT_GRACEFUL, ptemp);
    if (rv != APR_SUCCESS) {
        discard_supervisor(sup);
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, CGW_LOGNO(0103)
                     "a new supervisor did not take the configuration: no "
                     "group can be served; see its messages above");
    }
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

/* httpd's parent calls this when the supervisor has died, and when the
 * configuration that it was registered for ends. */
static void maintain(int reason, void *data, apr_wait_t status)
{
    supervisor *sup = data;
    server_rec *s = ap_server_conf;
    apr_pool_t *ptemp;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) {
        return;
    }
    apr_proc_other_child_unregister(data);
    close_control(sup);
    if (is_stopping()) {
        sup->pid = 0; /* post_config starts another, if there is one to come */
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, CGW_LOGNO(0104)
                 "the supervisor (pid %ld) ended with %s %d; starting another. "
                 "Requests that no worker had accepted wait and are then served",
                 (long)sup->pid, WIFSIGNALED(status) ? "signal" : "exit code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    sup->pid = 0;
    apr_pool_create(&ptemp, sup->pool);
    configure(sup, s, CGW_COMMIT_GRACEFUL, ptemp);
    apr_pool_destroy(ptemp);
    watch(sup, s->process->pconf);
}

static void watch(supervisor *sup, apr_pool_t *pconf)
{
    apr_proc_t *proc = apr_pcalloc(pconf, sizeof(*proc));

    if (sup->pid > 0) {
        proc->pid = sup->pid;
        apr_proc_other_child_register(proc, maintain, sup, NULL, pconf);
    }
}

/* SIGHUP ends everything; SIGUSR1 (graceful) ends nothing. The MPM says which
 * it was; is_ungraceful is already reset when the configuration is read. */
static int commit_kind(void)
{
    const ap_unixd_mpm_retained_data *mpm = ap_unixd_mpm_get_retained_data();

    return mpm && !mpm->was_graceful ? CGW_COMMIT_RESTART
                                     : CGW_COMMIT_GRACEFUL;
}

/* A supervisor that was let go has ended: nothing is to be done, but httpd's
 * parent would wonder whose child that was. */
static void say_farewell(int reason, void *data, apr_wait_t status)
{
    (void)status;
    if (reason == APR_OC_REASON_DEATH || reason == APR_OC_REASON_LOST) {
        apr_proc_other_child_unregister(data);
    }
}

static void let_go(supervisor *sup, apr_pool_t *pconf)
{
    apr_proc_t *proc = apr_pcalloc(pconf, sizeof(*proc));

    close_control(sup);
    if (sup->pid > 0) {
        proc->pid = sup->pid;
        apr_proc_other_child_register(proc, say_farewell, proc, NULL, pconf);
        sup->pid = 0;
    }
}

/* CGatewayRuntimeDir is another one now. The former supervisor cleans up its
 * directory and ends; everything starts anew in the other one. */
static void leave_rundir(supervisor *sup, server_rec *s, apr_pool_t *pconf,
                         apr_pool_t *ptemp)
{
    const char *path = cgwm_runtime_dir(s, ptemp);

    if (!sup->rundir || strcmp(cgwm_rundir_path(sup->rundir), path) == 0) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "the runtime directory moves "
                 "from %s to %s: every group starts anew",
                 cgwm_rundir_path(sup->rundir), path);
    let_go(sup, pconf);
    cgwm_rundir_close(sup->rundir);
    sup->rundir = NULL;
}

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
    if (apr_hash_count(cgwm_server_conf_get(s)->groups) == 0 && !sup->rundir) {
        return OK;
    }
    leave_rundir(sup, s, pconf, ptemp);
    rv = cgwm_rundir_prepare(&sup->rundir, s, ptemp, sup->pool);
    if (rv == APR_SUCCESS) {
        rv = configure(sup, s, commit_kind(), ptemp);
    }
    watch(sup, pconf);
    /* Failing here ends httpd. At start that is right; a running httpd serves
     * its other sites on. */
    return rv == APR_SUCCESS || ap_unixd_mpm_get_retained_data()->my_generation > 0
               ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* An httpd child needs nothing of this, and must not keep a socket alive. It
 * ends with httpd's parent: nobody could reap, stop or restart it, and it
 * would block the port for the next httpd. */
static void child_init(apr_pool_t *p, server_rec *s)
{
    supervisor *sup = ap_retained_data_get(RETAINED_KEY);

    (void)p;
    (void)s;
    if (!sup || sup->parent == getpid()) {
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
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}
