/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a worker as they arrive at the module, in any cut: nothing is read
 * beyond what came, and no body byte is lost or made up. */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apr_general.h"

#include "module/inbox.h"

static apr_pool_t *parent;
static int ends[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) {
        return 1;
    }
    return apr_pool_create(&parent, NULL) != APR_SUCCESS;
}

static volatile uint8_t sum;

/* Looks at every byte, for the sanitizer. */
static void touch(const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    }
}

/* All frames that are there. 0: the worker broke the protocol. */
static int take_frames(cgwm_inbox *inbox, apr_bucket_brigade *bb)
{
    struct cgw_frame frame;
    const uint8_t *payload;
    apr_bucket *body;
    enum cgw_wire_status status;

    while ((status = cgwm_inbox_next(inbox, &frame, &payload, &body)) == CGW_WIRE_OK) {
        if (body) {
            const char *bytes;
            apr_size_t len;
            if (frame.type != CGW_FRAME_BODY || body->length != frame.length
                || apr_bucket_read(body, &bytes, &len, APR_BLOCK_READ) != APR_SUCCESS) {
                abort();
            }
            touch(bytes, len);
            APR_BRIGADE_INSERT_TAIL(bb, body);
        }
        else if (payload) {
            touch(payload, frame.length);
        }
    }
    return status == CGW_WIRE_MORE;
}

/* The buckets outlive the inbox. */
static void touch_buckets(apr_bucket_brigade *bb)
{
    const char *bytes;
    apr_size_t len;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (apr_bucket_read(b, &bytes, &len, APR_BLOCK_READ) == APR_SUCCESS) {
            touch(bytes, len);
        }
    }
}

static void feed(cgwm_inbox *inbox, apr_bucket_brigade *bb, const uint8_t *data,
                 size_t size, size_t piece)
{
    for (size_t n; size > 0; data += n, size -= n) {
        n = size < piece ? size : piece;
        if (send(ends[0], data, n, 0) != (ssize_t)n) {
            abort();
        }
        while (cgwm_inbox_receive(inbox, ends[1]) == APR_SUCCESS) {
            if (!take_frames(inbox, bb)) {
                return;
            }
        }
    }
}

static void empty_socket(void)
{
    char rest[4096];

    while (recv(ends[1], rest, sizeof(rest), 0) > 0) {
        continue;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    conn_rec connection = {0};
    request_rec request = {.connection = &connection};
    apr_bucket_brigade *bb;
    cgwm_inbox *inbox;

    if (size == 0 || apr_pool_create(&request.pool, parent) != APR_SUCCESS) {
        return 0;
    }
    connection.pool = request.pool;
    connection.bucket_alloc = apr_bucket_alloc_create(request.pool);
    bb = apr_brigade_create(request.pool, connection.bucket_alloc);
    inbox = cgwm_inbox_create(&request);
    feed(inbox, bb, data + 1, size - 1, data[0] ? data[0] : 4096);
    cgwm_inbox_close(inbox);
    touch_buckets(bb);
    empty_socket();
    apr_pool_destroy(request.pool);
    return 0;
}
