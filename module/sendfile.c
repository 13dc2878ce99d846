/* SPDX-License-Identifier: Apache-2.0 */

#include "sendfile.h"

#include <errno.h>
#include <unistd.h>

#include "apr_portable.h"
#include "apr_strings.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"

#include "beneath.h"
#include "cgw_header.h"
#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

#define HEADER "X-Sendfile"

int cgwm_sendfile_allowed(const request_rec *r)
{
    const apr_array_header_t *roots = cgwm_dir_conf_get(r)->sendfile_roots;

    return roots && roots->nelts > 0;
}

int cgwm_sendfile_take(cgwm_named_file *named, const cgwm_head *head,
                       const request_rec *r)
{
    const char *path = apr_table_get(head->headers, HEADER);

    if (!path || !cgwm_sendfile_allowed(r)) {
        return 0;
    }
    apr_table_unset(head->headers, HEADER);
    if (cgw_status_bodiless((uint16_t)head->status)) {
        return 0;
    }
    named->path = path;
    named->head = *head;
    return 1;
}

/* ---- opening --------------------------------------------------------------- */

/* The descriptor, or -1 with the errno that says most. */
static int open_beneath_roots(const apr_array_header_t *roots, const char *path)
{
    int error = EXDEV;

    for (int i = 0; i < roots->nelts; i++) {
        int fd = cgwm_beneath_open(APR_ARRAY_IDX(roots, i, const char *), path);
        if (fd >= 0) {
            return fd;
        }
        if (errno != EXDEV) {
            error = errno;
        }
    }
    errno = error;
    return -1;
}

static int refuse(request_rec *r, const char *group, const char *path, int error)
{
    if (error == EXDEV || error == ELOOP) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0153)
                      "%s: the application wants to send '%s', which is not below a "
                      "CGatewaySendfileRoot of this location, or leads out of it by "
                      "'..' or a symbolic link", group, path);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, error == EINVAL ? 0 : error, r,
                  CGW_LOGNO(0154) "%s: the application wants to send '%s', which "
                  "httpd cannot%s", group, path,
                  error == EINVAL ? ": it is not a regular file" : "");
    return error == ENOENT || error == ENOTDIR ? HTTP_NOT_FOUND
                                               : HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- the head -------------------------------------------------------------- */

/* Ranges are cut here, whatever the application made of the client's wish. */
static void make_whole(request_rec *r)
{
    if (r->status == HTTP_PARTIAL_CONTENT) {
        r->status = HTTP_OK;
        r->status_line = NULL;
        apr_table_unset(r->headers_out, "Content-Range");
    }
}

static void add_validators(request_rec *r)
{
    if (!apr_table_get(r->headers_out, "Last-Modified")) {
        ap_update_mtime(r, r->finfo.mtime);
        ap_set_last_modified(r);
    }
    if (!apr_table_get(r->headers_out, "ETag")) {
        ap_set_etag(r);
    }
}

int cgwm_sendfile_open(const cgwm_named_file *named, request_rec *r,
                       const char *group, int *fd, apr_off_t *length)
{
    apr_file_t *file;
    apr_status_t rv;

    *fd = open_beneath_roots(cgwm_dir_conf_get(r)->sendfile_roots, named->path);
    if (*fd < 0) {
        return refuse(r, group, named->path, errno);
    }
    apr_os_file_put(&file, fd, APR_READ | APR_BINARY, r->pool);
    rv = apr_file_info_get(&r->finfo, APR_FINFO_NORM, file);
    if (rv != APR_SUCCESS) {
        close(*fd);
        return refuse(r, group, named->path, rv);
    }
    *length = r->finfo.size;
    cgwm_head_apply(&named->head, r);
    make_whole(r);
    add_validators(r);
    ap_set_content_length(r, *length);
    return OK;
}
