/* SPDX-License-Identifier: Apache-2.0 */

#include "backlog.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct question {
    struct nlmsghdr header;
    struct unix_diag_req request;
};

static int ask(int fd, ino_t inode)
{
    struct question q = {
        .header = {.nlmsg_len = sizeof(q), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX, .udiag_states = ~0U,
                    .udiag_ino = (uint32_t)inode, .udiag_show = UDIAG_SHOW_RQLEN,
                    .udiag_cookie = {~0U, ~0U}}};

    return send(fd, &q, sizeof(q), 0) == (ssize_t)sizeof(q);
}

/* The kernel answers before send() returns. */
static int read_answer(int fd)
{
    union {
        struct nlmsghdr header;
        char bytes[2048];
    } buf;
    ssize_t n = recv(fd, &buf, sizeof(buf), MSG_DONTWAIT);
    const struct unix_diag_msg *message = NLMSG_DATA(&buf.header);
    const struct rtattr *attribute = (const struct rtattr *)(message + 1);
    int left;

    if (n < (ssize_t)NLMSG_SPACE(sizeof(*message))
        || buf.header.nlmsg_type != SOCK_DIAG_BY_FAMILY
        || buf.header.nlmsg_len > (size_t)n) {
        return -1;
    }
    left = (int)(buf.header.nlmsg_len - NLMSG_SPACE(sizeof(*message)));
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == UNIX_DIAG_RQLEN
            && RTA_PAYLOAD(attribute) >= sizeof(struct unix_diag_rqlen)) {
            const struct unix_diag_rqlen *length = RTA_DATA(attribute);
            return (int)length->udiag_rqueue;
        }
    }
    return -1;
}

int cgwd_backlog(int listener)
{
    struct stat st;
    int fd, n = -1;

    if (fstat(listener, &st) < 0) {
        return -1;
    }
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) {
        return -1;
    }
    if (ask(fd, st.st_ino)) {
        n = read_answer(fd);
    }
    close(fd);
    return n;
}
