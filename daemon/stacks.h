/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_STACKS_H
#define CGWD_STACKS_H

#include "admin.h"
#include "origin.h"

/*
 * The Python stacks of all threads of a group's processes. Each thread in turn
 * gets CGW_STACKS_SIGNAL, whose handler (faulthandler) writes its own stack into
 * the process's pipe: nothing is stopped, no lock of the interpreter is needed,
 * and no thread looks at another one's frames while they change. cgw_handler.h says
 * when the handler is through.
 */

/* The end of a pipe that a process offers for it, and that stays the caller's. 0: it is
 * none. */
int cgwd_stacks_take(cgwd_process *proc, const cgwd_passed *end);
void cgwd_stacks_close(cgwd_process *proc);

#endif
