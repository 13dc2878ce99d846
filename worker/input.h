/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_INPUT_H
#define CGWW_INPUT_H

/* environ["wsgi.input"]: the request body, streamed. Ends only where the body
 * ended; one that broke off raises cgateway.ClientDisconnected. */

#include "request.h"

extern PyType_Spec cgww_input_spec;

/* New reference, or NULL with an exception set. */
PyObject *cgww_input_new(struct cgww_request *r);

#endif
