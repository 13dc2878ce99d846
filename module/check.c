/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_strings.h"

#include "ownfile.h"
#include "parse.h"
#include "sandbox.h"
#include "user.h"

/* A path that a directive names; said is the directive, value and place. */
typedef struct named_path {
    const char *said;
    const char *path;
} named_path;

/* What exists but keeps the group's user out is a warning: access control
 * lists and capabilities may grant what the permission bits do not. */
static void check_reach(cgwm_report *report, const cgw_spec *spec,
                        const named_path *named, int bits)
{
    const char *at = cgwm_user_obstacle(spec, named->path, bits, report->p);

    if (at) {
        cgwm_report_warning(report, CGW_LOGNO(0047) "group %s: %s: the permissions of "
            "%s seem to keep the group's user %s out. If the application does not start, "
            "grant that user access (chmod, chown, setfacl), or set CGatewayUser.",
            spec->name, named->said, at, spec->user ? spec->user : "(no name)");
    }
}

static void check_directory(cgwm_report *report, const cgw_spec *spec,
                            const named_path *named)
{
    struct stat st;

    if (stat(named->path, &st)) {
        cgwm_report_absent(report, CGW_LOGNO(0044) "group %s: %s: the directory %s "
            "cannot be used: %s. Create it, or correct the path.", spec->name,
            named->said, named->path, strerror(errno));
    }
    else if (!S_ISDIR(st.st_mode)) {
        cgwm_report_absent(report, CGW_LOGNO(0045) "group %s: %s: %s is not a directory. "
            "Name the directory that holds it.", spec->name, named->said, named->path);
    }
    else {
        check_reach(report, spec, named, R_OK | X_OK);
    }
}

/* An entry of sys.path may also be an archive. */
static void check_import_path(cgwm_report *report, const cgw_spec *spec,
                              const named_path *named)
{
    struct stat st;

    if (cgwm_is_archive(named->path) && !stat(named->path, &st)
        && S_ISREG(st.st_mode)) {
        check_reach(report, spec, named, R_OK);
    }
    else {
        check_directory(report, spec, named);
    }
}

static void check_import_paths(cgwm_report *report, const cgwm_definition *def,
                               const cgw_spec *spec)
{
    for (int i = 0; i < def->path->nelts; i++) {
        const cgwm_word *word = &APR_ARRAY_IDX(def->path, i, cgwm_word);
        check_import_path(report, spec, &(named_path){
            .said = apr_psprintf(report->p, "CGatewayPath %s (%s)", word->value,
                                 word->where),
            .path = cgwm_inside(spec, word->value, report->p),
        });
    }
}

/* A file that is there is tried; one that is not is made at the start. */
static void try_error_log(cgwm_report *report, const cgwm_definition *def,
                          const cgw_spec *spec)
{
    cgwm_ownfile file = {.path = spec->error_log, .spec = spec};
    int fd;
    apr_status_t rv;

    if (!cgwm_report_is_test(report->p)) {
        return;     /* it is about to be opened */
    }
    rv = cgwm_ownfile_append(&file, 0, &fd, report->p);
    if (rv == APR_SUCCESS) {
        close(fd);
    }
    else if (!APR_STATUS_IS_ENOENT(rv) && (rv != ENXIO || file.suspect)) {
        cgwm_report_absent(report, CGW_LOGNO(0198) "group %s: %s: %s cannot be opened: "
            "%s. Keep the log in a directory that root alone can change, or make it a "
            "plain file.", spec->name,
            cgwm_definition_quote(def, CGWM_ERROR_LOG, report->p), spec->error_log,
            cgwm_ownfile_explain(&file, rv, report->p));
    }
}

/* The directory of a log file; httpd's parent writes there, not the group's user. */
static void check_error_log(cgwm_report *report, const cgwm_definition *def,
                            const cgw_spec *spec)
{
    const char *log = spec->error_log, *dir;
    struct stat st;

    if (!log || *log != '/') {
        return;
    }
    dir = ap_make_dirstr_parent(report->p, log);
    if (stat(dir, &st) || !S_ISDIR(st.st_mode)) {
        cgwm_report_absent(report, CGW_LOGNO(0196) "group %s: %s: there is no directory "
            "%s. Create it, or correct the path.", spec->name,
            cgwm_definition_quote(def, CGWM_ERROR_LOG, report->p), dir);
        return;
    }
    try_error_log(report, def, spec);
}

