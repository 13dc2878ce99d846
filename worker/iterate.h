/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_ITERATE_H
#define CGWW_ITERATE_H

/* Sending what the application returned. */

#include "request.h"

/* Send every chunk, end the response, call close() once. 0, or -1 with an
 * exception set; that httpd hung up is no error. */
int cgww_send_result(struct cgww_request *r, PyObject *result);

#endif
