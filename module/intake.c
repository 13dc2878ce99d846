/* SPDX-License-Identifier: Apache-2.0 */

#include "intake.h"

#include "apr_buckets.h"
#include "apr_network_io.h"
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_main.h"

#include "config.h"

/* What is read at a time, at first and at most, in bytes. Below 64 KB by what
 * APR's allocator writes before each block, so that one fills whole pages. */
#define SIZE_LEAST ((apr_size_t)APR_BUCKET_BUFF_SIZE)
#define SIZE_MOST ((apr_size_t)64 * 1024 - 128)

/* Lives as long as its connection. */
typedef struct intake {
    apr_socket_t *socket;
    apr_size_t size;        /* of the next read */
} intake;

static apr_status_t intake_read(apr_bucket *b, const char **str, apr_size_t *len,
                                apr_read_type_e block);

static const apr_bucket_type_t intake_type = {
    "CGATEWAY INTAKE", 5, APR_BUCKET_DATA, apr_bucket_destroy_noop, intake_read,
    apr_bucket_setaside_notimpl, apr_bucket_split_notimpl, apr_bucket_copy_notimpl};

static apr_bucket *intake_create(intake *in, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &intake_type;
    b->length = (apr_size_t)-1;
    b->start = -1;
    b->data = in;
    return b;
}

static apr_status_t receive(apr_socket_t *socket, char *to, apr_size_t *len,
                            apr_read_type_e block)
{
    apr_interval_time_t timeout = 0;
    apr_status_t rv;

    if (block == APR_NONBLOCK_READ) {
        apr_socket_timeout_get(socket, &timeout);
        apr_socket_timeout_set(socket, 0);
    }
    rv = apr_socket_recv(socket, to, len);
    if (block == APR_NONBLOCK_READ) {
        apr_socket_timeout_set(socket, timeout);
    }
    return rv;
}

/* Becomes a heap bucket with what was read. What fills little of a large buffer is
 * copied, so that the memory a reader keeps stays within 4 times its bytes. */
static void become_heap(apr_bucket *b, char *data, apr_size_t len, apr_size_t size)
{
    apr_bucket_heap *heap;

    if (size > SIZE_LEAST && len < size / 4) {
        apr_bucket_heap_make(b, data, len, NULL);
        apr_bucket_free(data);
        return;
    }
    heap = apr_bucket_heap_make(b, data, len, apr_bucket_free)->data;
    heap->alloc_len = size;
}

static apr_size_t next_size(apr_size_t size, apr_size_t len)
{
    if (len == size) {
        return size * 2 < SIZE_MOST ? size * 2 : SIZE_MOST;
    }
    return len >= size / 4 ? size : size / 2 > SIZE_LEAST ? size / 2 : SIZE_LEAST;
}

/* As that of APR's socket bucket: becomes what was read, and another one of its
 * kind follows; at the end of the client's data it becomes empty. */
static apr_status_t intake_read(apr_bucket *b, const char **str, apr_size_t *len,
                                apr_read_type_e block)
{
    intake *in = b->data;
    apr_size_t size = in->size;
    char *data = apr_bucket_alloc(size, b->list);
    apr_status_t rv;

    *str = NULL;
    *len = size;
    rv = receive(in->socket, data, len, block);
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        apr_bucket_free(data);
        *len = 0;
        return rv;
    }
    if (*len == 0) {
        apr_bucket_free(data);
        apr_bucket_immortal_make(b, "", 0);
        *str = b->data;
        return rv == APR_EOF && block == APR_NONBLOCK_READ ? APR_EOF : APR_SUCCESS;
    }
    in->size = next_size(size, *len);
    become_heap(b, data, *len, size);
    *str = ((apr_bucket_heap *)b->data)->base;
    APR_BUCKET_INSERT_AFTER(b, intake_create(in, b->list));
    return APR_SUCCESS;
}

static int insert_intake(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket)
{
    intake *in;

    if (c->master || !cgwm_has_groups(ap_server_conf)) {
        return AP_DECLINED;
    }
    in = apr_palloc(c->pool, sizeof(*in));
    in->socket = socket;
    in->size = SIZE_LEAST;
    APR_BRIGADE_INSERT_TAIL(bb, intake_create(in, c->bucket_alloc));
    return APR_SUCCESS;
}

void cgwm_intake_register_hooks(void)
{
    ap_hook_insert_network_bucket(insert_intake, NULL, NULL, APR_HOOK_MIDDLE);
}
