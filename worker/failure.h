/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_FAILURE_H
#define CGWW_FAILURE_H

/* Requests that end badly: exception -> FAIL frame, or sys.stderr where the
 * connection takes none any more. */

#include "request.h"

/* Send FAIL, unless the response is complete. False: not sent. */
bool cgww_fail(struct cgww_request *r, enum cgw_fail_kind kind,
               const char *text, size_t len);
/* Report the exception that is set, and clear it. */
void cgww_fail_exception(struct cgww_request *r);

#endif
