/* SPDX-License-Identifier: Apache-2.0 */

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ap_mpm.h"
#include "apr_portable.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"

#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

/* Read at a time. */
#define BLOCK ((apr_size_t)64 * 1024)
/* Sent at a time: httpd's core filter waits until the client has taken most. More,
 * where the client takes it at once. */
#define PART ((apr_size_t)512 * 1024)
#define PART_LONGEST ((apr_size_t)4 * 1024 * 1024)
#define AT_ONCE apr_time_from_msec(50)
/* Longest bucket, for machines where apr_size_t has 32 bits. */
#define BUCKET_LONGEST ((apr_off_t)1 << 30)
/* Clients that take longer for a file need no thread of httpd. */
#define PATIENCE apr_time_from_sec(1)

/* What the buckets over one file share. */
typedef struct shared_file {
    apr_bucket_refcount refcount;
    int fd;
    int sendfile, mmap;     /* what EnableSendfile and EnableMMAP say */
    const server_rec *server;
    const char *group;      /* of pconf */
} shared_file;

/* ---- the bucket ------------------------------------------------------------ */

static void file_destroy(void *data)
{
    shared_file *f = data;

    if (apr_bucket_shared_destroy(f)) {
        close(f->fd);
        apr_bucket_free(f);
    }
}

/* All of len bytes, or an error; EIO where the file ends before them. */
static apr_status_t read_fully(int fd, char *to, apr_size_t len, apr_off_t from)
{
    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)from);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        to += n;
        from += n;
        len -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

static void tell_failure(const shared_file *f, apr_status_t rv, apr_off_t at)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, rv, f->server, CGW_LOGNO(0151)
                 "%s: a file that the application passed on cannot be read from byte "
                 "%" APR_OFF_T_FMT " on, though it was longer when the response "
                 "began; the response is broken off. Replace files (rename) in place "
                 "of overwriting them", f->group, at);
}

/* Becomes a heap bucket with the next part; what is left follows it. */
static apr_status_t file_read(apr_bucket *b, const char **str, apr_size_t *len,
                              apr_read_type_e block)
{
    shared_file *f = b->data;
    apr_size_t n = b->length < BLOCK ? b->length : BLOCK;
    char *data = apr_bucket_alloc(n ? n : 1, b->list);
    apr_status_t rv = read_fully(f->fd, data, n, b->start);

    (void)block;
    *str = NULL;
    *len = 0;
    if (rv != APR_SUCCESS) {
        apr_bucket_free(data);
        tell_failure(f, rv, b->start);
        return rv;
    }
    if (b->length > n) {
        apr_bucket_split(b, n);
    }
    apr_bucket_heap_make(b, data, n, apr_bucket_free);
    file_destroy(f);
    *str = data;
    *len = n;
    return APR_SUCCESS;
}

/* Depends on no pool. */
static apr_status_t file_setaside(apr_bucket *b, apr_pool_t *pool)
{
    (void)b;
    (void)pool;
    return APR_SUCCESS;
}

static const apr_bucket_type_t file_type = {
    "CGATEWAY FILE", 5, APR_BUCKET_DATA, file_destroy, file_read, file_setaside,
    apr_bucket_shared_split, apr_bucket_shared_copy};

int cgwm_file_is(const apr_bucket *b)
{
    return b->type == &file_type;
}

static apr_bucket *bucket_create(shared_file *f, apr_off_t offset,
                                 apr_size_t length, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b = apr_bucket_shared_make(b, f, offset, length);
    b->type = &file_type;
    return b;
}

/* ---- the filter -------------------------------------------------------------- */

#define FILTER_NAME "CGATEWAY_FILE"

static apr_status_t close_fd(void *data)
{
    return close((int)(intptr_t)data) < 0 ? errno : APR_SUCCESS;
}

apr_status_t cgwm_file_make_plain(apr_bucket **b, apr_pool_t *p)
{
    const shared_file *f = (*b)->data;
    apr_int32_t flags = APR_READ | APR_BINARY
                        | (f->sendfile ? APR_SENDFILE_ENABLED : 0);
    apr_os_file_t fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    apr_bucket *plain;
    apr_file_t *file;

    if (fd < 0) {
        return errno;
    }
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, close_fd,
                              apr_pool_cleanup_null);
    apr_os_file_put(&file, &fd, flags, p);
    plain = apr_bucket_file_create(file, (*b)->start, (*b)->length, p, (*b)->list);
    apr_bucket_file_enable_mmap(plain, 0);
    APR_BUCKET_INSERT_BEFORE(*b, plain);
    apr_bucket_delete(*b);
    *b = plain;
    return APR_SUCCESS;
}

/* httpd's event MPM sends FILE buckets to a slow client without a thread: at once
 * with sendfile, else (2.4) when the client has taken some 200 KB more. A file
 * that becomes shorter then cannot be noticed in time, so nothing may follow it
 * on the connection. */
static apr_status_t hand_over(apr_bucket *b, conn_rec *c)
{
    apr_status_t rv = cgwm_file_make_plain(&b, c->pool);

    if (rv == APR_SUCCESS) {
        c->keepalive = AP_CONN_CLOSE;
    }
    return rv;
}

static apr_bucket *first_long_file(apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);

    while (b != APR_BRIGADE_SENTINEL(bb)
           && !(cgwm_file_is(b) && b->length > PART)) {
        b = APR_BUCKET_NEXT(b);
    }
    return b == APR_BRIGADE_SENTINEL(bb) ? NULL : b;
}

