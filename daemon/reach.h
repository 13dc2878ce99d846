/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_REACH_H
#define CGWD_REACH_H

#include "cgw_spec.h"

/* Whether the user of a group may search a directory, as the kernel sees it; the
 * descriptor may be O_PATH. Where all groups run as our own user: yes, what may not be
 * done the kernel refuses anyway. The calling process must have one thread. */
int cgwd_may_search(int dir, const cgw_spec *spec);

#endif
