/* SPDX-License-Identifier: Apache-2.0 */

#include "reach.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "usergroups.h"
#include "want.h"

/* What was ours. */
typedef struct identity {
    gid_t groups[CGWD_GROUPS_MAX];
    int ngroups, dumpable;
} identity;

/* -1: it cannot be changed. The capabilities that look past permissions go with the
 * user for files, and come back with it. Signals and ptrace know nothing of it. */
static int become(identity *own, const cgw_spec *spec)
{
    gid_t groups[CGWD_GROUPS_MAX];
    int n = cgwd_usergroups(groups, spec);

    own->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    own->ngroups = getgroups(CGWD_GROUPS_MAX, own->groups);
    if (own->ngroups < 0 || setgroups((size_t)n, groups) < 0) {
        return -1;
    }
    setfsgid((gid_t)spec->gid);
    setfsuid((uid_t)spec->uid);
    return 0;
}

static void return_from(const identity *own)
{
    setfsuid(geteuid());
    setfsgid(getegid());
    if (setgroups((size_t)own->ngroups, own->groups) < 0
        || (uid_t)setfsuid((uid_t)-1) != geteuid()) {
        cgwd_want_end(errno);   /* the supervisor would go on as somebody else */
    }
    prctl(PR_SET_DUMPABLE, own->dumpable, 0, 0, 0);
}

int cgwd_may_search(int dir, const cgw_spec *spec)
{
    identity own;
    int fd = -1;

    if (spec->uid < 0 || geteuid() != 0) {
        return 1;
    }
    if (become(&own, spec) < 0) {
        return 0;
    }
    if ((uid_t)setfsuid((uid_t)-1) == (uid_t)spec->uid) {
        fd = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return_from(&own);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}
