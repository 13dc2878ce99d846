/* SPDX-License-Identifier: Apache-2.0 */

#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_strings.h"

#include "supervisor.h"

const char *cgwm_inside(const cgw_spec *spec, const char *path, apr_pool_t *p)
{
    return spec->chroot ? apr_pstrcat(p, spec->chroot, path, NULL) : path;
}

/* ---- privileges ------------------------------------------------------------ */

/* Whether the directive that is on needs more than this httpd has; reported. */
static int lacks_root(cgwm_report *report, const cgwm_definition *def,
                      const cgw_spec *spec, enum cgwm_field field)
{
    if (geteuid() == 0) {
        return 0;
    }
    cgwm_report_error(report, CGW_LOGNO(0072) "group %s: %s needs an httpd that root "
        "starts. Start httpd as root, or remove the directive.", spec->name,
        cgwm_definition_quote(def, field, report->p));
    return 1;
}

/* What stops httpd from making a mount namespace, in a process that ends with
 * the try; 0: nothing. */
static int try_mounts(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid < 0) {
        return errno;
    }
    if (pid == 0) {
        _exit(unshare(CLONE_NEWNS) < 0
                      || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0
                  ? errno : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* The same for all groups: tried for the first that asks. */
static int mount_obstacle(cgwm_report *report)
{
    if (!report->mounts_tried) {
        report->mounts_tried = 1;
        report->mounts_error = try_mounts();
    }
    return report->mounts_error;
}

static int lacks_call(long number)
{
    /* with arguments that cannot be meant, it says EBADF or EINVAL */
    return syscall(number, -1, "", 0, NULL, 0) < 0 && errno == ENOSYS;
}

static void check_mounts(cgwm_report *report, const cgwm_definition *def,
                         const cgw_spec *spec)
{
    enum cgwm_field field = spec->private_tmp ? CGWM_PRIVATE_TMP
                                              : CGWM_READ_ONLY_SYSTEM;
    int err;

    if ((!spec->private_tmp && !spec->read_only_system)
        || lacks_root(report, def, spec, field)) {
        return;
    }
    err = mount_obstacle(report);
    if (!err && spec->read_only_system && lacks_call(SYS_mount_setattr)) {
        field = CGWM_READ_ONLY_SYSTEM;
        err = ENOSYS;
    }
    if (err) {
        cgwm_report_error(report, CGW_LOGNO(0073) "group %s: %s needs a mount namespace, "
            "and httpd cannot make one here: %s. In a container, grant it CAP_SYS_ADMIN; "
            "in a chroot, make its root directory a mount point; or remove the "
            "directive.", spec->name,
            cgwm_definition_quote(def, field, report->p), strerror(err));
    }
}

/* ---- what /tmp hides ------------------------------------------------------- */

static int is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

static void check_hidden(cgwm_report *report, const cgwm_definition *def,
                         const cgw_spec *spec, const char *path)
{
    if (path && (is_below(path, "/tmp") || is_below(path, "/var/tmp"))) {
        cgwm_report_error(report, CGW_LOGNO(0074) "group %s: %s hides %s, which the "
            "group needs. Move it out of /tmp and /var/tmp, or remove the directive.",
            spec->name, cgwm_definition_quote(def, CGWM_PRIVATE_TMP, report->p), path);
    }
}

static void check_all_hidden(cgwm_report *report, const cgwm_definition *def,
                             const cgw_spec *spec)
{
    if (!spec->private_tmp) {
        return;
    }
    check_hidden(report, def, spec, spec->application);
    check_hidden(report, def, spec, spec->python);
    check_hidden(report, def, spec, spec->directory);
    check_hidden(report, def, spec, cgwm_library_dir(report->p));
    for (int i = 0; i < spec->path->nelts; i++) {
        check_hidden(report, def, spec, APR_ARRAY_IDX(spec->path, i, const char *));
    }
}

/* ---- Landlock and seccomp ---------------------------------------------------- */

static void check_allowed(cgwm_report *report, const cgw_spec *spec,
                          const char *directive, const apr_array_header_t *words)
{
    struct stat st;

    for (int i = 0; i < words->nelts; i++) {
        const cgwm_word *word = &APR_ARRAY_IDX(words, i, cgwm_word);
        const char *path = cgwm_inside(spec, word->value, report->p);

        if (stat(path, &st)) {
            cgwm_report_absent(report, CGW_LOGNO(0075) "group %s: %s %s (%s): %s cannot "
                "be used: %s. Create it, or correct the path.", spec->name, directive,
                word->value, word->where, path, strerror(errno));
        }
    }
}

static void check_landlock(cgwm_report *report, const cgwm_definition *def,
                           const cgw_spec *spec)
{
    enum cgwm_field field = def->allow_read->nelts ? CGWM_ALLOW_READ : CGWM_ALLOW_WRITE;

    if (!def->allow_read->nelts && !def->allow_write->nelts) {
        return;
    }
    if (syscall(SYS_landlock_create_ruleset, NULL, 0,
                LANDLOCK_CREATE_RULESET_VERSION) < 0) {
        cgwm_report_error(report, CGW_LOGNO(0076) "group %s: %s needs Landlock, which "
            "this kernel does not offer: %s. Linux has it from 5.13 on, where 'landlock' "
            "is in the kernel's lsm= list; or remove the directive.", spec->name,
            cgwm_definition_quote(def, field, report->p), strerror(errno));
        return;
    }
    check_allowed(report, spec, "CGatewayAllowRead", def->allow_read);
    check_allowed(report, spec, "CGatewayAllowWrite", def->allow_write);
}

static void check_filter(cgwm_report *report, const cgwm_definition *def,
                         const cgw_spec *spec)
{
#if defined(__x86_64__) || defined(__aarch64__)
    unsigned action = SECCOMP_RET_ERRNO;
    int missing = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0;
#else
    int missing = (errno = ENOSYS);
#endif

    if (spec->syscall_filter && missing) {
        cgwm_report_error(report, CGW_LOGNO(0077) "group %s: %s needs a kernel with "
            "seccomp on x86-64 or arm64: %s. Remove the directive.", spec->name,
            cgwm_definition_quote(def, CGWM_SYSCALL_FILTER, report->p), strerror(errno));
    }
}

/* ---- chroot ------------------------------------------------------------------ */

static void check_chroot(cgwm_report *report, const cgwm_definition *def,
                         const cgw_spec *spec)
{
    const char *said, *library, *bootstrap;
    struct stat st;

    if (!spec->chroot || lacks_root(report, def, spec, CGWM_CHROOT)) {
        return;
    }
    said = cgwm_definition_quote(def, CGWM_CHROOT, report->p);
    library = cgwm_library_dir(report->p);
    bootstrap = apr_pstrcat(report->p, library, "/bootstrap.py", NULL);
    if (stat(spec->chroot, &st) || !S_ISDIR(st.st_mode)) {
        cgwm_report_absent(report, CGW_LOGNO(0078) "group %s: %s is not a directory that "
            "can be a root. Create it, with an interpreter and the application in it, or "
            "correct the path.", spec->name, said);
    }
    else if (stat(cgwm_inside(spec, bootstrap, report->p), &st)) {
        cgwm_report_absent(report, CGW_LOGNO(0079) "group %s: %s: %s is not in that "
            "root. Copy or bind-mount the directory %s to the same place below it.",
            spec->name, said, cgwm_inside(spec, bootstrap, report->p), library);
    }
}

void cgwm_check_sandbox(cgwm_report *report, const cgwm_definition *def,
                            const cgw_spec *spec)
{
    check_mounts(report, def, spec);
    check_all_hidden(report, def, spec);
    check_landlock(report, def, spec);
    check_filter(report, def, spec);
    check_chroot(report, def, spec);
}
