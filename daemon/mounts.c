/* SPDX-License-Identifier: Apache-2.0 */

#include "mounts.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* What stays writable in a system that is read-only. */
static const char *const writable[] = {"/dev", "/proc", "/tmp", "/var/tmp"};
static const char *const temporary[] = {"/tmp", "/var/tmp"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const char *below_root(const cgw_spec *spec, const char *path, apr_pool_t *p)
{
    return spec->chroot ? apr_pstrcat(p, spec->chroot, path, NULL) : path;
}

/* ---- inside the new namespace -------------------------------------------- */

static int mount_private_tmp(const cgw_spec *spec, const char **step, apr_pool_t *p)
{
    const char *options = apr_psprintf(p, "mode=1777,size=%" APR_INT64_T_FMT,
                                       spec->private_tmp);

    for (size_t i = 0; i < COUNT(temporary); i++) {
        const char *dir = below_root(spec, temporary[i], p);
        if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0
            && errno != ENOENT) {
            *step = apr_pstrcat(p, "CGatewayPrivateTmp: mounting ", dir, NULL);
            return errno;
        }
    }
    return 0;
}

/* A directory or file whose mounts keep their own flags. */
typedef struct kept {
    const char *path;
    int tree;
} kept;

static int keep(apr_array_header_t *list, const char *path)
{
    int tree = open_tree(AT_FDCWD, path,
                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

    if (tree >= 0) {
        APR_ARRAY_PUSH(list, kept) = (kept){.path = path, .tree = tree};
    }
    return tree < 0 ? errno : 0;
}

static int keep_all(apr_array_header_t *list, const cgw_spec *spec,
                    const char **step, apr_pool_t *p)
{
    for (size_t i = 0; i < COUNT(writable); i++) {
        keep(list, below_root(spec, writable[i], p));   /* where there is one */
    }
    for (int i = 0; i < spec->allow_write->nelts; i++) {
        const char *path = below_root(spec, APR_ARRAY_IDX(spec->allow_write, i,
                                                          const char *), p);
        int err = keep(list, path);
        if (err) {
            *step = apr_pstrcat(p, "CGatewayAllowWrite ", path, NULL);
            return err;
        }
    }
    return 0;
}

/* Puts back what was kept, and closes it all. */
static int put_back(apr_array_header_t *list, int err, const char **step)
{
    for (int i = 0; i < list->nelts; i++) {
        kept *k = &APR_ARRAY_IDX(list, i, kept);
        if (!err && move_mount(k->tree, "", AT_FDCWD, k->path,
                               MOVE_MOUNT_F_EMPTY_PATH) < 0) {
            err = errno;
            *step = k->path;
        }
        close(k->tree);
    }
    return err;
}

static int make_read_only(const cgw_spec *spec, const char **step, apr_pool_t *p)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    apr_array_header_t *list = apr_array_make(p, 8, sizeof(kept));
    int err = keep_all(list, spec, step, p);

    if (!err && mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only,
                              sizeof(read_only)) < 0) {
        err = errno;
        *step = "CGatewayReadOnlySystem";
    }
    return put_back(list, err, step);
}

static int arrange(const cgw_spec *spec, const char **step, apr_pool_t *p)
{
    int err = 0;

    /* mounts of the system arrive here, none of these there */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        *step = errno == EINVAL ? "httpd's root directory is not a mount point"
                                : "making mounts private";
        return errno;
    }
    if (spec->private_tmp) {
        err = mount_private_tmp(spec, step, p);
    }
    if (!err && spec->read_only_system) {
        err = make_read_only(spec, step, p);
    }
    return err;
}

/* ---- going from one namespace to another ----------------------------------- */

static int open_root(void)
{
    return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* setns() has the root of the namespace for the process' root directory. Of an
 * httpd in a chroot that is not its own, but all that the chroot shuts out. */
static int enter(int ns, int root)
{
    return setns(ns, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0 ? -1 : 0;
}

int cgwd_mounts_enter(const cgwd_mounts *mounts)
{
    return mounts->ns >= 0 ? enter(mounts->ns, mounts->root) : 0;
}

/* ---- making the namespace ------------------------------------------------- */

/* This process' own file system. */
typedef struct home {
    int ns, root, directory;
} home;

static void close_home(const home *h)
{
    const int fds[] = {h->ns, h->root, h->directory};

    for (size_t i = 0; i < COUNT(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static int open_namespace(void)
{
    return open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
}

/* 0, or an errno; what was opened is to be closed either way. */
static int open_home(home *h)
{
    h->ns = open_namespace();
    h->root = open_root();
    h->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return h->ns < 0 || h->root < 0 || h->directory < 0 ? errno : 0;
}

static void go_home(const home *h)
{
    if (enter(h->ns, h->root) < 0 || fchdir(h->directory) < 0) {
        abort();    /* the supervisor would go on in a group's file system */
    }
}

/* 0 with the namespace in *made, or an errno. */
static int make(cgwd_mounts *made, const cgw_spec *spec, const char **step,
                apr_pool_t *p)
{
    home h;
    int err = open_home(&h);

    *step = "a mount namespace";
    if (!err && unshare(CLONE_NEWNS) < 0) {
        err = errno;
    }
    if (!err) {
        err = arrange(spec, step, p);
        made->ns = err ? -1 : open_namespace();
        made->root = err ? -1 : open_root();
        made->table = err ? -1 : open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (!err && (made->ns < 0 || made->root < 0)) {
            err = errno;
        }
        go_home(&h);
    }
    close_home(&h);
    return err;
}

/* A digest over what makes one namespace differ from another. */
static const char *wanted(const cgw_spec *spec, apr_pool_t *p)
{
    cgw_spec *part = cgw_spec_create(p);

    part->private_tmp = spec->private_tmp;
    part->read_only_system = spec->read_only_system;
    part->chroot = spec->chroot;
    if (spec->read_only_system) {
        part->allow_write = spec->allow_write;
    }
    return cgw_spec_digest(part, p);
}

int cgwd_mounts_prepare(cgwd_mounts *mounts, const cgw_spec *spec,
                        const char **step, apr_pool_t *p)
{
    cgwd_mounts made = CGWD_MOUNTS_NONE;
    const char *digest;
    int err;

    if (!spec->private_tmp && !spec->read_only_system) {
        cgwd_mounts_close(mounts);
        return 0;
    }
    digest = wanted(spec, p);
    if (mounts->ns >= 0 && strcmp(mounts->made_for, digest) == 0) {
        return 0;
    }
    err = make(&made, spec, step, p);
    if (err) {
        cgwd_mounts_close(&made);
        return err;
    }
    cgwd_mounts_close(mounts);
    *mounts = made;
    apr_cpystrn(mounts->made_for, digest, sizeof(mounts->made_for));
    return 0;
}

void cgwd_mounts_close(cgwd_mounts *mounts)
{
    if (mounts->ns >= 0) {
        close(mounts->ns);
    }
    if (mounts->root >= 0) {
        close(mounts->root);
    }
    if (mounts->table >= 0) {
        close(mounts->table);
    }
    *mounts = (cgwd_mounts)CGWD_MOUNTS_NONE;
}
