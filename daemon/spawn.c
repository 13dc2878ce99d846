/* SPDX-License-Identifier: Apache-2.0 */

#include "spawn.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgw_control.h"
#include "environment.h"
#include "landlock.h"
#include "limits.h"
#include "seccomp.h"
#include "usergroups.h"

#define FIRST_SPARE_FD 10

/* All that the child needs, made before fork: behind it only calls that are
 * safe in a signal handler are allowed. */
struct plan {
    char **argv, **envp;
    gid_t groups[CGWD_GROUPS_MAX];
    int ngroups;
    cgwd_limits limits;
    apr_array_header_t *landlock;   /* NULL: none */
};

static const char *const preload_names[] = {
#define X(sym, name) [CGW_PRELOAD_##sym] = name,
    CGW_PRELOAD_TABLE(X)
#undef X
};

static char **make_argv(const cgwd_spawn *spawn, apr_pool_t *p)
{
    const cgw_spec *spec = spawn->spec;
    apr_array_header_t *argv = apr_array_make(p, 8, sizeof(char *));

#define ARG(s) APR_ARRAY_PUSH(argv, char *) = apr_pstrdup(p, s)
    ARG(spec->python);
    ARG(apr_pstrcat(p, spawn->library, "/bootstrap.py", NULL));
    ARG(spec->name);
    ARG(spec->application);
    ARG(apr_ltoa(p, (long)spec->threads));
    ARG(apr_ltoa(p, (long)spec->processes_max));
    ARG(apr_psprintf(p, "--owner=%ld", (long)spawn->owner));
    ARG(apr_pstrcat(p, "--preload=",
                    preload_names[spawn->solo ? CGW_PRELOAD_OFF : spec->preload], NULL));
    if (spawn->generation) {
        ARG(apr_psprintf(p, "--generation=%u", spawn->generation));
    }
    if (spawn->check) {
        ARG(apr_pstrcat(p, "--check=", spawn->check, NULL));
    }
    ARG(apr_psprintf(p, "--deadlock-timeout=%ld", (long)spec->deadlock_timeout));
    if (spec->watch_application) {
        ARG("--watch-application");
    }
    for (int i = 0; i < spec->watch->nelts; i++) {
        ARG(apr_pstrcat(p, "--watch=", APR_ARRAY_IDX(spec->watch, i, const char *),
                        NULL));
    }
    for (int i = 0; i < spec->path->nelts; i++) {
        ARG(APR_ARRAY_IDX(spec->path, i, const char *));
    }
#undef ARG
    APR_ARRAY_PUSH(argv, char *) = NULL;
    return (char **)argv->elts;
}

/* ---- in the child ---------------------------------------------------------- */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        _exit(127);
    }
}

_Noreturn static void give_up(const char *step, const char *what)
{
    const char *reason = strerrordesc_np(errno);

    say("cannot start: ");
    say(step);
    say(what ? " " : "");
    say(what ? what : "");
    say(": ");
    say(reason ? reason : "unknown error");
    say("\n");
    _exit(127);
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++) {
        sigaction(sig, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void place_descriptors(const cgwd_spawn *spawn)
{
    int control = fcntl(spawn->control, F_DUPFD_CLOEXEC, FIRST_SPARE_FD);
    int listener = fcntl(spawn->listener, F_DUPFD_CLOEXEC, FIRST_SPARE_FD);
    int output = fcntl(spawn->output, F_DUPFD_CLOEXEC, FIRST_SPARE_FD);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (output < 0 || dup2(output, STDERR_FILENO) < 0
        || dup2(output, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    if (control < 0 || listener < 0 || null < 0
        || dup2(null, STDIN_FILENO) < 0 || dup2(control, CGW_CONTROL_FD) < 0
        || dup2(listener, CGW_LISTEN_FD) < 0) {
        give_up("placing descriptors", NULL);
    }
    /* at exec: the next steps need some of them */
    close_range(CGW_LISTEN_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* The file system as the group is to see it. */
static void enter_file_system(const cgwd_spawn *spawn)
{
    const char *root = spawn->spec->chroot;

    if (cgwd_mounts_enter(spawn->mounts) < 0) {
        give_up("entering", "the group's mount namespace");
    }
    if (root && (chroot(root) < 0 || chdir("/") < 0)) {
        give_up("CGatewayChroot", root);
    }
}

static int open_landlock(const cgw_spec *spec, const struct plan *plan)
{
    const char *at;
    int ruleset;

    if (!plan->landlock) {
        return -1;
    }
    ruleset = cgwd_landlock_open(spec, plan->landlock, &at);
    if (ruleset < 0) {
        give_up("CGatewayAllowRead, CGatewayAllowWrite", at);
    }
    return ruleset;
}

/* The last step before the application's code. */
static void confine(const cgw_spec *spec, int ruleset)
{
    if (ruleset >= 0 && cgwd_landlock_apply(ruleset) < 0) {
        give_up("CGatewayAllowRead, CGatewayAllowWrite", NULL);
    }
    if (spec->syscall_filter && cgwd_seccomp_apply() < 0) {
        give_up("CGatewaySyscallFilter", NULL);
    }
}

/* Those that a change of the user leaves: inheritable ones, and all of them where
 * there is none. Giving up needs no right. */
static void give_up_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capset, &header, none) < 0) {
        give_up("giving up capabilities", NULL);
    }
}

/* What no program that the process starts can ever have again. Without the
 * right to, as in some containers, no_new_privs alone sees to it. */
static void drop_capabilities(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            return;
        }
    }
}

/* httpd may have been started from a login of root: keys of that session are
 * not the group's. A kernel without keys has none to take away. */
static void leave_session_keyring(void)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0) {
        return;
    }
}

