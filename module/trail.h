/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_TRAIL_H
#define CGWM_TRAIL_H

/* Where a path leads as long as nobody but root can change that. libc only. */

#include <limits.h>

#include "cgw_spec.h"

typedef struct cgwm_trail {
    int dir;                /* O_PATH; -1: root alone says where the path leads */
    char at[PATH_MAX];      /* the name of that directory */
    char rest[PATH_MAX];    /* what the path says from there on */
} cgwm_trail;

/* Follows the path, symbolic links of root's included, up to the first directory that
 * somebody else may change: another owner, or writable by others, by a group of the
 * spec's user, or by an access control list. What is in a directory with the sticky bit
 * counts as root's where it is a directory of root's. What cannot be looked up is told
 * by whoever opens the path. */
void cgwm_trail_follow(cgwm_trail *trail, const char *path, const cgw_spec *spec);
void cgwm_trail_close(cgwm_trail *trail);

#endif
