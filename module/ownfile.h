/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_OWNFILE_H
#define CGWM_OWNFILE_H

/*
 * Files that directives name and httpd's parent, mostly root, opens for a group. As far
 * as nobody but root can change where the path leads (trail.h), root opens it, links
 * followed. Else somebody of the site could have root read or write another file: it is
 * opened by a process that is the group's user for the file system, has no files of
 * httpd's to offer, and is not waited for longer than a moment.
 */

#include "cgw_spec.h"

typedef struct cgwm_ownfile {
    const char *path;
    const cgw_spec *spec;
    const char *suspect;    /* out: the directory that others may change; NULL: none */
} cgwm_ownfile;

/* The bytes of a regular file of at most max, in p. EINVAL: it is not a regular file;
 * ENOSPC: it is longer. */
apr_status_t cgwm_ownfile_read(cgwm_ownfile *file, char **bytes, apr_size_t *len,
                               apr_size_t max, apr_pool_t *p);
/* A descriptor to append to the file, made where it is missing and may be. Among others'
 * directories it is root's, as root's logs are, where no link leads to it and it has no
 * other name; else the group's user must be allowed to write it. */
apr_status_t cgwm_ownfile_append(cgwm_ownfile *file, int may_create, int *fd,
                                 apr_pool_t *p);
/* What is wrong, and, behind it, why it is not root who opens the file. */
const char *cgwm_ownfile_explain(const cgwm_ownfile *file, apr_status_t rv,
                                 apr_pool_t *p);

#endif
