/* SPDX-License-Identifier: Apache-2.0 */

#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)64 << 10)
#define DIRECT_LEAST (BUFFER_SIZE / 4)  /* a read of less goes through the buffer */
#define BUFFER_KEEP ((size_t)256 << 10) /* a larger one is given back */

int cgww_connection_init(struct cgww_connection *conn)
{
    memset(conn, 0, sizeof(*conn));
    conn->fd = -1;
    pthread_mutex_init(&conn->lock, NULL);
    conn->data = malloc(BUFFER_SIZE);
    conn->cap = conn->data ? BUFFER_SIZE : 0;
    return conn->data ? 0 : ENOMEM;
}

void cgww_connection_destroy(struct cgww_connection *conn)
{
    cgww_connection_close(conn);
    free(conn->data);
    conn->data = NULL;
    conn->cap = 0;
}

void cgww_connection_open(struct cgww_connection *conn, int fd)
{
    pthread_mutex_lock(&conn->lock);
    conn->fd = fd;
    conn->halfway = conn->cut = false;
    atomic_store(&conn->repeatable, false);
    atomic_store(&conn->claim, CGWW_CLAIM_NONE);
    pthread_mutex_unlock(&conn->lock);
    conn->start = conn->end = 0;
    conn->frame_left = 0;
    conn->frame_last = false;
    conn->peer_known = false;
    conn->body = CGWW_BODY_MORE;
}

void cgww_connection_close(struct cgww_connection *conn)
{
    if (conn->fd >= 0) {
        pthread_mutex_lock(&conn->lock);
        close(conn->fd);
        conn->fd = -1;
        pthread_mutex_unlock(&conn->lock);
    }
    uint8_t *smaller = conn->cap > BUFFER_KEEP
                           ? realloc(conn->data, BUFFER_SIZE)
                           : NULL;
    if (smaller) {
        conn->data = smaller;
        conn->cap = BUFFER_SIZE;
    }
    conn->start = conn->end = 0;
}

static size_t buffered(const struct cgww_connection *conn)
{
    return conn->end - conn->start;
}

/* Room for `need` bytes from start on. 0 or ENOMEM. */
static int make_room(struct cgww_connection *conn, size_t need)
{
    if (conn->start > 0) {
        memmove(conn->data, conn->data + conn->start, buffered(conn));
        conn->end -= conn->start;
        conn->start = 0;
    }
    if (need <= conn->cap) {
        return 0;
    }
    uint8_t *larger = realloc(conn->data, need);
    if (!larger) {
        return ENOMEM;
    }
    conn->data = larger;
    conn->cap = need;
    return 0;
}

static void note_wait(struct cgww_connection *conn, int flags, bool waits)
{
    if (!(flags & MSG_DONTWAIT)) {
        cgww_slot_waits(conn->slot, waits);
    }
}

static void note_peer(struct cgww_connection *conn, struct msghdr *hdr)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS
            && c->cmsg_len == CMSG_LEN(sizeof(conn->peer))) {
            memcpy(&conn->peer, CMSG_DATA(c), sizeof(conn->peer));
            conn->peer_known = true;
        }
    }
}

/* With the first bytes comes who sent them (SO_PASSCRED of the dispatch). */
static ssize_t receive(struct cgww_connection *conn, void *to, size_t n, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } space;
    struct iovec iov = {to, n};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1,
                         .msg_control = space.bytes,
                         .msg_controllen = sizeof(space.bytes)};

    if (conn->peer_known) {
        return recv(conn->fd, to, n, flags);
    }
    ssize_t got = recvmsg(conn->fd, &hdr, flags | MSG_CMSG_CLOEXEC);
    if (got > 0) {
        note_peer(conn, &hdr);
    }
    return got;
}

/* One recv of at most `most` bytes into what is free of the buffer: > 0, 0 at end
 * of file or after an error, -2 when it would wait and must not. */
