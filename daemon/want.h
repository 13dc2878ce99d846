/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_WANT_H
#define CGWD_WANT_H

/* Want of memory. What the supervisor keeps of groups and generations is small, and it
 * does not go on without: half of it would be worse than none. It says so and ends as
 * if killed, which costs no request: workers finish theirs, and httpd's parent starts
 * another supervisor. What is large, or somebody else's (processes, scoreboards, an
 * administrator's answer), is done without, or tried again, by those who want it. */

#include "log.h"

/* Where it is said from now on, instead of standard error. */
void cgwd_want_tell(const cgwd_writer *writer);

/* As apr_abortfunc_t; does not return. */
int cgwd_want_end(int err);

#endif
