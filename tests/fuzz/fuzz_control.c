/* SPDX-License-Identifier: Apache-2.0 */
/* What a group's process sends the supervisor: whatever arrives, a message is
 * whole and of this version, or refused, and no descriptor stays open. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgw_control.h"

static void send_bytes(int fd, const uint8_t *data, size_t size, int passed)
{
    char space[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)space;
        msg.msg_control = space;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)passed);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)passed);
        for (int i = 0; i < passed; i++) {
            memcpy(CMSG_DATA(c) + sizeof(int) * (size_t)i, &fd, sizeof(int));
        }
    }
    if (sendmsg(fd, &msg, 0) < 0) {
        abort();
    }
}

static void receive(int fd)
{
    struct cgw_message message;
    int fds[CGW_MESSAGE_MAX_FDS], pid;
    int err = cgw_message_recv(fd, &message, fds, &pid);

    if (err) {
        if (err != EPROTO && err != EPROTONOSUPPORT && err != EPIPE) {
            abort();
        }
        return;
    }
    if (message.magic != CGW_CONTROL_MAGIC || message.version != CGW_CONTROL_VERSION
        || strlen(message.text) > CGW_MESSAGE_TEXT_MAX
        || !cgw_message_name(message.type)) {
        abort();
    }
    for (int i = 0; i < CGW_MESSAGE_MAX_FDS; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static int lowest_free(void)
{
    int fd = dup(STDIN_FILENO);

    close(fd);
    return fd;
}

/* The first byte says how many descriptors come along. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2], before = lowest_free();

    if (size < 1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        return 0;
    }
    send_bytes(pair[0], data + 1, size - 1, data[0] % 9);
    receive(pair[1]);
    close(pair[0]);
    close(pair[1]);
    if (lowest_free() != before) {
        abort();    /* a descriptor leaked */
    }
    return 0;
}
