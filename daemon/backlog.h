/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_BACKLOG_H
#define CGWD_BACKLOG_H

/* How many connections wait at a listening Unix socket to be accepted, by the
 * kernel's word (sock_diag). -1 where the kernel does not tell. */
int cgwd_backlog(int listener);

#endif
