/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_STACKS_H
#define CGWD_STACKS_H

#include "admin.h"

/*
 * The Python stacks of all threads of a group's processes. Each thread in turn
 * gets CGW_STACKS_SIGNAL, whose handler (faulthandler) writes its own stack into
 * the process's pipe: nothing is stopped, no lock of the interpreter is needed,
 * and no thread looks at another one's frames while they change. Whether the
 * handler is through, the kernel tells: the signal is neither pending nor blocked
 * any more.
 */

/* Whether the descriptor that a process offers for it is a pipe's; it is made
 * non-blocking. */
int cgwd_stacks_is_pipe(int fd);

#endif
