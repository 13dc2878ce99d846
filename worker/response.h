/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_RESPONSE_H
#define CGWW_RESPONSE_H

/*
 * The response of a request as frames. HEAD goes out with the first byte of
 * the body or at its end, so that start_response can replace it until then
 * (PEP 3333).
 *
 * The functions return 0, -1 with an exception set, or CGWW_GONE when httpd
 * has hung up.
 */

#include "request.h"

#define CGWW_GONE 1


/* Add bytes of the body to what is to be sent. With flush they leave now, else
 * at the latest with cgww_response_end() or after the request. */
int cgww_response_body(struct cgww_request *r, const char *bytes, size_t len,
                       bool flush);
/* Length of the whole body, where the application did not say. Only before
 * the first byte. */
void cgww_response_length(struct cgww_request *r, uint64_t length);
/* The body is `length` bytes of a file from offset on. */
int cgww_response_file(struct cgww_request *r, int fd, uint64_t offset,
                       uint64_t length);
/* The body is complete. */
int cgww_response_end(struct cgww_request *r, bool flush);

/* Is nothing of the body to be sent any more, though it may have more? */
bool cgww_response_settled(const struct cgww_request *r);

/* Raise ValueError about the response itself: FAIL RESPONSE. Returns -1. */
int cgww_response_invalid(struct cgww_request *r, const char *format, ...);

#endif
