/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OUTPUT_H
#define CGWD_OUTPUT_H

#include "process.h"

/* What a process prints: line by line to its group's log. */

/* Takes what there is, within a bound. 0 at the end of file. */
int cgwd_output_read(cgwd_process *proc);
/* At its end: what has no line end yet. */
void cgwd_output_end(cgwd_process *proc);

#endif
