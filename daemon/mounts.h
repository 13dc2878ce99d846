/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_MOUNTS_H
#define CGWD_MOUNTS_H

/* CGatewayPrivateTmp, CGatewayReadOnlySystem: the file system as the processes
 * of one group see it, in a mount namespace of theirs (mount_namespaces(7)).
 * It lives as long as the supervisor knows the group, or a process is in it,
 * and leaves nothing behind. */

#include "cgw_spec.h"

typedef struct cgwd_mounts {
    int ns;             /* descriptor of the namespace, -1: none */
    int root;           /* our root directory in it */
    int table;          /* /proc/self/mountinfo as it is there, -1: unknown */
    char made_for[CGW_DIGEST_HEX + 1]; /* of what the namespace shows */
} cgwd_mounts;

#define CGWD_MOUNTS_NONE {.ns = -1, .root = -1, .table = -1}

/* Makes mounts fit the spec: *mounts keeps its namespace while the spec asks
 * for the same, so that the files in a private /tmp outlive a reload. The
 * calling process must have one thread. 0, or an errno; *step (static or in
 * pool p) is what failed. */
int cgwd_mounts_prepare(cgwd_mounts *mounts, const cgw_spec *spec,
                        const char **step, apr_pool_t *p);
/* Have this process see what the group is to see, where that is not what it sees
 * already. Between fork and exec: async-signal-safe. -1: errno. */
int cgwd_mounts_enter(const cgwd_mounts *mounts);
/* Forget it; processes that are in it stay. */
void cgwd_mounts_close(cgwd_mounts *mounts);

#endif
