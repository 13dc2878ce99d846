/* SPDX-License-Identifier: Apache-2.0 */

#include "outbox.h"

#include <errno.h>
#include <unistd.h>

#include "apr_file_io.h"
#include "apr_portable.h"
#include "apr_strings.h"

/* What is passed on at once: what httpd's core filter keeps before it makes its
 * caller wait (FlushMaxThreshold, 64 KB). */
#define PART (64 * 1024)

struct cgwm_outbox {
    request_rec *r;
    apr_bucket_brigade *bb;     /* in memory, before what is in the file */
    apr_off_t in_memory;        /* bytes of bb that memory holds */
    apr_off_t memory, spool;    /* bounds */
    apr_file_t *file;
    apr_off_t written, taken;   /* positions in the file */
};

cgwm_outbox *cgwm_outbox_create(request_rec *r, apr_off_t memory,
                                apr_off_t spool)
{
    cgwm_outbox *out = apr_pcalloc(r->pool, sizeof(*out));

    out->r = r;
    out->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    out->memory = memory;
    out->spool = spool;
    return out;
}

/* ---- the file ------------------------------------------------------------ */

static apr_status_t open_file(cgwm_outbox *out)
{
    const char *dir;
    char *path;
    apr_status_t rv = apr_temp_dir_get(&dir, out->r->pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    path = apr_pstrcat(out->r->pool, dir, "/cgateway.XXXXXX", NULL);
    return apr_file_mktemp(&out->file, path,
                           APR_FOPEN_CREATE | APR_FOPEN_EXCL | APR_FOPEN_READ
                               | APR_FOPEN_WRITE | APR_FOPEN_BINARY
                               | APR_FOPEN_DELONCLOSE
                               | APR_FOPEN_SENDFILE_ENABLED,
                           out->r->pool);
}

/* Written by position: buckets over the file move its offset. */
static apr_status_t write_file(cgwm_outbox *out, const char *data,
                               apr_size_t len)
{
    apr_os_file_t fd;

    apr_os_file_get(&fd, out->file);
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)out->written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        data += n;
        len -= (apr_size_t)n;
        out->written += n;
    }
    return APR_SUCCESS;
}

static apr_status_t spool_bucket(cgwm_outbox *out, apr_bucket *b)
{
    apr_off_t before = out->written;
    const char *data;
    apr_size_t len;
    apr_status_t rv = out->file ? APR_SUCCESS : open_file(out);

    if (rv == APR_SUCCESS) {
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
    }
    if (rv == APR_SUCCESS) {
        rv = write_file(out, data, len);
    }
    if (rv != APR_SUCCESS) {
        out->written = before;
        return rv;
    }
    apr_bucket_destroy(b);
    return APR_SUCCESS;
}

static void take_from_file(cgwm_outbox *out, apr_bucket_brigade *bb,
                           apr_off_t most)
{
    apr_off_t length = out->written - out->taken;

    if (length > most) {
        length = most;
    }
    if (length > 0) {
        apr_brigade_insert_file(bb, out->file, out->taken, length, out->r->pool);
        out->taken += length;
    }
}

/* ---- put and take ---------------------------------------------------------- */

static int is_spooling(const cgwm_outbox *out)
{
    return out->written > out->taken;
}

static int is_memory(const apr_bucket *b)
{
    return !APR_BUCKET_IS_METADATA(b) && !APR_BUCKET_IS_FILE(b);
}

apr_status_t cgwm_outbox_put(cgwm_outbox *out, apr_bucket *b)
{
    apr_status_t rv = APR_SUCCESS;

    if (out->spool > 0 && is_memory(b)
        && (is_spooling(out)
            || out->in_memory + (apr_off_t)b->length > out->memory)) {
        rv = spool_bucket(out, b);
        if (rv == APR_SUCCESS) {
            return rv;
        }
        out->spool = 0; /* from now on the worker waits for the client */
    }
    if (is_spooling(out)) {
        /* what follows must not overtake the file */
        take_from_file(out, out->bb, out->written - out->taken);
    }
    if (is_memory(b)) {
        out->in_memory += (apr_off_t)b->length;
    }
    APR_BRIGADE_INSERT_TAIL(out->bb, b);
    return rv;
}

int cgwm_outbox_has_data(const cgwm_outbox *out)
{
    return !APR_BRIGADE_EMPTY(out->bb) || is_spooling(out);
}

int cgwm_outbox_is_full(const cgwm_outbox *out)
{
    return out->spool > 0 ? out->written - out->taken >= out->spool
                          : out->in_memory >= out->memory && out->in_memory > 0;
}

static void move_first(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(out->bb);

    if (is_memory(b)) {
        out->in_memory -= (apr_off_t)b->length;
    }
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

void cgwm_outbox_take(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    apr_off_t taken = 0;

    if (APR_BRIGADE_EMPTY(out->bb)) {
        take_from_file(out, bb, PART);
        return;
    }
    while (!APR_BRIGADE_EMPTY(out->bb) && taken < PART) {
        apr_bucket *b = APR_BRIGADE_FIRST(out->bb);
        if (is_memory(b) && b->length > PART) {
            apr_bucket_split(b, PART);
        }
        if (b->length != (apr_size_t)-1) {
            taken += (apr_off_t)b->length;
        }
        move_first(out, bb);
    }
}

void cgwm_outbox_take_all(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    while (!APR_BRIGADE_EMPTY(out->bb)) {
        move_first(out, bb);
    }
    take_from_file(out, bb, out->written - out->taken);
}
