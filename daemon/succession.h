/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SUCCESSION_H
#define CGWD_SUCCESSION_H

#include "supervisor.h"

/* One supervisor takes the place of another one of a running httpd, after an
 * upgrade (cgw_control.h, section 3). */

/* As the later one: once no group starts any more, tells the predecessor that
 * it may go. Asked after every change of a generation's state. */
void cgwd_succession_check(cgwd_supervisor *sup);

/* As the former one: what a CGW_SUCCESSION_SIGNAL says. */
void cgwd_succession_take(cgwd_supervisor *sup, int value);
/* A group of the former one has gone. */
void cgwd_succession_group_gone(cgwd_supervisor *sup);

#endif