static void become_user(const cgw_spec *spec, const struct plan *plan)
{
    if (spec->uid < 0) {
        return;
    }
    if (geteuid() == 0
        && setgroups((size_t)plan->ngroups, plan->groups) < 0) {
        give_up("setting the groups of", spec->user);
    }
    if (setresgid((gid_t)spec->gid, (gid_t)spec->gid, (gid_t)spec->gid) < 0
        || setresuid((uid_t)spec->uid, (uid_t)spec->uid, (uid_t)spec->uid) < 0) {
        give_up("becoming user", spec->user);
    }
}

static void enter_directory(const cgw_spec *spec)
{
    if (spec->directory) {
        if (chdir(spec->directory) < 0) {
            give_up("CGatewayWorkingDirectory", spec->directory);
        }
        return;
    }
    if ((!spec->home || chdir(spec->home) < 0) && chdir("/") < 0) {
        give_up("entering", "/");
    }
}

_Noreturn static void child(const cgwd_spawn *spawn, const struct plan *plan)
{
    const cgw_spec *spec = spawn->spec;
    const char *failed;
    int ruleset;

    reset_signals();
    place_descriptors(spawn);
    enter_file_system(spawn);
    setsid();
    setrlimit(RLIMIT_NOFILE, &spawn->descriptors);
    failed = cgwd_limits_apply(&plan->limits);
    if (failed) {
        give_up(failed, NULL);
    }
    ruleset = open_landlock(spec, plan);
    drop_capabilities();
    become_user(spec, plan);
    give_up_capabilities();
    leave_session_keyring();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        give_up("giving up privileges", NULL);
    }
    if (spec->umask >= 0) {
        umask((mode_t)spec->umask);
    }
    enter_directory(spec);
    confine(spec, ruleset);
    execve(plan->argv[0], plan->argv, plan->envp);
    if (errno == EAGAIN) {  /* becoming the user did not fail for it: see execve(2) */
        give_up("the limit on processes (CGatewayLimit nproc), which counts every "
                "process and thread of user", spec->user);
    }
    give_up("CGatewayPython", plan->argv[0]);
}

/* ---- in the supervisor ------------------------------------------------------ */

pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    struct plan plan = {.argv = make_argv(spawn, p),
                        .envp = cgwd_environment(spawn->spec, p)};
    pid_t pid;
    int err;

    plan.ngroups = cgwd_usergroups(plan.groups, spawn->spec);
    err = cgwd_limits_plan(&plan.limits, spawn->spec, what, p);
    if (err) {
        cgwd_limits_close(&plan.limits);
        errno = err;
        return -1;
    }
    *what = NULL;
    plan.landlock = cgwd_landlock_plan(spawn->spec, spawn->library, p);
    pid = fork();
    if (pid == 0) {
        child(spawn, &plan);
    }
    err = errno;
    cgwd_limits_close(&plan.limits);
    errno = err;
    return pid;
}
