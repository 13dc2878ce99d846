/* SPDX-License-Identifier: Apache-2.0 */

/* The mount namespaces of groups, made and entered by an httpd in a chroot: neither the
 * supervisor nor a group's process may leave it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "daemon/mounts.h"

/* What a process of the test ends with; 0: all was well. */
enum {NO_CHROOT = 1, NOT_REFUSED, NOT_MADE, LEFT_CHROOT, LEFT_DIRECTORY, NOT_ENTERED,
      LEFT_BY_ENTERING, NOT_PRIVATE, HAS_MOUNTS};

static char dir[64];

static char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void touch(const char *path)
{
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

static int there(const char *path)
{
    return access(path, F_OK) == 0;
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    snprintf(dir, sizeof(dir), "%s", "/tmp/test_mounts.XXXXXX");
    if (!mkdtemp(dir) || mkdir(in_dir("tmp"), 0700) || mkdir(in_dir("proc"), 0700)) {
        return -1;
    }
    touch(in_dir("inside"));
    touch(in_dir("tmp/shared"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(in_dir("inside"));
    unlink(in_dir("tmp/shared"));
    rmdir(in_dir("tmp"));
    rmdir(in_dir("proc"));
    apr_terminate();
    return rmdir(dir);
}

/* A process of the test's own, in the chroot, with /proc. */
static int enter_chroot(int is_mount_point)
{
    return unshare(CLONE_NEWNS) == 0
           && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
           && (!is_mount_point || mount(dir, dir, NULL, MS_BIND, NULL) == 0)
           && mount("/proc", in_dir("proc"), NULL, MS_BIND | MS_REC, NULL) == 0
           && chroot(dir) == 0 && chdir("/tmp") == 0;
}

static int prepare(cgwd_mounts *mounts)
{
    apr_pool_t *p;
    const char *step;
    cgw_spec *spec;

    apr_pool_create(&p, NULL);
    spec = cgw_spec_create(p);
    spec->private_tmp = 1 << 20;
    return cgwd_mounts_prepare(mounts, spec, &step, p);
}

static int in_plain_chroot(void)
{
    cgwd_mounts mounts = CGWD_MOUNTS_NONE;

    if (!enter_chroot(0)) {
        return NO_CHROOT;
    }
    if (prepare(&mounts) != EINVAL) {
        return NOT_REFUSED;
    }
    return !there("/inside") ? LEFT_CHROOT : there("shared") ? 0 : LEFT_DIRECTORY;
}

static int in_mounted_chroot(void)
{
    cgwd_mounts mounts = CGWD_MOUNTS_NONE;

    if (!enter_chroot(1)) {
        return NO_CHROOT;
    }
    if (prepare(&mounts) != 0) {
        return NOT_MADE;
    }
    if (!there("/inside")) {
        return LEFT_CHROOT;
    }
    if (!there("shared") || !there("/tmp/shared")) {
        return LEFT_DIRECTORY;
    }
    if (cgwd_mounts_enter(&mounts) < 0) {
        return NOT_ENTERED;
    }
    if (!there("/inside")) {
        return LEFT_BY_ENTERING;
    }
    return there("/tmp/shared") ? NOT_PRIVATE : 0;
}

static int without_mounts(void)
{
    cgwd_mounts mounts = CGWD_MOUNTS_NONE;

    return cgwd_mounts_enter(&mounts) == 0 && there("/proc") ? 0 : HAS_MOUNTS;
}

static int run(int (*in_process)(void))
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        _exit(in_process());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void need_root(void)
{
    if (geteuid() != 0) {
        skip();
    }
}

static void plain_chroot_is_refused_and_not_left(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(run(in_plain_chroot), 0);
}

static void chroot_on_a_mount_point_is_not_left(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(run(in_mounted_chroot), 0);
}

static void no_mounts_are_none_to_enter(void **state)
{
    (void)state;
    assert_int_equal(run(without_mounts), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_chroot_is_refused_and_not_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(chroot_on_a_mount_point_is_not_left, set_up,
                                        tear_down),
        cmocka_unit_test(no_mounts_are_none_to_enter)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
