/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_ORIGIN_H
#define CGWD_ORIGIN_H

/* What a descriptor is that a process has passed, found out without asking its file
 * system: one that a process plays (FUSE), or that lies over such a one, may never
 * answer. Anybody can mount those, in a namespace of his own. */

#include "mounts.h"

enum cgwd_origin {
    CGWD_ORIGIN_UNKNOWN,    /* to use or close it may wait */
    CGWD_ORIGIN_PIPE,       /* a pipe, not a FIFO of some file system */
    CGWD_ORIGIN_PATH        /* opened with O_PATH, and on a mount of the supervisor's
                               own namespace or of the group's */
};

/* A descriptor that came with a message. */
typedef struct cgwd_passed {
    int fd;                 /* -1: none */
    enum cgwd_origin origin;
} cgwd_passed;

/* mounts: the group's. */
enum cgwd_origin cgwd_origin_of(int fd, const cgwd_mounts *mounts);

#endif
