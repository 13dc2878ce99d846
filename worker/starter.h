/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_STARTER_H
#define CGWW_STARTER_H

/* start_response of a request, and the write() it returns: what the
 * application says about its response, checked. */

#include "request.h"

extern PyType_Spec cgww_starter_spec;

/* New reference, or NULL with an exception set. */
PyObject *cgww_starter_new(struct cgww_request *r);

#endif
