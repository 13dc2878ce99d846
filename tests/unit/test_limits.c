/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may use: lists of processors, limits, a control group. A plain
 * directory stands for the control group. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "cgw_cpus.h"
#include "daemon/cgroup.h"
#include "daemon/footprint.h"
#include "daemon/group.h"
#include "daemon/limits.h"

static apr_pool_t *pool;
static const char *parent;

static void processors_are_read_as_the_kernel_writes_them(void **state)
{
    const char *bad[] = {"", "a", "1-", "-1", "3-1", "1,", ",1", "1;2", "1024",
                         "0-1024", "99999999999999999999", "0 1"};
    cpu_set_t set;

    (void)state;
    assert_true(cgw_cpus_parse("0-3,6,1023", &set));
    assert_int_equal(CPU_COUNT(&set), 6);
    assert_true(CPU_ISSET(1023, &set));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cgw_cpus_parse(bad[i], &set));
    }
}

static cgw_spec *sample(void)
{
    cgw_spec *spec = cgw_spec_create(pool);

    APR_ARRAY_PUSH(spec->limits, const char *) =
        apr_psprintf(pool, "%d 100 200", RLIMIT_NOFILE);
    APR_ARRAY_PUSH(spec->limits, const char *) =
        apr_psprintf(pool, "%d 0 -1", RLIMIT_CORE);
    spec->nice = 7;
    return spec;
}

