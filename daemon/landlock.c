/* SPDX-License-Identifier: Apache-2.0 */

#include "landlock.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of later kernels than the headers may be. */
#define ACCESS_REFER ((__u64)1 << 13)       /* ABI 2 */
#define ACCESS_TRUNCATE ((__u64)1 << 14)    /* ABI 3 */

#define READING                                                               \
    ((__u64)LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE         \
     | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                               \
    ((__u64)LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR     \
     | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR          \
     | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG              \
     | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO            \
     | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM            \
     | ACCESS_REFER | ACCESS_TRUNCATE)
/* What a rule for a file, not a directory, may say. */
#define OF_FILES                                                              \
    ((__u64)LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE         \
     | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)

/* ---- the rules, in the supervisor --------------------------------------- */

static void add(apr_array_header_t *rules, const char *path, int write,
                int needed)
{
    APR_ARRAY_PUSH(rules, cgwd_landlock_rule) =
        (cgwd_landlock_rule){.path = path, .write = write, .needed = needed};
}

static void add_list(apr_array_header_t *rules, const apr_array_header_t *paths,
                     int write)
{
    for (int i = 0; i < paths->nelts; i++) {
        add(rules, APR_ARRAY_IDX(paths, i, const char *), write, 1);
    }
}

/* The length of "/opt/python" in "/opt/python/bin/python3"; 0: that is the root. */
static size_t prefix_of(const char *file, size_t len)
{
    for (int up = 0; up < 2; up++) {
        while (len && file[len - 1] != '/') {
            len--;
        }
        while (len && file[len - 1] == '/') {
            len--;
        }
    }
    return len;
}

static void add_interpreter(apr_array_header_t *rules, const cgw_spec *spec,
                            apr_pool_t *p)
{
    size_t len = prefix_of(spec->python, strlen(spec->python));

    if (len) {
        add(rules, apr_pstrmemdup(p, spec->python, len), 0, 0);
    }
    APR_ARRAY_PUSH(rules, cgwd_landlock_rule) =
        (cgwd_landlock_rule){.path = spec->python, .is_program = 1};
}

/* Where the code is, and what every Python and its libraries read. */
static void add_base_reading(apr_array_header_t *rules, const cgw_spec *spec,
                             const char *library, apr_pool_t *p)
{
    static const char *const system[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32",
                                         "/lib64", "/etc", "/dev", "/proc",
                                         "/sys/devices/system", "/run/systemd/resolve"};

    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        add(rules, system[i], 0, 0);
    }
    add(rules, library, 0, 0);
    add_interpreter(rules, spec, p);
    for (int i = 0; i < spec->path->nelts; i++) {
        add(rules, APR_ARRAY_IDX(spec->path, i, const char *), 0, 0);
    }
    if (strchr(spec->application, '/')) {
        const char *slash = strrchr(spec->application, '/');
        add(rules, apr_pstrmemdup(p, spec->application,
                                  (size_t)(slash - spec->application)), 0, 0);
    }
    if (spec->directory) {
        add(rules, spec->directory, 0, 0);
    }
}

static void add_base_writing(apr_array_header_t *rules)
{
    static const char *const system[] = {"/tmp", "/var/tmp", "/dev", "/proc"};

    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        add(rules, system[i], 1, 0);
    }
}

apr_array_header_t *cgwd_landlock_plan(const cgw_spec *spec, const char *library,
                                       apr_pool_t *p)
{
    apr_array_header_t *rules = apr_array_make(p, 24, sizeof(cgwd_landlock_rule));

    if (!spec->allow_read->nelts && !spec->allow_write->nelts) {
        return NULL;
    }
    add_list(rules, spec->allow_write, 1);
    add_list(rules, spec->allow_read, 0);
    add_base_writing(rules);
    add_base_reading(rules, spec, library, p);
    return rules;
}

/* ---- the ruleset, in the child ------------------------------------------ */

/* The accesses that the running kernel knows, of those that are confined. */
static __u64 handled(const cgw_spec *spec, int abi)
{
    __u64 access = (spec->allow_read->nelts ? READING : 0)
                   | (spec->allow_write->nelts ? WRITING : 0);

    if (abi < 2) {
        access &= ~ACCESS_REFER;
    }
    if (abi < 3) {
        access &= ~ACCESS_TRUNCATE;
    }
    return access;
}

/* The path of an open file, as the kernel has it; its length, 0 where there is none. */
static size_t path_of(int fd, char *path, size_t size)
{
    char link[32] = "/proc/self/fd/";
    size_t digits = 1, at = strlen(link);
    ssize_t n;

    for (int rest = fd; rest >= 10; rest /= 10) {
        digits++;
    }
    for (int rest = fd; digits > 0; rest /= 10) {
        link[at + --digits] = (char)('0' + rest % 10);
    }
    n = readlink(link, path, size);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* Links are followed here, not in the supervisor: a file system of the group's need
 * never answer. */
static int open_prefix(const char *program)
{
    char path[PATH_MAX];
    int fd = open(program, O_PATH | O_CLOEXEC);
    size_t len;

    if (fd < 0) {
        return -1;
    }
    len = path_of(fd, path, sizeof(path));
    len = prefix_of(path, len);
    close(fd);
    path[len] = '\0';
    return len ? open(path, O_PATH | O_CLOEXEC) : -1;
}

static int open_path(const cgwd_landlock_rule *rule)
{
    return rule->is_program ? open_prefix(rule->path)
                            : open(rule->path, O_PATH | O_CLOEXEC);
}

static int add_rule(int ruleset, const cgwd_landlock_rule *rule, __u64 access)
{
    struct landlock_path_beneath_attr attr = {
        .allowed_access = access & (rule->write ? READING | WRITING : READING),
        .parent_fd = open_path(rule),
    };
    struct stat st;
    int rv = 0;

    if (attr.parent_fd < 0) {
        return rule->needed ? -1 : 0;
    }
    if (fstat(attr.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        attr.allowed_access &= OF_FILES;
    }
    if (attr.allowed_access) {
        rv = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                          &attr, 0);
    }
    close(attr.parent_fd);
    return rv;
}

int cgwd_landlock_open(const cgw_spec *spec, const apr_array_header_t *rules,
                       const char **at)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled(spec, abi)};
    int ruleset;

    *at = NULL;
    if (abi < 0) {
        return -1;
    }
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    for (int i = 0; ruleset >= 0 && i < rules->nelts; i++) {
        const cgwd_landlock_rule *rule = &APR_ARRAY_IDX(rules, i, cgwd_landlock_rule);
        if (add_rule(ruleset, rule, attr.handled_access_fs) < 0) {
            *at = rule->path;
            return -1;
        }
    }
    return ruleset;
}

int cgwd_landlock_apply(int ruleset)
{
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
