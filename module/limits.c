/* SPDX-License-Identifier: Apache-2.0 */

#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "cgw_cgroup.h"
#include "cgw_cpus.h"
#include "cgw_rlimits.h"
#include "parse.h"

#define UNLIMITED (-1)

/* ---- resource limits ------------------------------------------------------- */

static const struct resource {
    const char *name;
    int number;
    int is_size;                /* in bytes: K, M and G are understood */
} resources[] = {
#define X(symbol, name, is_size) {name, RLIMIT_##symbol, is_size},
    CGW_RLIMIT_TABLE(X)
#undef X
};
#define RESOURCES (sizeof(resources) / sizeof(resources[0]))

static const struct resource *find_resource(const char *name)
{
    for (size_t i = 0; i < RESOURCES; i++) {
        if (!apr_cstr_casecmp(name, resources[i].name)) {
            return &resources[i];
        }
    }
    return NULL;
}

const char *cgwm_limits_names(apr_pool_t *p)
{
    const char *names = resources[0].name;

    for (size_t i = 1; i < RESOURCES; i++) {
        names = apr_pstrcat(p, names, ", ", resources[i].name, NULL);
    }
    return names;
}

static int parse_limit(const struct resource *r, const char *text, int64_t *out)
{
    if (!apr_cstr_casecmp(text, "unlimited")) {
        *out = UNLIMITED;
        return 1;
    }
    return r->is_size ? cgwm_parse_bytes(text, out)
                      : cgwm_parse_int(text, 0, INT64_MAX, out);
}

/* The entry of a list that begins so is replaced, or there is a new one. */
static void put_entry(apr_array_header_t *list, const char *prefix,
                      const char *entry)
{
    for (int i = 0; i < list->nelts; i++) {
        const char **have = &APR_ARRAY_IDX(list, i, const char *);
        if (!strncmp(*have, prefix, strlen(prefix))) {
            *have = entry;
            return;
        }
    }
    APR_ARRAY_PUSH(list, const char *) = entry;
}

int cgwm_limits_set_limit(cgw_spec *spec, int argc, char *const *argv)
{
    apr_pool_t *p = spec->limits->pool;
    const struct resource *r = find_resource(argv[0]);
    int64_t soft, hard;

    if (!r || !parse_limit(r, argv[1], &soft)) {
        return 0;
    }
    hard = soft;
    if (argc > 2 && !parse_limit(r, argv[2], &hard)) {
        return 0;
    }
    if (hard != UNLIMITED && (soft == UNLIMITED || soft > hard)) {
        return 0;
    }
    put_entry(spec->limits, apr_psprintf(p, "%d ", r->number),
              apr_psprintf(p, "%d %" APR_INT64_T_FMT " %" APR_INT64_T_FMT, r->number,
                           (apr_int64_t)soft, (apr_int64_t)hard));
    return 1;
}

/* ---- memory, priority, processors --------------------------------------------- */

int cgwm_limits_set_memory(cgw_spec *spec, int argc, char *const *argv)
{
    int is_pss = !apr_cstr_casecmp(argv[argc - 1], "pss");
    int sizes = is_pss || !apr_cstr_casecmp(argv[argc - 1], "rss") ? argc - 1 : argc;

    spec->max_memory_pss = is_pss;
    spec->max_memory_hard = 0;
    if (sizes < 1 || sizes > 2 || !cgwm_parse_bytes(argv[0], &spec->max_memory)) {
        return 0;
    }
    return sizes == 1 || (cgwm_parse_bytes(argv[1], &spec->max_memory_hard)
                          && spec->max_memory > 0
                          && spec->max_memory_hard >= spec->max_memory);
}

int cgwm_limits_set_nice(cgw_spec *spec, const char *word)
{
    int negative = *word == '-';

    if (!cgwm_parse_int(word + negative, 0, negative ? 20 : 19, &spec->nice)) {
        return 0;
    }
    spec->nice = negative ? -spec->nice : spec->nice;
    return 1;
}

int cgwm_limits_set_cpus(cgw_spec *spec, const char *word)
{
    cpu_set_t set;

    spec->cpus = word;
    return cgw_cpus_parse(word, &set);
}

/* ---- control groups -------------------------------------------------------------- */

static const char *parse_weight(const char *text, apr_pool_t *p)
{
    int64_t n;

    return cgwm_parse_int(text, 1, 10000, &n)
               ? apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)n) : NULL;
}

static const char *parse_number(const char *text, apr_pool_t *p)
{
    int64_t n;

    if (!apr_cstr_casecmp(text, "max")) {
        return "max";
    }
    return cgwm_parse_int(text, 1, INT64_MAX, &n)
               ? apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)n) : NULL;
}

static const char *parse_size_from(int64_t least, const char *text, apr_pool_t *p)
{
    int64_t n;

    if (!apr_cstr_casecmp(text, "max")) {
        return "max";
    }
    return cgwm_parse_bytes(text, &n) && n >= least
               ? apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)n) : NULL;
}

static const char *parse_size(const char *text, apr_pool_t *p)
{
    return parse_size_from(1, text, p);
}

