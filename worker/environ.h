/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_ENVIRON_H
#define CGWW_ENVIRON_H

/* The environ dictionary of a request, and the strings kept from one request
 * for the next, since most repeat. */

#include "request.h"

/* NULL with an exception set where memory is short. */
struct cgww_environ *cgww_environ_new(struct cgww_worker *worker, int threads,
                                      int processes);
void cgww_environ_free(struct cgww_environ *e);

/* New reference, or NULL with an exception set. payload is that of REQUEST. */
PyObject *cgww_environ_build(struct cgww_request *r, const uint8_t *payload,
                             size_t len);

#endif
