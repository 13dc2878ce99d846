/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OUTPUT_H
#define CGWD_OUTPUT_H

#include "process.h"

/* What a process prints: line by line to its group's log. Lines that belong together
 * (block.h) stay together there: they are held back for a moment. */

/* Reads the pipe's end from now on, and takes it over. 0; or an errno, and it is the
 * caller's. */
int cgwd_output_open(cgwd_process *proc, int fd);
/* Something is about to be logged that comes after what the process has printed:
 * log that now. */
void cgwd_output_catch_up(cgwd_process *proc);
/* Log what is held back. */
void cgwd_output_flush(cgwd_process *proc);
/* It has ended: take what there is, and what has no line end yet. */
void cgwd_output_end(cgwd_process *proc);
/* Close the pipe; what is held back is logged. */
void cgwd_output_close(cgwd_process *proc);

#endif