static const char *parse_size_or_none(const char *text, apr_pool_t *p)
{
    return parse_size_from(0, text, p);
}

/* "150%": one and a half processors, as time in each tenth of a second */
static const char *parse_share(const char *text, apr_pool_t *p)
{
    apr_size_t len = strlen(text);
    int64_t percent;

    if (!apr_cstr_casecmp(text, "max")) {
        return "max";
    }
    if (len < 2 || text[len - 1] != '%'
        || !cgwm_parse_int(apr_pstrmemdup(p, text, len - 1), 1, 100000, &percent)) {
        return NULL;
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT " 100000", (apr_int64_t)percent * 1000);
}

static const struct setting_file {
    const char *name;
    const char *(*parse)(const char *text, apr_pool_t *p);
} files[] = {
#define X(file, kind, unset) {file, parse_##kind},
    CGW_CGROUP_TABLE(X)
#undef X
};
#define FILES (sizeof(files) / sizeof(files[0]))

const char *cgwm_limits_cgroup_names(apr_pool_t *p)
{
    const char *names = files[0].name;

    for (size_t i = 1; i < FILES; i++) {
        names = apr_pstrcat(p, names, ", ", files[i].name, NULL);
    }
    return names;
}

int cgwm_limits_set_cgroup(cgw_spec *spec, const char *file, const char *value)
{
    apr_pool_t *p = spec->cgroup->pool;

    for (size_t i = 0; i < FILES; i++) {
        const char *text = apr_cstr_casecmp(file, files[i].name)
                               ? NULL : files[i].parse(value, p);
        if (text) {
            put_entry(spec->cgroup, apr_pstrcat(p, files[i].name, "=", NULL),
                      apr_pstrcat(p, files[i].name, "=", text, NULL));
            return 1;
        }
    }
    return 0;
}

void cgwm_limits_resolve(const cgwm_report *report, cgw_spec *spec, apr_pool_t *p)
{
    const char *parent = cgwm_server_conf_get(report->main_server)->cgroup_parent;

    if (parent && spec->cgroup->nelts) {
        spec->cgroup_dir = apr_pstrcat(p, parent, "/cgw-", spec->name, NULL);
    }
}

/* ---- what can be done here -------------------------------------------------------- */

