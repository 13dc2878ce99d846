/* SPDX-License-Identifier: Apache-2.0 */

#include "outbox.h"

#include <fcntl.h>
#include <unistd.h>

#include "apr_file_io.h"

#include "file.h"
#include "spool.h"

/* What is passed on at once: what httpd's core filter keeps before it makes its
 * caller wait (FlushMaxThreshold, 64 KB). */
#define PART (64 * 1024)

/* A bucket costs memory of its own beside its bytes. */
#define BUCKET_COST 128
/* The file's space is given back in steps of this. */
#define HOLE (1024 * 1024)

struct cgwm_outbox {
    request_rec *r;
    apr_bucket_brigade *bb;     /* in memory, before what is in the file */
    apr_off_t in_memory;        /* what bb costs */
    apr_off_t memory, file_size; /* bounds */
    cgwm_spool *file;           /* NULL: none */
    apr_off_t taken;            /* position in the file */
    apr_off_t given_back;       /* space before this is free again */
    int pinned;                 /* buckets refer to the file: keep it as it is */
};

cgwm_outbox *cgwm_outbox_create(request_rec *r, apr_off_t memory,
                                apr_off_t file_size)
{
    cgwm_outbox *out = apr_pcalloc(r->pool, sizeof(*out));

    out->r = r;
    out->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    out->memory = memory;
    out->file_size = file_size;
    return out;
}

/* ---- the file ------------------------------------------------------------ */

static apr_status_t spool_bucket(cgwm_outbox *out, apr_bucket *b)
{
    apr_status_t rv = out->file ? APR_SUCCESS
                                : cgwm_spool_open(&out->file, out->r->pool);

    if (rv == APR_SUCCESS) {
        rv = cgwm_spool_append_bucket(out->file, b);
    }
    if (rv == APR_SUCCESS) {
        apr_bucket_destroy(b);
    }
    return rv;
}

static apr_off_t left_in_file(const cgwm_outbox *out)
{
    return out->file ? out->file->written - out->taken : 0;
}

/* The rest of the file as buckets over it. */
static void refer_to_file(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    if (left_in_file(out) > 0) {
        cgwm_spool_refer(out->file, bb, out->taken, APR_SENDFILE_ENABLED, out->r->pool);
        out->taken = out->file->written;
        out->pinned = 1;
    }
}

/* Where the file system cannot punch holes the file is given back only once
 * all of it was taken, and is_full() counts it whole. */
static void give_back(cgwm_outbox *out)
{
    if (out->pinned) {
        return;
    }
    if (left_in_file(out) == 0) {
        if (ftruncate(out->file->fd, 0) == 0) {
            out->file->written = out->taken = out->given_back = 0;
        }
    }
    else if (out->taken - out->given_back >= HOLE
             && fallocate(out->file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                          0, (off_t)out->taken) == 0) {
        out->given_back = out->taken;
    }
}

/* The next part of the file, read, so that its space can be given back. */
static void take_from_file(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    apr_bucket_alloc_t *alloc = bb->bucket_alloc;
    char *data = apr_bucket_alloc(PART, alloc);
    apr_size_t n = 0;

    if (cgwm_spool_read(out->file, out->taken, data, PART, &n) != APR_SUCCESS) {
        apr_bucket_free(data);
        refer_to_file(out, bb); /* whoever reads it meets the same error */
        return;
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(data, n, apr_bucket_free,
                                                       alloc));
    out->taken += (apr_off_t)n;
    give_back(out);
}

/* ---- put and take ---------------------------------------------------------- */

static int is_spooling(const cgwm_outbox *out)
{
    return left_in_file(out) > 0;
}

static int is_memory(const apr_bucket *b)
{
    return !APR_BUCKET_IS_METADATA(b) && !APR_BUCKET_IS_FILE(b) && !cgwm_file_is(b);
}

static apr_off_t cost(const apr_bucket *b)
{
    return is_memory(b) ? (apr_off_t)b->length + BUCKET_COST : 0;
}

apr_status_t cgwm_outbox_put(cgwm_outbox *out, apr_bucket *b)
{
    apr_status_t rv = APR_SUCCESS;

    if (out->file_size > 0 && is_memory(b)
        && (is_spooling(out)
            || out->in_memory + cost(b) > out->memory)) {
        rv = spool_bucket(out, b);
        if (rv == APR_SUCCESS) {
            return rv;
        }
        out->file_size = 0; /* from now on the worker waits for the client */
    }
    if (is_spooling(out)) {
        /* what follows must not overtake the file */
        refer_to_file(out, out->bb);
    }
    out->in_memory += cost(b);
    APR_BRIGADE_INSERT_TAIL(out->bb, b);
    return rv;
}

int cgwm_outbox_has_data(const cgwm_outbox *out)
{
    return !APR_BRIGADE_EMPTY(out->bb) || is_spooling(out);
}

int cgwm_outbox_is_full(const cgwm_outbox *out)
{
    if (out->file_size > 0) {
        return out->file
               && out->file->written - out->given_back >= out->file_size;
    }
    return out->in_memory >= out->memory && out->in_memory > 0;
}

static void move_first(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(out->bb);

    out->in_memory -= cost(b);
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

void cgwm_outbox_take(cgwm_outbox *out, apr_bucket_brigade *bb)
{
    apr_off_t taken = 0;

    if (APR_BRIGADE_EMPTY(out->bb)) {
        if (is_spooling(out)) {
            take_from_file(out, bb);
        }
        return;
    }
    while (!APR_BRIGADE_EMPTY(out->bb) && taken < PART) {
        apr_bucket *b = APR_BRIGADE_FIRST(out->bb);
        if (is_memory(b) && b->length > PART) {
            apr_bucket_split(b, PART);
            out->in_memory += BUCKET_COST;
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
    refer_to_file(out, bb);
}
