/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_CHANNEL_H
#define CGWD_CHANNEL_H

#include "process.h"

/* The control channel of a process: what it says of itself. None of it is
 * trusted: whatever is out of turn costs the process its life. */

/* Hears fd from now on, and takes it over. 0; or an errno, and fd is the caller's. */
int cgwd_channel_open(cgwd_process *proc, int fd);
/* A no-op where it is closed. */
void cgwd_channel_close(cgwd_process *proc);
/* The process has ended and is not reaped yet: take the messages that it left. */
void cgwd_channel_hear_out(cgwd_process *proc);

#endif
