/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OBITUARY_H
#define CGWD_OBITUARY_H

#include "process.h"

/* What the log says of a process that has been reaped: an error, unless it was
 * to end; in a crash loop one line for each attempt to start another. */
void cgwd_obituary_write(cgwd_process *proc, int status);

#endif
