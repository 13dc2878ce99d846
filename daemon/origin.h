/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ORIGIN_H
#define CGWD_ORIGIN_H

/* What a descriptor is that a process has passed, found out without asking its file
 * system: one that a process plays (FUSE), or that lies over such a one, may never
 * answer. Anybody can mount those, in a namespace of his own. */

#include "mounts.h"

/* A pipe, not a FIFO of some file system. */
int cgwd_origin_is_pipe(int fd);
/* Opened with O_PATH, and on a mount of the supervisor's own namespace or of the
 * group's (NULL: it has none). */
int cgwd_origin_is_known(int fd, const cgwd_mounts *mounts);

#endif
