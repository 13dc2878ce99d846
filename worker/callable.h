/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_CALLABLE_H
#define CGWW_CALLABLE_H

/* environ["cgateway.*"]: functions that know their request. Each request makes
 * one of each, so they are lighter than Python's own bound functions. */

#include "request.h"

struct cgww_function {
    const char *name;
    PyObject *(*call)(struct cgww_request *r, PyObject *args, PyObject *kw);
};

extern PyType_Spec cgww_callable_spec;

/* New reference, or NULL with an exception set. */
PyObject *cgww_callable_new(struct cgww_request *r,
                            const struct cgww_function *function);

/* cgateway.client_disconnected() -> bool; never waits, and is true after the
 * end of the request, too. */
extern const struct cgww_function cgww_client_disconnected;

/* cgateway.send_interim(status, headers): a 1xx response, now. */
extern const struct cgww_function cgww_send_interim;

#endif
