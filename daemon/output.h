/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OUTPUT_H
#define CGWD_OUTPUT_H

#include "process.h"

/* What a process prints: line by line to its group's log. */

/* Takes the pipe's end over, and reads it from now on. */
void cgwd_output_open(cgwd_process *proc, int fd);
/* Takes what there is, within a bound. 0 at the end of file. */
int cgwd_output_read(cgwd_process *proc);
/* It has ended: take what there is, and what has no line end yet. */
void cgwd_output_end(cgwd_process *proc);
void cgwd_output_close(cgwd_process *proc);

#endif
