/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_ERRORS_H
#define CGWW_ERRORS_H

/* environ["wsgi.errors"]: each complete line becomes a LOG frame, so that it
 * reaches the log with the request it belongs to; sys.stderr where the
 * connection takes none any more. */

#include "request.h"

extern PyType_Spec cgww_errors_spec;

/* New reference, or NULL with an exception set. */
PyObject *cgww_errors_new(struct cgww_request *r);
/* At the end of the request: what is left of a line without its end. */
void cgww_errors_finish(struct cgww_request *r);

#endif
