/* SPDX-License-Identifier: Apache-2.0 */

#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "apr_file_io.h"
#include "apr_portable.h"
#include "apr_strings.h"

static apr_status_t close_file(void *data)
{
    const cgwm_spool *spool = data;

    return close(spool->fd) < 0 ? errno : APR_SUCCESS;
}

/* A descriptor, or -1 with errno. */
static int open_nameless(const char *dir, apr_pool_t *p)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *path;

    if (fd < 0) {
        path = apr_pstrcat(p, dir, "/cgateway.XXXXXX", NULL);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            unlink(path);
        }
    }
    return fd;
}

apr_status_t cgwm_spool_open(cgwm_spool **out, apr_pool_t *p)
{
    cgwm_spool *spool;
    const char *dir;
    apr_status_t rv = apr_temp_dir_get(&dir, p);
    int fd;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    fd = open_nameless(dir, p);
    if (fd < 0) {
        return errno;
    }
    spool = apr_pcalloc(p, sizeof(*spool));
    spool->fd = fd;
    apr_pool_cleanup_register(p, spool, close_file, apr_pool_cleanup_null);
    *out = spool;
    return APR_SUCCESS;
}

apr_status_t cgwm_spool_append(cgwm_spool *spool, const char *data,
                               apr_size_t len)
{
    apr_off_t at = spool->written;

    while (len > 0) {
        ssize_t n = pwrite(spool->fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        data += n;
        len -= (apr_size_t)n;
        at += n;
    }
    spool->written = at;
    return APR_SUCCESS;
}

apr_status_t cgwm_spool_append_bucket(cgwm_spool *spool, apr_bucket *b)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

    return rv == APR_SUCCESS ? cgwm_spool_append(spool, data, len) : rv;
}

apr_status_t cgwm_spool_read(const cgwm_spool *spool, apr_off_t from, char *to,
                             apr_size_t len, apr_size_t *n)
{
    ssize_t got;

    if (spool->written - from < (apr_off_t)len) {
        len = (apr_size_t)(spool->written - from);
    }
    do {
        got = pread(spool->fd, to, len, (off_t)from);
    } while (got < 0 && errno == EINTR);
    *n = got > 0 ? (apr_size_t)got : 0;
    return got < 0 ? errno : got == 0 && len > 0 ? APR_EOF : APR_SUCCESS;
}

void cgwm_spool_refer(const cgwm_spool *spool, apr_bucket_brigade *bb, apr_off_t from,
                      apr_int32_t flags, apr_pool_t *p)
{
    apr_os_file_t fd = spool->fd;
    apr_file_t *file;

    apr_os_file_put(&file, &fd, APR_READ | APR_BINARY | flags, p);
    apr_brigade_insert_file(bb, file, from, spool->written - from, p);
}