static void a_child_gets_what_was_planned(void **state)
{
    cgwd_limits limits;
    const char *what = NULL;
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(cgwd_limits_plan(&limits, sample(), &what, pool), 0);
    assert_int_equal(limits.nresources, 2);
    assert_true(limits.resources[1].value.rlim_max == RLIM_INFINITY);
    limits.nresources = 1; /* who runs this may not raise the other one */
    pid = fork();
    if (pid == 0) {
        struct rlimit got;
        int ok = cgwd_limits_apply(&limits) == NULL
                 && getrlimit(RLIMIT_NOFILE, &got) == 0 && got.rlim_cur == 100
                 && got.rlim_max == 200 && getpriority(PRIO_PROCESS, 0) == 7;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const char *make(const char *name)
{
    const char *path = apr_pstrcat(pool, parent, name, NULL);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fclose(file);
    return path;
}

static const char *content(const char *path)
{
    static char text[64];
    FILE *file = fopen(path, "r");
    size_t n = fread(text, 1, sizeof(text) - 1, file);

    fclose(file);
    text[n] = '\0';
    return text;
}

static void a_control_group_is_set_and_joined(void **state)
{
    cgw_spec *spec = cgw_spec_create(pool);
    cgwd_limits limits;
    const char *what = NULL, *max, *procs, *subtree = make("/cgroup.subtree_control");

    (void)state;
    spec->cgroup_dir = apr_pstrcat(pool, parent, "/cgw-shop", NULL);
    APR_ARRAY_PUSH(spec->cgroup, const char *) = "memory.max=4096";
    /* a directory of a file system that makes no files in it */
    assert_int_equal(cgwd_limits_plan(&limits, spec, &what, pool), ENOENT);
    assert_string_equal(what, apr_pstrcat(pool, spec->cgroup_dir, "/memory.max", NULL));
    assert_string_equal(content(subtree), "+memory");
    cgwd_limits_close(&limits);

    max = make("/cgw-shop/memory.max");
    procs = make("/cgw-shop/cgroup.procs");
    assert_int_equal(cgwd_limits_plan(&limits, spec, &what, pool), 0);
    assert_null(cgwd_limits_apply(&limits));
    cgwd_limits_close(&limits);
    assert_string_equal(content(max), "4096");
    assert_string_equal(content(procs), "0");
    unlink(max);
    unlink(procs);
    unlink(subtree);
    rmdir(spec->cgroup_dir);
}

static void a_control_group_has_no_settings_of_an_earlier_configuration(void **state)
{
    cgw_spec *spec = cgw_spec_create(pool);
    const char *what, *high, *pids, *weight;

    (void)state;
    spec->cgroup_dir = apr_pstrcat(pool, parent, "/cgw-shop", NULL);
    assert_int_equal(mkdir(spec->cgroup_dir, 0755), 0);
    high = make("/cgw-shop/memory.high");
    pids = make("/cgw-shop/pids.max");
    weight = make("/cgw-shop/cpu.weight");
    APR_ARRAY_PUSH(spec->cgroup, const char *) = "pids.max=50";
    assert_int_equal(cgwd_cgroup_make(spec, &what, pool), 0);
    assert_string_equal(content(high), "max");
    assert_string_equal(content(pids), "50");
    assert_string_equal(content(weight), "100");
    unlink(high);
    unlink(pids);
    unlink(weight);
    assert_int_equal(symlink("/dev/full", weight), 0);
    pids = make("/cgw-shop/pids.max");
    assert_int_equal(cgwd_cgroup_make(spec, &what, pool), ENOSPC);
    assert_string_equal(what, weight);
    unlink(pids);
    unlink(weight);
    rmdir(spec->cgroup_dir);
}

/* A directory that is not empty stands for one with processes. */
static void a_control_group_that_nobody_wants_is_removed_when_it_is_empty(void **state)
{
    cgwd_supervisor sup = {.groups = apr_hash_make(pool)};
    cgw_spec spec = {.cgroup_dir = apr_pstrcat(pool, parent, "/cgw-shop", NULL)};
    cgwd_group group = {.spec = &spec};
    const char *dir = spec.cgroup_dir, *other = apr_pstrcat(pool, parent, "/b", NULL);
    const char *inside = apr_pstrcat(pool, dir, "/inside", NULL);

    (void)state;
    cgwd_cgroup_leave(&sup, NULL);
    assert_int_equal(mkdir(dir, 0755), 0);
    apr_hash_set(sup.groups, "shop", APR_HASH_KEY_STRING, &group);
    cgwd_cgroup_leave(&sup, dir);
    assert_int_equal(access(dir, F_OK), 0);  /* it is wanted */

    assert_int_equal(mkdir(inside, 0755), 0);
    spec.cgroup_dir = other;
    cgwd_cgroup_leave(&sup, dir);
    cgwd_cgroup_sweep(&sup);
    assert_int_equal(access(dir, F_OK), 0);  /* somebody is in it */
    rmdir(inside);
    cgwd_cgroup_sweep(&sup);
    assert_int_equal(access(dir, F_OK), -1);

    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(mkdir(inside, 0755), 0);
    cgwd_cgroup_leave(&sup, dir);
    spec.cgroup_dir = dir;                   /* it is wanted again */
    rmdir(inside);
    cgwd_cgroup_sweep(&sup);
    assert_int_equal(access(dir, F_OK), 0);
    spec.cgroup_dir = other;
    cgwd_cgroup_sweep(&sup);
    assert_int_equal(access(dir, F_OK), 0);  /* it was forgotten */

    assert_int_equal(mkdir(other, 0755), 0);
    assert_int_equal(mkdir(inside, 0755), 0);
    cgwd_cgroup_leave(&sup, dir);
    rmdir(inside);
    cgwd_cgroup_end(&sup);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(access(other, F_OK), -1);
}

static int plan_in(const char *dir, const char *setting, const char **what)
{
    cgw_spec *spec = cgw_spec_create(pool);
    cgwd_limits limits;
    int err;

    spec->cgroup_dir = dir;
    APR_ARRAY_PUSH(spec->cgroup, const char *) = setting;
    *what = NULL;
    err = cgwd_limits_plan(&limits, spec, what, pool);
    cgwd_limits_close(&limits);
    return err;
}

/* Each step that a kernel can refuse, and what is named then. The kernel itself is not
 * asked: /dev/full refuses to be written as a control group's file does. */
static void what_a_control_group_refuses_is_named(void **state)
{
    const char *dir = apr_pstrcat(pool, parent, "/cgw-shop", NULL), *what, *file;

    (void)state;
    assert_int_equal(plan_in("/dev/null/cgw-shop", "pids.max=5", &what), ENOTDIR);
    assert_string_equal(what, "/dev/null/cgw-shop");

    assert_int_equal(mkdir(dir, 0755), 0);
    file = apr_pstrcat(pool, dir, "/cpu.max", NULL);
    assert_int_equal(symlink("/dev/full", file), 0);
    assert_int_equal(plan_in(dir, "cpu.max=1000 100000", &what), ENOSPC);
    assert_string_equal(what, file);
    assert_int_equal(plan_in(dir, "cpu.max", &what), EINVAL);
    unlink(file);

    file = make("/cgw-shop/cpu.max");
    assert_int_equal(plan_in(dir, "cpu.max=1000 100000", &what), ENOENT);
    assert_string_equal(what, apr_pstrcat(pool, dir, "/cgroup.procs", NULL));
    assert_string_equal(content(file), "1000 100000");
    unlink(file);
    rmdir(dir);
}

/* The limit on processes of the group or of those above it is reached, say. */
static void a_process_that_may_not_enter_its_control_group_does_not_start(void **state)
{
    cgwd_limits limits = {.cgroup = "/cgw-shop", .procs = open("/dev/full", O_WRONLY)};

    (void)state;
    assert_true(limits.procs >= 0);
    assert_string_equal(cgwd_limits_apply(&limits), "CGatewayCgroup");
    close(limits.procs);
}

static void a_process_s_memory_is_told(void **state)
{
    int64_t before = cgwd_footprint(getpid(), 0), size = 64 << 20;
    char *more = malloc((size_t)size);

    (void)state;
    memset(more, 1, (size_t)size);
    assert_true(before > 0);
    assert_true(cgwd_footprint(getpid(), 0) >= before + size / 2);
    assert_true(cgwd_footprint(getpid(), 1) >= size / 2);
    assert_int_equal(more[size / 2], 1);
    free(more);
    assert_int_equal(cgwd_footprint(0x7fffffff, 0), -1);
    assert_int_equal(cgwd_footprint(0x7fffffff, 1), -1);
}

static int set_up(void **state)
{
    static char path[] = "/tmp/cgw-limits-XXXXXX";

    (void)state;
    apr_initialize();
    parent = mkdtemp(path);
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    rmdir(parent);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_are_read_as_the_kernel_writes_them),
        cmocka_unit_test(a_child_gets_what_was_planned),
        cmocka_unit_test(a_control_group_is_set_and_joined),
        cmocka_unit_test(
            a_control_group_has_no_settings_of_an_earlier_configuration),
        cmocka_unit_test(a_control_group_that_nobody_wants_is_removed_when_it_is_empty),
        cmocka_unit_test(what_a_control_group_refuses_is_named),
        cmocka_unit_test(
            a_process_that_may_not_enter_its_control_group_does_not_start),
        cmocka_unit_test(a_process_s_memory_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
