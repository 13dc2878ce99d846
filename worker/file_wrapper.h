/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_FILE_WRAPPER_H
#define CGWW_FILE_WRAPPER_H

/* environ["wsgi.file_wrapper"]: an iterable around a file-like object, which
 * httpd sends itself where it is a real file. */

#include "worker.h"

extern PyType_Spec cgww_file_wrapper_spec;

struct cgww_file {
    int fd;                     /* the caller's to close */
    uint64_t offset, length;
};

/* What of the wrapped object httpd can send itself. 1: *out says it, 0: it
 * has to be read, -1: exception set. The descriptor has a position of its own:
 * httpd reads while the application may use the same file for another request. */
int cgww_file_wrapper_open(struct cgww_worker *worker, PyObject *wrapper,
                           struct cgww_file *out);

#endif
