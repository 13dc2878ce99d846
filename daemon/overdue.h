/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_OVERDUE_H
#define CGWD_OVERDUE_H

#include "cgw_control.h"
#include "process.h"

/* What a worker's watchdog says of it: OVERDUE, DEADLOCKED. The worker is
 * replaced, once. Returns 0 for another message. */
int cgwd_overdue_take(cgwd_process *proc, const struct cgw_message *msg);

#endif