static void check_application(cgwm_report *report, const cgwm_definition *def,
                              const cgw_spec *spec)
{
    struct stat st;
    named_path named = {
        cgwm_definition_quote(def, CGWM_APPLICATION, report->p),
        cgwm_inside(spec, cgwm_application_file(spec->application, report->p), report->p)
    };

    if (!cgwm_is_application_file(spec->application)) {
        return;
    }
    if (stat(named.path, &st)) {
        cgwm_report_absent(report, CGW_LOGNO(0046) "group %s: %s: the file %s cannot be "
            "used: %s. Create it, or correct the path; a relative one begins at "
            "CGatewayWorkingDirectory, or else at ServerRoot.", spec->name, named.said,
            named.path, strerror(errno));
    }
    else if (!S_ISREG(st.st_mode)) {
        cgwm_report_absent(report, CGW_LOGNO(0048) "group %s: %s: %s is not a file. Name "
            "the .wsgi file itself, or a module with CGatewayPath for its directory.",
            spec->name, named.said, named.path);
    }
    else {
        check_reach(report, spec, &named, R_OK);
    }
}

static void check_interpreter(cgwm_report *report, const cgwm_definition *def,
                              const cgw_spec *spec)
{
    struct stat st;
    named_path named = {.said = cgwm_definition_quote(def, CGWM_PYTHON, report->p)};

    if (!spec->python) {
        return;     /* reported where it was looked for */
    }
    named.path = cgwm_inside(spec, spec->python, report->p);
    if (stat(named.path, &st)) {
        cgwm_report_absent(report, CGW_LOGNO(0040) "group %s: %s: the interpreter %s "
            "cannot be used: %s. Create the virtual environment (python3 -m venv), or "
            "correct the path.", spec->name, named.said, named.path, strerror(errno));
    }
    else if (!S_ISREG(st.st_mode) || access(named.path, X_OK)) {
        cgwm_report_absent(report, CGW_LOGNO(0041) "group %s: %s: %s is not an "
            "executable file. Name a Python interpreter or the directory of a virtual "
            "environment.", spec->name, named.said, named.path);
    }
    else {
        check_reach(report, spec, &named, X_OK);
    }
}

/* The file may come later, its directory may not. */
static void check_watch(cgwm_report *report, const cgwm_definition *def,
                        const cgw_spec *spec)
{
    struct stat st;

    for (int i = 0; i < def->watch->nelts; i++) {
        const cgwm_word *word = &APR_ARRAY_IDX(def->watch, i, cgwm_word);
        const char *dir = cgwm_inside(spec, ap_make_dirstr_parent(report->p, word->value),
                                      report->p);

        if (stat(dir, &st) || !S_ISDIR(st.st_mode)) {
            cgwm_report_absent(report, CGW_LOGNO(0181) "group %s: CGatewayWatch %s (%s): "
                "%s is not a directory, so nothing in it can change. Create it, or "
                "correct the path.", spec->name, word->value, word->where, dir);
        }
    }
}

/* How many connections the kernel lets wait for one socket; 0: unknown. */
static long kernel_queue_size(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    char line[32] = "";

    if (file) {
        if (!fgets(line, sizeof(line), file)) {
            line[0] = '\0';
        }
        fclose(file);
    }
    return strtol(line, NULL, 10);
}

static void check_queue(cgwm_report *report, const cgwm_definition *def,
                        const cgw_spec *spec)
{
    long most = kernel_queue_size();

    if (most > 0 && spec->queue_size > most + 1) {
        cgwm_report_warning(report, CGW_LOGNO(0162) "group %s: %s: the kernel lets only "
            "%ld requests wait, since net.core.somaxconn is %ld. Raise it (sysctl -w "
            "net.core.somaxconn=%ld), or write a smaller number.", spec->name,
            cgwm_definition_quote(def, CGWM_QUEUE_SIZE, report->p), most + 1, most,
            (long)spec->queue_size - 1);
    }
}

void cgwm_check_group(cgwm_report *report, const cgwm_definition *def,
                      const cgw_spec *spec)
{
    check_application(report, def, spec);
    check_error_log(report, def, spec);
    check_interpreter(report, def, spec);
    check_import_paths(report, def, spec);
    check_watch(report, def, spec);
    check_queue(report, def, spec);
    cgwm_check_sandbox(report, def, spec);
    if (spec->directory) {
        check_directory(report, spec, &(named_path){
            .said = cgwm_definition_quote(def, CGWM_DIRECTORY, report->p),
            .path = cgwm_inside(spec, spec->directory, report->p),
        });
    }
}