static ssize_t fill(struct cgww_connection *conn, size_t need, size_t most, int flags)
{
    ssize_t n;

    if (conn->start == conn->end) {
        conn->start = conn->end = 0;
    }
    if (conn->cap - conn->start < need && make_room(conn, need) != 0) {
        return 0;
    }
    size_t room = conn->cap - conn->end;
    note_wait(conn, flags, true);
    do {
        n = receive(conn, conn->data + conn->end, room < most ? room : most, flags);
    } while (n < 0 && errno == EINTR);
    note_wait(conn, flags, false);
    if (n < 0) {
        return errno == EAGAIN ? -2 : 0;
    }
    conn->end += (size_t)n;
    return n;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until bytes can be received, or the time is over (false). */
static bool await_bytes(int fd, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;

    do {
        int64_t left = until - now_ms();
        n = left > 0 ? poll(&p, 1, (int)left) : 0;
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Is the REQUEST frame complete in the buffer? *need: bytes it takes. */
static enum cgw_wire_status look_at_request(struct cgww_connection *conn,
                                            struct cgw_frame *frame,
                                            size_t *need)
{
    enum cgw_wire_status st = cgw_frame_decode(
        frame, conn->data + conn->start, buffered(conn), CGW_FROM_HTTPD);

    *need = CGW_FRAME_HEADER_SIZE;
    if (st != CGW_WIRE_OK) {
        return st;
    }
    if (frame->type != CGW_FRAME_REQUEST) {
        return CGW_WIRE_TYPE;
    }
    *need += frame->length;
    return buffered(conn) < *need ? CGW_WIRE_MORE : CGW_WIRE_OK;
}

enum cgww_receive cgww_connection_request(struct cgww_connection *conn,
                                          int wait_ms, struct cgw_frame *frame,
                                          const uint8_t **payload,
                                          enum cgw_wire_status *why)
{
    int64_t until = wait_ms > 0 ? now_ms() + wait_ms : 0;
    size_t need;

    while ((*why = look_at_request(conn, frame, &need)) == CGW_WIRE_MORE) {
        ssize_t n = fill(conn, need, SIZE_MAX, MSG_DONTWAIT);
        if (n == 0) {
            return CGWW_RECEIVE_CLOSED;
        }
        if (n == -2 && wait_ms == 0) {
            return CGWW_RECEIVE_AGAIN;
        }
        if (n == -2 && !await_bytes(conn->fd, until)) {
            return CGWW_RECEIVE_CLOSED;
        }
    }
    if (*why != CGW_WIRE_OK) {
        return CGWW_RECEIVE_INVALID;
    }
    *payload = conn->data + conn->start + CGW_FRAME_HEADER_SIZE;
    conn->start += need;
    if (frame->flags & CGW_FRAME_LAST) {
        conn->body = CGWW_BODY_ENDED;
    }
    return CGWW_RECEIVED;
}

bool cgww_connection_gone(struct cgww_connection *conn)
{
    struct pollfd p = {.fd = conn->fd, .events = POLLRDHUP};

    return conn->body == CGWW_BODY_BROKEN || conn->fd < 0
           || poll(&p, 1, 0) > 0;
}

/* Take a frame header that lies in the buffer. */
static void begin_frame(struct cgww_connection *conn)
{
    struct cgw_frame frame;
    enum cgw_wire_status st = cgw_frame_decode(
        &frame, conn->data + conn->start, buffered(conn), CGW_FROM_HTTPD);

    conn->start += CGW_FRAME_HEADER_SIZE;
    if (st == CGW_WIRE_OK && frame.type == CGW_FRAME_BODY) {
        conn->frame_left = frame.length;
        conn->frame_last = frame.flags & CGW_FRAME_LAST;
        if (conn->frame_last && conn->frame_left == 0) {
            conn->body = CGWW_BODY_ENDED;
        }
    }
    else if (st == CGW_WIRE_OK && frame.type == CGW_FRAME_BODY_END
             && frame.length == 0) {
        conn->body = CGWW_BODY_ENDED;
    }
    else {
        conn->body = CGWW_BODY_BROKEN;
    }
}

/* Go to where bytes of the body begin, receiving no more than `most` bytes on the
 * way at a time. 0, or -2 as fill(). */
static int find_bytes(struct cgww_connection *conn, size_t most, int flags)
{
    while (conn->body == CGWW_BODY_MORE && conn->frame_left == 0) {
        if (buffered(conn) >= CGW_FRAME_HEADER_SIZE) {
            begin_frame(conn);
            continue;
        }
        ssize_t n = fill(conn, CGW_FRAME_HEADER_SIZE, most, flags);
        if (n == -2) {
            return -2;
        }
        if (n == 0) {
            conn->body = CGWW_BODY_BROKEN;
        }
    }
    return 0;
}

ssize_t cgww_body_peek(struct cgww_connection *conn, const uint8_t **bytes,
                       bool wait)
{
    int flags = wait ? 0 : MSG_DONTWAIT;

    if (find_bytes(conn, SIZE_MAX, flags) == -2) {
        return -2;
    }
    if (conn->body == CGWW_BODY_MORE && buffered(conn) == 0) {
        ssize_t n = fill(conn, 1, SIZE_MAX, flags);
        if (n == -2) {
            return -2;
        }
        if (n == 0) {
            conn->body = CGWW_BODY_BROKEN;
        }
    }
    if (conn->body != CGWW_BODY_MORE) {
        return conn->body == CGWW_BODY_ENDED ? 0 : -1;
    }
    *bytes = conn->data + conn->start;
    return (ssize_t)(buffered(conn) < conn->frame_left ? buffered(conn)
                                                       : conn->frame_left);
}

static void count_down(struct cgww_connection *conn, size_t n)
{
    conn->frame_left -= (uint32_t)n;
    if (conn->frame_left == 0 && conn->frame_last) {
        conn->body = CGWW_BODY_ENDED;
    }
}

void cgww_body_consume(struct cgww_connection *conn, size_t n)
{
    conn->start += n;
    count_down(conn, n);
}

bool cgww_body_is_direct(const struct cgww_connection *conn, size_t n)
{
    return n >= DIRECT_LEAST && buffered(conn) == 0 && conn->body == CGWW_BODY_MORE;
}

/* Receive straight into the caller's memory, past the buffer, and along with the
 * end of a frame the next one's header. As fill(). */
static ssize_t read_direct(struct cgww_connection *conn, uint8_t *to, size_t n,
                           int flags)
{
    struct iovec iov[] = {{to, n}, {conn->data, CGW_FRAME_HEADER_SIZE}};
    struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 1};
    ssize_t got;

    if (n >= conn->frame_left) {
        iov[0].iov_len = n = conn->frame_left;
        hdr.msg_iovlen = conn->frame_last ? 1 : 2;
    }
    conn->start = conn->end = 0;
    note_wait(conn, flags, true);
    do {
        got = recvmsg(conn->fd, &hdr, flags);
    } while (got < 0 && errno == EINTR);
    note_wait(conn, flags, false);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN ? -2 : 0;
    }
    if ((size_t)got > n) {
        conn->end = (size_t)got - n;
        got = (ssize_t)n;
    }
    count_down(conn, (size_t)got);
    return got;
}

/* > 0, 0 at the end of the body, -1: broken off, -2 as fill(). */
static ssize_t read_buffered(struct cgww_connection *conn, uint8_t *to, size_t n,
                             bool wait)
{
    const uint8_t *bytes;
    ssize_t have = cgww_body_peek(conn, &bytes, wait);

    if (have <= 0) {
        return have;
    }
    size_t take = (size_t)have < n ? (size_t)have : n;
    memcpy(to, bytes, take);
    cgww_body_consume(conn, take);
    return (ssize_t)take;
}

/* The same, and what is not in the buffer yet does not go through it. */
static ssize_t read_directly(struct cgww_connection *conn, uint8_t *to, size_t n,
                             bool wait)
{
    int flags = wait ? 0 : MSG_DONTWAIT;
    ssize_t got;

    if (find_bytes(conn, CGW_FRAME_HEADER_SIZE, flags) == -2) {
        return -2;
    }
    if (buffered(conn) > 0 || conn->body != CGWW_BODY_MORE) {
        return read_buffered(conn, to, n, wait);
    }
    got = read_direct(conn, to, n, flags);
    if (got == 0) {
        conn->body = CGWW_BODY_BROKEN;
        return -1;
    }
    return got;
}

ssize_t cgww_body_read(struct cgww_connection *conn, uint8_t *to, size_t n, bool wait)
{
    bool direct = n >= DIRECT_LEAST;
    size_t done = 0;
    ssize_t got = 1;

    while (done < n && got > 0) {
        got = direct ? read_directly(conn, to + done, n - done, wait)
                     : read_buffered(conn, to + done, n - done, wait);
        done += got > 0 ? (size_t)got : 0;
    }
    return got == -1 ? -1 : (ssize_t)done;
}

static void attach_file(struct msghdr *hdr, char *space, size_t size, int fd)
{
    memset(space, 0, size);
    hdr->msg_control = space;
    hdr->msg_controllen = size;
    struct cmsghdr *c = CMSG_FIRSTHDR(hdr);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

static void advance(struct cgww_output *out, size_t n)
{
    for (int i = 0; i < 2 && n > 0; i++) {
        size_t step = n < out->iov[i].iov_len ? n : out->iov[i].iov_len;
        out->iov[i].iov_base = (char *)out->iov[i].iov_base + step;
        out->iov[i].iov_len -= step;
        n -= step;
    }
    out->file = -1;
}

static int send_all(struct cgww_connection *conn, struct cgww_output *out,
                    int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space;

    while (out->iov[0].iov_len + out->iov[1].iov_len > 0) {
        struct msghdr hdr = {.msg_iov = out->iov, .msg_iovlen = 2};
        if (out->file >= 0) {
            attach_file(&hdr, space.bytes, sizeof(space.bytes), out->file);
        }
        ssize_t n = sendmsg(conn->fd, &hdr, flags | MSG_NOSIGNAL);
        if (n >= 0) {
            advance(out, (size_t)n);
        }
        else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int cgww_connection_send(struct cgww_connection *conn, struct cgww_output *out,
                         int flags)
{
    int rv;

    if (conn->fd < 0) {
        return EPIPE; /* in a child of the application */
    }
    note_wait(conn, flags, true);
    pthread_mutex_lock(&conn->lock);
    rv = send_all(conn, out, flags);
    conn->halfway = out->iov[0].iov_len + out->iov[1].iov_len > 0;
    pthread_mutex_unlock(&conn->lock);
    note_wait(conn, flags, false);
    return rv;
}

/* With the lock: the last word of this request to httpd. Takes no memory: a thread of
 * the process may hang while it has the allocator's lock. */
static enum cgww_cut cut_off(struct cgww_connection *conn, enum cgw_fail_kind why,
                             const char *text, size_t len)
{
    uint8_t head[CGW_FRAME_HEADER_SIZE + 1];
    struct iovec iov[] = {{head, sizeof(head)}, {(void *)(intptr_t)text, len}};
    const struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 2};
    bool sent = false;

    cgw_frame_encode(head, CGW_FRAME_FAIL, 0, (uint32_t)len + 1);
    head[CGW_FRAME_HEADER_SIZE] = (uint8_t)why;
    if (!conn->halfway) {
        sent = sendmsg(conn->fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL)
               == (ssize_t)(sizeof(head) + len);
    }
    shutdown(conn->fd, SHUT_RDWR);
    return sent ? CGWW_CUT_TOLD : CGWW_CUT_SILENT;
}

static bool is_at(const struct cgww_connection *conn, uint64_t started)
{
    return conn->fd >= 0 && CGW_SLOT_GET(conn->slot, started) == started;
}

/* Once: false where the other one has it. */
static bool claim(struct cgww_connection *conn, enum cgww_claim what)
{
    int none = CGWW_CLAIM_NONE;

    return atomic_compare_exchange_strong(&conn->claim, &none, what);
}

enum cgww_cut cgww_connection_cut(struct cgww_connection *conn, uint64_t started,
                                  const char *text, size_t len)
{
    enum cgww_cut rv = CGWW_CUT_OVER;

    if (pthread_mutex_trylock(&conn->lock) != 0) {
        return CGWW_CUT_BUSY;
    }
    if (is_at(conn, started)) {
        conn->cut = true; /* before the claim: its thread looks without the lock */
        claim(conn, CGWW_CLAIM_GIVEN_UP); /* unless it runs */
        rv = cut_off(conn, CGW_FAIL_TIMEOUT, text, len);
    }
    pthread_mutex_unlock(&conn->lock);
    return rv;
}

enum cgww_cut cgww_connection_return(struct cgww_connection *conn,
                                     uint64_t started)
{
    enum cgww_cut rv = CGWW_CUT_OVER;

    if (pthread_mutex_trylock(&conn->lock) != 0) {
        return CGWW_CUT_BUSY;
    }
    if (is_at(conn, started) && atomic_load(&conn->repeatable)
        && claim(conn, CGWW_CLAIM_GIVEN_UP)) {
        rv = cut_off(conn, CGW_FAIL_RETURNED, "", 0);
    }
    pthread_mutex_unlock(&conn->lock);
    return rv;
}

bool cgww_connection_claim(struct cgww_connection *conn)
{
    return claim(conn, CGWW_CLAIM_RUN);
}

void cgww_connection_forget(struct cgww_connection *conn)
{
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
}
