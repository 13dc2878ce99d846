/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SECCOMP_H
#define CGWD_SECCOMP_H

/* CGatewaySyscallFilter: the system calls that a web application has no use
 * for, and that attacks on the kernel begin with, fail with EPERM
 * (seccomp(2)). */

/* Puts the filter on the calling process and all that come of it; there is no
 * way back. The process must have no_new_privs. Safe between fork and exec.
 * 0, or -1 with errno. */
int cgwd_seccomp_apply(void);

#endif
