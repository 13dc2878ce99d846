/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_BENEATH_H
#define CGWM_BENEATH_H

#include <sys/types.h>

/* Opening a file by a path that an application names, and nothing outside of the
 * directories that the administrator allows. libc only. */

/* Opens a regular file for reading: path, absolute, must lie beneath directory,
 * whatever ".." and symbolic links are on the way, and also while somebody
 * exchanges them. Symbolic links are followed where they stay beneath it, absolute
 * ones never. Waits neither for a FIFO nor for a device. The descriptor, or -1 with
 * errno: EXDEV outside, ELOOP a link too many, EISDIR, or EINVAL for what else is no
 * file, or as open() has it. */
int cgwm_beneath_open(const char *directory, const char *path);

/* The same for kernels without openat2 (before 5.6): follows no links at all. */
int cgwm_beneath_open_strictly(const char *directory, const char *path);

/* Opens the absolute path without any symbolic link from `directory` on, which is
 * closed; -1: its errno stays. */
int cgwm_beneath_walk(int directory, const char *path, int flags, mode_t mode);
/* Opens the path, but none of those that /proc makes of what is open; where the kernel
 * lacks openat2, without links. */
int cgwm_beneath_open_plainly(const char *path, int flags, mode_t mode);

#endif