/* text, of size bytes: the beginning of a file; empty where there is none. */
static const char *read_file(const char *dir, const char *name, char *text, size_t size,
                             apr_pool_t *p)
{
    int fd = open(apr_pstrcat(p, dir, name, NULL), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* The kernel lets such a one pass no controllers on; the topmost, which has no
 * cgroup.type, may. */
static int has_processes(const char *parent, apr_pool_t *p)
{
    char type[32], procs[32];

    return *read_file(parent, "/cgroup.type", type, sizeof(type), p)
           && *read_file(parent, "/cgroup.procs", procs, sizeof(procs), p);
}

/* NULL, or why the group's directory cannot be made below parent. */
static const char *cgroup_obstacle(const char *parent, apr_pool_t *p)
{
    struct statfs fs;

    if (!parent) {
        return "there is no CGatewayCgroupParent. Set it, outside of virtual hosts, to "
               "a control group that httpd's service may write (of systemd: Delegate=yes "
               "and DelegateSubgroup=)";
    }
    if (statfs(parent, &fs) < 0) {
        return apr_psprintf(p, "CGatewayCgroupParent %s: %s. Create it", parent,
                            strerror(errno));
    }
    if (fs.f_type != CGROUP2_SUPER_MAGIC) {
        return apr_psprintf(p, "CGatewayCgroupParent %s is not a directory of cgroup v2. "
                            "Name one (mount -t cgroup2 shows where)", parent);
    }
    if (access(parent, W_OK) < 0) {
        return apr_psprintf(p, "CGatewayCgroupParent %s cannot be written: %s. Delegate "
                            "it to the user who starts httpd", parent, strerror(errno));
    }
    if (has_processes(parent, p)) {
        return apr_psprintf(p, "CGatewayCgroupParent %s has processes of its own, so it "
                            "cannot pass on controllers. Name an empty one, or move them "
                            "into one below it (of systemd: DelegateSubgroup=)", parent);
    }
    return NULL;
}

/* Whether the parent has the controller of a file, "memory.max". */
static int has_controller(const char *parent, const char *entry, apr_pool_t *p)
{
    const char *want = apr_pstrndup(p, entry, strcspn(entry, "."));
    char text[256], *state;

    read_file(parent, "/cgroup.controllers", text, sizeof(text), p);
    for (char *word = apr_strtok(text, " \n", &state); word;
         word = apr_strtok(NULL, " \n", &state)) {
        if (!strcmp(word, want)) {
            return 1;
        }
    }
    return 0;
}

static void check_cgroup(cgwm_report *report, const cgwm_definition *def,
                         const cgw_spec *spec)
{
    const char *parent = cgwm_server_conf_get(report->main_server)->cgroup_parent;
    const char *obstacle;

    if (!spec->cgroup->nelts) {
        return;
    }
    obstacle = cgroup_obstacle(parent, report->p);
    if (obstacle) {
        cgwm_report_error(report, CGW_LOGNO(0175) "group %s: %s: %s, or leave "
            "CGatewayCgroup out.", spec->name,
            cgwm_definition_quote(def, CGWM_CGROUP, report->p), obstacle);
        return;
    }
    for (int i = 0; i < spec->cgroup->nelts; i++) {
        const char *entry = APR_ARRAY_IDX(spec->cgroup, i, const char *);
        if (!has_controller(parent, entry, report->p)) {
            cgwm_report_error(report, CGW_LOGNO(0176) "group %s: CGatewayCgroup %s: the "
                "control group %s has no such controller (its cgroup.controllers lists "
                "what it has). Let its parent pass it on (cgroup.subtree_control), or "
                "leave the setting out.", spec->name,
                apr_pstrndup(report->p, entry, strcspn(entry, "=")), parent);
        }
    }
}

/* Root of a container may have less than all. */
static int is_capable(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0) {
        return geteuid() == 0;
    }
    return (data[capability / 32].effective & (1u << capability % 32)) != 0;
}

/* The one bound that root has; 0: it cannot be told. */
static rlim64_t most_descriptors(apr_pool_t *p)
{
    char text[32];

    return strtoul(read_file("/proc/sys/fs", "/nr_open", text, sizeof(text), p), NULL,
                   10);
}

static void check_descriptors(cgwm_report *report, const cgw_spec *spec, rlim64_t hard)
{
    rlim64_t most = most_descriptors(report->p);

    if (most > 0 && hard > most) {
        cgwm_report_error(report, CGW_LOGNO(0185) "group %s: CGatewayLimit nofile: the "
            "kernel gives a process %" APR_UINT64_T_FMT " descriptors at most, and does "
            "not know unlimited here. Write so many or fewer, or raise fs.nr_open.",
            spec->name, (apr_uint64_t)most);
    }
}

static void check_limit(cgwm_report *report, const cgw_spec *spec, const char *entry)
{
    char *end;
    int resource = (int)strtol(entry, &end, 10);
    struct rlimit64 have;
    rlim64_t hard;

    strtoll(end, &end, 10);
    hard = (rlim64_t)strtoll(end, NULL, 10);
    if (resource == RLIMIT_NOFILE) {
        check_descriptors(report, spec, hard);
    }
    if (is_capable(CAP_SYS_RESOURCE)
        || getrlimit64((__rlimit_resource_t)resource, &have) < 0
        || hard <= have.rlim_max) {
        return;
    }
    for (size_t i = 0; i < RESOURCES; i++) {
        if (resources[i].number == resource) {
            cgwm_report_error(report, CGW_LOGNO(0177) "group %s: CGatewayLimit %s is "
                "above the hard limit that httpd itself has, and httpd may not raise it: "
                "it was not started as root, or a container keeps CAP_SYS_RESOURCE from "
                "it. Raise that of httpd's service, or lower this one.",
                spec->name, resources[i].name);
        }
    }
}

/* The limit that an httpd without root has: 20 - RLIMIT_NICE. */
static void check_nice(cgwm_report *report, const cgwm_definition *def,
                       const cgw_spec *spec)
{
    struct rlimit limit = {0};
    int now = getpriority(PRIO_PROCESS, 0);

    if (is_capable(CAP_SYS_NICE) || spec->nice == CGW_NICE_INHERITED
        || spec->nice >= now) {
        return;
    }
    getrlimit(RLIMIT_NICE, &limit);
    if (20 - (int64_t)limit.rlim_cur > spec->nice) {
        cgwm_report_error(report, CGW_LOGNO(0178) "group %s: %s: only root raises a "
            "priority (in a container: with CAP_SYS_NICE), and httpd has %d here. Write "
            "%d or more.", spec->name, cgwm_definition_quote(def, CGWM_NICE, report->p),
            now, now);
    }
}

static void check_cpus(cgwm_report *report, const cgwm_definition *def,
                       const cgw_spec *spec)
{
    long count = sysconf(_SC_NPROCESSORS_CONF);
    cpu_set_t set;

    if (!spec->cpus) {
        return;
    }
    cgw_cpus_parse(spec->cpus, &set);
    for (long n = 0; n < count && n < CPU_SETSIZE; n++) {
        if (CPU_ISSET((size_t)n, &set)) {
            return;
        }
    }
    cgwm_report_error(report, CGW_LOGNO(0179) "group %s: %s: this machine has none of "
        "these processors; it has 0 to %ld.", spec->name,
        cgwm_definition_quote(def, CGWM_CPUS, report->p), count - 1);
}

void cgwm_limits_check(cgwm_report *report, const cgwm_definition *def,
                       const cgw_spec *spec)
{
    for (int i = 0; i < spec->limits->nelts; i++) {
        check_limit(report, spec, APR_ARRAY_IDX(spec->limits, i, const char *));
    }
    check_nice(report, def, spec);
    check_cpus(report, def, spec);
    check_cgroup(report, def, spec);
}