/* A part of a file in memory, for no user but writev(): where the file becomes
 * shorter, that fails, while reading the memory would end the process. */
typedef struct mapping {
    apr_bucket_refcount refcount;
    char *base;
    size_t size;
} mapping;

static void mapping_destroy(void *data)
{
    mapping *m = data;

    if (apr_bucket_shared_destroy(m)) {
        munmap(m->base, m->size);
        apr_bucket_free(m);
    }
}

static apr_status_t mapping_read(apr_bucket *b, const char **str, apr_size_t *len,
                                 apr_read_type_e block)
{
    const mapping *m = b->data;

    (void)block;
    *str = m->base + b->start;
    *len = b->length;
    return APR_SUCCESS;
}

static const apr_bucket_type_t mapping_type = {
    "CGATEWAY MAPPING", 5, APR_BUCKET_DATA, mapping_destroy, mapping_read,
    file_setaside, apr_bucket_shared_split, apr_bucket_shared_copy};

/* Makes the bucket a mapping, which saves a copy; it stays what it is where that
 * is not possible. */
static void map(apr_bucket *b)
{
    shared_file *f = b->data;
    apr_off_t within = b->start % sysconf(_SC_PAGESIZE);
    size_t size = b->length + (size_t)within;
    void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, f->fd,
                      (off_t)(b->start - within));
    mapping *m;

    if (base != MAP_FAILED) {
        m = apr_bucket_alloc(sizeof(*m), b->list);
        m->base = base;
        m->size = size;
        apr_bucket_shared_make(b, m, within, b->length);
        b->type = &mapping_type;
        file_destroy(f);
    }
}

/* The first part of bb, up to so many bytes of the file b. */
/* NOLINTNEXTLINE(readability-function-size): APR's macros have blocks */
static apr_status_t send_part(ap_filter_t *f, apr_bucket_brigade *bb,
                              apr_bucket *b, apr_size_t part)
{
    apr_bucket_brigade *rest = f->ctx;
    const shared_file file = *(const shared_file *)b->data;
    apr_off_t at = b->start;
    apr_status_t rv;

    if (b->length > part) {
        apr_bucket_split(b, part);
    }
    if (file.mmap) {
        map(b);
    }
    apr_brigade_split_ex(bb, APR_BUCKET_NEXT(b), rest);
    rv = ap_pass_brigade(f->next, bb);
    apr_brigade_cleanup(bb);
    APR_BRIGADE_CONCAT(bb, rest);
    if (rv == EFAULT) {
        tell_failure(&file, rv, at);
    }
    return rv;
}

/* Files leave in parts, each of them checked. What a client has not taken soon
 * then goes as a whole. */
static apr_status_t send_files(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_time_t now = apr_time_now(), until = now + PATIENCE;
    apr_size_t part = PART;
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *b;

    while (rv == APR_SUCCESS && (b = first_long_file(bb)) != NULL) {
        const shared_file *file = b->data;
        if ((!file->sendfile && now < until)
            || hand_over(b, f->c) != APR_SUCCESS) {
            apr_time_t began = now;
            rv = send_part(f, bb, b, part);
            now = apr_time_now();
            if (now - began < AT_ONCE && part < PART_LONGEST) {
                part *= 2;
            }
        }
    }
    return rv == APR_SUCCESS ? ap_pass_brigade(f->next, bb) : rv;
}

/* Only where httpd goes on sending without the thread that ran the request, and
 * no filter of HTTP/2 is in between. */
static void add_filter(request_rec *r)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *rest;
    int is_async = 0;

    ap_mpm_query(AP_MPMQ_IS_ASYNC, &is_async);
    if (!is_async || c->master
        || ap_get_module_config(c->conn_config, &cgateway_module)) {
        return;
    }
    rest = apr_brigade_create(c->pool, c->bucket_alloc);
    ap_set_module_config(c->conn_config, &cgateway_module, rest);
    ap_add_output_filter(FILTER_NAME, rest, r, c);
}

void cgwm_file_register_filter(void)
{
    ap_register_output_filter(FILTER_NAME, send_files, NULL,
                              (ap_filter_type)(AP_FTYPE_NETWORK - 1));
}

/* ---- insertion ---------------------------------------------------------------- */

void cgwm_file_insert(apr_bucket_brigade *bb, request_rec *r, const char *group,
                      int fd, apr_off_t offset, apr_off_t length)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    shared_file *f = apr_bucket_alloc(sizeof(*f), bb->bucket_alloc);
    apr_off_t n = length < BUCKET_LONGEST ? length : BUCKET_LONGEST;
    apr_bucket *b;

    f->fd = fd;
    f->sendfile = core->enable_sendfile == ENABLE_SENDFILE_ON;
    f->mmap = core->enable_mmap != ENABLE_MMAP_OFF;
    f->server = r->server;
    f->group = group;
    b = bucket_create(f, offset, (apr_size_t)n, bb->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(bb, b);
    while (length > n) {
        offset += n;
        length -= n;
        n = length < BUCKET_LONGEST ? length : BUCKET_LONGEST;
        apr_bucket_copy(b, &b);
        b->start = offset;
        b->length = (apr_size_t)n;
        APR_BRIGADE_INSERT_TAIL(bb, b);
    }
    add_filter(r);
}
