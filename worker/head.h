/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_HEAD_H
#define CGWW_HEAD_H

/* The head of a response, final or interim: what the application says about
 * it, checked, and the frame that says it to httpd. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "cgw_wire.h"

struct cgww_head {
    enum cgw_frame_type type;   /* HEAD or INTERIM */
    struct cgw_buf *buf;        /* reason, then pairs */
    uint16_t status;
    size_t reason_len;
    uint64_t length;            /* Content-Length or CGW_LENGTH_UNKNOWN */
    bool names_file;            /* by X-Sendfile */
};

/* Take over a status ("NNN Reason") and a list of (name, value), in place of
 * what is in head->buf; `type` and `buf` are set before. 0, or -1 with an
 * exception set, which is about the arguments. Whether the status suits is the
 * caller's to check. */
int cgww_head_take(struct cgww_head *head, PyObject *status,
                   PyObject *headers);

/* Append it as a frame. */
void cgww_head_put(const struct cgww_head *head, struct cgw_buf *out,
                   uint8_t flags);

#endif
