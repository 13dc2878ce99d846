/* SPDX-License-Identifier: Apache-2.0 */

#include "inbox.h"

#include <errno.h>
#include <sys/socket.h>
#include "cgw_closer.h"

/* So many descriptors can come with a message. All are taken: those for which there
 * is no room would be closed by the kernel, which waits for each. */
#define SCM_MAX_FD 253
/* The first block suits a page, the later ones a download. */
#define FIRST_BLOCK 8000
#define LATER_BLOCK (64 * 1024)
/* Receive into what is left of a block as long as this much is. */
#define WORTH_FILLING 1024

struct cgwm_inbox {
    apr_bucket_alloc_t *alloc;
    apr_bucket *shared;     /* heap bucket over block once parts were handed
                               out as buckets, else NULL */
    uint8_t *block;
    apr_size_t cap, len, pos;
    apr_size_t body_left;   /* of the BODY frame being received */
    uint8_t body_flags;
    int fd;                 /* descriptor received and not yet taken */
    int narrow;             /* the kernel had to drop one */
};

cgwm_inbox *cgwm_inbox_create(request_rec *r)
{
    cgwm_inbox *in = apr_pcalloc(r->pool, sizeof(*in));

    in->alloc = r->connection->bucket_alloc;
    in->fd = -1;
    return in;
}

static void release_block(cgwm_inbox *in)
{
    if (in->shared) {
        apr_bucket_destroy(in->shared);
    }
    else if (in->block) {
        apr_bucket_free(in->block);
    }
    in->shared = NULL;
    in->block = NULL;
    in->cap = in->len = in->pos = 0;
}

void cgwm_inbox_close(cgwm_inbox *in)
{
    release_block(in);
    if (in->fd >= 0) {
        cgw_close_passed(in->fd);
        in->fd = -1;
    }
}

void cgwm_inbox_reset(cgwm_inbox *in)
{
    cgwm_inbox_close(in);
    in->body_left = 0;
    in->body_flags = 0;
    in->narrow = 0;
}

int cgwm_inbox_take_fd(cgwm_inbox *in)
{
    int fd = in->fd;

    in->fd = -1;
    return fd;
}

int cgwm_inbox_is_narrow(const cgwm_inbox *in)
{
    return in->narrow;
}

/* A new block with room for `room` bytes, what is unread moved into it. */
static void new_block(cgwm_inbox *in, apr_size_t room)
{
    apr_size_t unread = in->len - in->pos;
    apr_size_t cap = in->cap ? LATER_BLOCK : FIRST_BLOCK;
    uint8_t *block;

    if (cap < unread + room) {
        cap = unread + room;
    }
    block = apr_bucket_alloc(cap, in->alloc);
    if (unread) {
        memcpy(block, in->block + in->pos, unread);
    }
    release_block(in);
    in->block = block;
    in->cap = cap;
    in->len = unread;
}

/* Bytes that the frame at pos needs, beyond those that are there. */
static apr_size_t missing(const cgwm_inbox *in)
{
    apr_size_t unread = in->len - in->pos;
    apr_size_t need = CGW_FRAME_HEADER_SIZE;

    if (in->body_left == 0 && unread >= CGW_FRAME_HEADER_SIZE
        && in->block[in->pos] != CGW_FRAME_BODY) {
        need += cgw_get_u32(in->block + in->pos + 4);
    }
    return need > unread ? need - unread : 0;
}

static void make_room(cgwm_inbox *in)
{
    apr_size_t want = missing(in);

    if (!in->shared && in->pos == in->len) {
        in->pos = in->len = 0; /* nobody refers to the block: use it again */
    }
    if (want < WORTH_FILLING) {
        want = WORTH_FILLING;
    }
    if (in->cap - in->len < want) {
        new_block(in, want);
    }
}

/* Keeps one descriptor; a worker has no business sending more. */
static void take_fds(cgwm_inbox *in, struct msghdr *hdr)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len;
             at += sizeof(int)) {
            int fd;
            memcpy(&fd, (const char *)c + at, sizeof(fd));
            if (in->fd >= 0) {
                cgw_close_passed(in->fd);
            }
            in->fd = fd;
        }
    }
}

apr_status_t cgwm_inbox_receive(cgwm_inbox *in, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * SCM_MAX_FD)];
    } ancillary;
    struct iovec iov;
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1,
                         .msg_control = ancillary.bytes,
                         .msg_controllen = sizeof(ancillary.bytes)};
    ssize_t n;

    make_room(in);
    iov.iov_base = in->block + in->len;
    iov.iov_len = in->cap - in->len;
    do {
        n = recvmsg(fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno;
    }
    if (hdr.msg_controllen > 0) {
        take_fds(in, &hdr);
    }
    in->narrow |= (hdr.msg_flags & MSG_CTRUNC) != 0;
    if (n == 0) {
        return APR_EOF;
    }
    in->len += (apr_size_t)n;
    return APR_SUCCESS;
}

static apr_bucket *body_part(cgwm_inbox *in, struct cgw_frame *frame)
{
    apr_size_t n = in->len - in->pos;
    apr_bucket *b;

    if (n > in->body_left) {
        n = in->body_left;
    }
    if (!in->shared) {
        in->shared = apr_bucket_heap_create((char *)in->block, in->cap,
                                            apr_bucket_free, in->alloc);
    }
    apr_bucket_copy(in->shared, &b);
    b->start = (apr_off_t)in->pos;
    b->length = n;
    in->pos += n;
    in->body_left -= n;
    frame->type = CGW_FRAME_BODY;
    frame->length = (uint32_t)n;
    frame->flags = in->body_left == 0 ? in->body_flags : 0;
    return b;
}

enum cgw_wire_status cgwm_inbox_next(cgwm_inbox *in, struct cgw_frame *frame,
                                     const uint8_t **payload,
                                     apr_bucket **body)
{
    const uint8_t *at = in->block + in->pos;
    apr_size_t unread = in->len - in->pos;
    enum cgw_wire_status status;

    *body = NULL;
    *payload = NULL;
    if (in->body_left > 0) {
        if (unread == 0) {
            return CGW_WIRE_MORE;
        }
        *body = body_part(in, frame);
        return CGW_WIRE_OK;
    }
    if (unread == 0) {
        return CGW_WIRE_MORE;
    }
    status = cgw_frame_decode(frame, at, unread, CGW_FROM_WORKER);
    if (status != CGW_WIRE_OK) {
        return status;
    }
    if (frame->type == CGW_FRAME_BODY && frame->length > 0) {
        in->pos += CGW_FRAME_HEADER_SIZE;
        in->body_left = frame->length;
        in->body_flags = frame->flags;
        return cgwm_inbox_next(in, frame, payload, body);
    }
    if (unread - CGW_FRAME_HEADER_SIZE < frame->length) {
        return CGW_WIRE_MORE;
    }
    *payload = at + CGW_FRAME_HEADER_SIZE;
    in->pos += CGW_FRAME_HEADER_SIZE + frame->length;
    return CGW_WIRE_OK;
}
