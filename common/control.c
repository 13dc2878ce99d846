/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_control.h"

#include "cgw_closer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many descriptors can come with a message. All are taken: those for which there
 * is no room would be closed by the kernel, which waits for each. */
#define SCM_MAX_FD 253

const char *cgw_message_name(unsigned type)
{
    switch (type) {
#define X(sym, value) case value: return #sym;
    CGW_MESSAGE_TABLE(X)
#undef X
    default: return "unknown";
    }
}

int cgw_message_send(int fd, enum cgw_message_type type, uint64_t arg,
                     const int *fds, int nfds)
{
    return cgw_message_send_text(fd, type, arg, "", fds, nfds);
}

int cgw_message_send_text(int fd, enum cgw_message_type type, uint64_t arg,
                          const char *text, const int *fds, int nfds)
{
    size_t len = strlen(text);
    struct cgw_message msg = {.magic = CGW_CONTROL_MAGIC,
                              .version = CGW_CONTROL_VERSION,
                              .type = (uint16_t)type,
                              .arg = arg};
    struct iovec iov = {.iov_base = &msg, .iov_len = CGW_MESSAGE_FIXED + len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * CGW_MESSAGE_MAX_FDS)];
    } ancillary;
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (nfds < 0 || nfds > CGW_MESSAGE_MAX_FDS || len > CGW_MESSAGE_TEXT_MAX) {
        return EINVAL;
    }
    memcpy(msg.text, text, len);
    if (nfds > 0) {
        size_t size = sizeof(int) * (size_t)nfds;
        memset(&ancillary, 0, sizeof(ancillary));
        hdr.msg_control = ancillary.bytes;
        hdr.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), fds, size);
    }
    do {
        n = sendmsg(fd, &hdr, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? errno : 0;
}

/* Moves the descriptors of one SCM_RIGHTS block into fds; closes those for
 * which there is no room. How many there were. */
static int take_fds(const struct cmsghdr *c, int *fds, int have)
{
    int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

    for (int i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + sizeof(int) * (size_t)i, sizeof(fd));
        if (have + i < CGW_MESSAGE_MAX_FDS) {
            fds[have + i] = fd;
        }
        else {
            cgw_close_passed(fd);
        }
    }
    return have + n;
}

/* How many descriptors came. */
static int take_ancillary(struct msghdr *hdr, int *fds, int *pid)
{
    int have = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (c->cmsg_type == SCM_RIGHTS) {
            have = take_fds(c, fds, have);
        }
        else if (c->cmsg_type == SCM_CREDENTIALS && pid) {
            struct ucred cred;
            memcpy(&cred, CMSG_DATA(c), sizeof(cred));
            *pid = cred.pid;
        }
    }
    return have;
}

static void close_all(int *fds)
{
    for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
        if (fds[i] >= 0) {
            cgw_close_passed(fds[i]);
            fds[i] = -1;
        }
    }
}

/* 0 where n bytes are a message, whose text is then terminated; or an errno. */
static int check(struct cgw_message *msg, size_t n)
{
    if (n < CGW_MESSAGE_FIXED || msg->magic != CGW_CONTROL_MAGIC) {
        return EPROTO;
    }
    if (msg->version != CGW_CONTROL_VERSION) {
        return EPROTONOSUPPORT;
    }
    msg->text[n - CGW_MESSAGE_FIXED] = '\0';
    return strlen(msg->text) == n - CGW_MESSAGE_FIXED ? 0 : EPROTO;
}

int cgw_message_recv(int fd, struct cgw_message *out,
                     int fds[CGW_MESSAGE_MAX_FDS], int *pid)
{
    struct iovec iov = {.iov_base = out,
                        .iov_len = CGW_MESSAGE_FIXED + CGW_MESSAGE_TEXT_MAX};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * SCM_MAX_FD)
                   + CMSG_SPACE(sizeof(struct ucred))];
    } ancillary;
    struct msghdr hdr = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = ancillary.bytes,
                         .msg_controllen = sizeof(ancillary.bytes)};
    ssize_t n;
    int rv, nfds;

    for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
        fds[i] = -1;
    }
    if (pid) {
        *pid = 0;
    }
    do {
        n = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == ECONNRESET ? EPIPE : errno;
    }
    nfds = take_ancillary(&hdr, fds, pid);
    if (n == 0) {
        close_all(fds);
        return EPIPE;
    }
    rv = hdr.msg_flags & MSG_TRUNC || nfds > CGW_MESSAGE_MAX_FDS
             ? EPROTO : check(out, (size_t)n);
    if (!rv && hdr.msg_flags & MSG_CTRUNC) {
        rv = EMFILE; /* there was room for as many as a message can have */
    }
    if (rv) {
        close_all(fds);
    }
    return rv;
}
