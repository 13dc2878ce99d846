/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: descriptors, credentials, malformed input. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgw_closer.h"
#include "cgw_control.h"

static int pair[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair);
}

static int close_pair(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static int count_open(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void message_carries_descriptors(void **state)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], send[2] = {0, 1};

    (void)state;
    assert_int_equal(cgw_message_send(pair[0], CGW_MSG_FORK, 7, send, 2), 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), 0);
    assert_int_equal(msg.type, CGW_MSG_FORK);
    assert_int_equal(msg.arg, 7);
    assert_true(fds[0] > 2 && fds[1] > 2);
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
}

static void sender_is_told_by_the_kernel(void **state)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], pid, on = 1;

    (void)state;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    cgw_message_send(pair[0], CGW_MSG_SERVING, 0, NULL, 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, &pid), 0);
    assert_int_equal(pid, getpid());
    assert_int_equal(fds[0], -1);
}

static void malformed_message_is_refused_and_its_descriptors_closed(void **state)
{
    struct cgw_message msg, wrong = {.magic = CGW_CONTROL_MAGIC + 1,
                                     .version = CGW_CONTROL_VERSION};
    int fds[CGW_MESSAGE_MAX_FDS], before, send[2] = {0, 1};
    int other[2];

    (void)state;
    before = count_open();
    assert_int_equal(write(pair[0], "x", 1), 1);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPROTO);
    assert_int_equal(write(pair[0], &wrong, sizeof(wrong)), sizeof(wrong));
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPROTO);
    wrong.magic = CGW_CONTROL_MAGIC;
    wrong.version = CGW_CONTROL_VERSION + 1;
    assert_int_equal(write(pair[0], &wrong, CGW_MESSAGE_FIXED), CGW_MESSAGE_FIXED);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPROTONOSUPPORT);
    assert_int_equal(cgw_message_send(pair[0], CGW_MSG_FORK, 0, send,
                                      CGW_MESSAGE_MAX_FDS + 1), EINVAL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other), 0);
    close(other[0]);
    close(other[1]);
    assert_int_equal(count_open(), before);
}

static void message_carries_a_text(void **state)
{
    struct cgw_message msg;
    char longest[CGW_MESSAGE_TEXT_MAX + 2];
    int fds[CGW_MESSAGE_MAX_FDS], send[1] = {0};

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[CGW_MESSAGE_TEXT_MAX + 1] = '\0';
    assert_int_equal(cgw_message_send_text(pair[0], CGW_MSG_WATCH, CGW_WATCH_NAME,
                                           longest, NULL, 0), EINVAL);
    longest[CGW_MESSAGE_TEXT_MAX] = '\0';
    assert_int_equal(cgw_message_send_text(pair[0], CGW_MSG_WATCH, CGW_WATCH_NAME,
                                           longest, send, 1), 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), 0);
    assert_string_equal(msg.text, longest);
    assert_true(fds[0] > 2);
    close(fds[0]);
    assert_int_equal(cgw_message_send(pair[0], CGW_MSG_SERVE, 0, NULL, 0), 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), 0);
    assert_string_equal(msg.text, "");
}

static void text_with_a_nul_or_too_long_is_refused(void **state)
{
    struct cgw_message msg, out;
    char longer[sizeof(msg) + 1] = {0};
    int fds[CGW_MESSAGE_MAX_FDS];

    (void)state;
    memset(&msg, 0, sizeof(msg));
    msg.magic = CGW_CONTROL_MAGIC;
    msg.version = CGW_CONTROL_VERSION;
    memcpy(msg.text, "a\0b", 3);
    assert_int_equal(write(pair[0], &msg, CGW_MESSAGE_FIXED + 3),
                     CGW_MESSAGE_FIXED + 3);
    assert_int_equal(cgw_message_recv(pair[1], &out, fds, NULL), EPROTO);
    memset(msg.text, 'x', sizeof(msg.text));
    memcpy(longer, &msg, sizeof(msg));
    longer[sizeof(msg)] = 'x';
    assert_int_equal(write(pair[0], longer, sizeof(longer)), sizeof(longer));
    assert_int_equal(cgw_message_recv(pair[1], &out, fds, NULL), EPROTO);
    assert_int_equal(write(pair[0], &msg, sizeof(msg)), sizeof(msg));
    assert_int_equal(cgw_message_recv(pair[1], &out, fds, NULL), EPROTO);
    assert_int_equal(write(pair[0], &msg, CGW_MESSAGE_FIXED - 1),
                     CGW_MESSAGE_FIXED - 1);
    assert_int_equal(cgw_message_recv(pair[1], &out, fds, NULL), EPROTO);
}

/* A TCP socket whose closing waits for so many seconds, since its peer does not
 * read what was sent; *peer is that one. */
static int lingering_socket(int seconds, int *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct linger linger = {.l_onoff = 1, .l_linger = seconds};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    static char bytes[65536];

    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    *peer = accept(listener, NULL, NULL);
    close(listener);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
        continue;
    }
    return fd;
}

/* As many as named, and one that lingers. */
static void pass(int nfds, int is_empty)
{
    char bytes[CMSG_SPACE(sizeof(int) * 10)] = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = is_empty ? 0 : 1};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = bytes,
                         .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
    int fds[10], peer;

    for (int i = 0; i < nfds; i++) {
        fds[i] = lingering_socket(3600, &peer);
    }
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
    assert_true(sendmsg(pair[0], &hdr, 0) >= 0);
    for (int i = 0; i < nfds; i++) {
        close(fds[i]); /* not the last one */
    }
}

/* It would wait for an hour. */
static void nobody_has_the_receiver_wait_for_closing(void **state)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS];

    (void)state;
    pass(1, 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPROTO);
    pass(10, 0);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPROTO);
    pass(2, 1);
    pass(3, 0);
    pass(9, 1);
    pass(1, 0);
    cgw_close_socket(pair[1]);
    pair[1] = dup(pair[0]); /* for the teardown */
}

/* It is no fault of the sender's. */
static void no_room_for_descriptors_is_told_apart(void **state)
{
    struct rlimit former, none;
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS], passed[2] = {0, 1}, pid = 0, before = count_open();

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &former), 0);
    none = former;
    none.rlim_cur = 3;
    for (int n = 1; n <= 2; n++) {
        assert_int_equal(cgw_message_send(pair[0], CGW_MSG_STACKS, 7, passed, n), 0);
        setrlimit(RLIMIT_NOFILE, &none);
        assert_int_equal(cgw_message_recv(pair[1], &msg, fds, &pid), EMFILE);
        setrlimit(RLIMIT_NOFILE, &former);
        assert_int_equal(msg.type, CGW_MSG_STACKS);
        assert_int_equal(count_open(), before);
    }
    assert_int_equal(send(pair[0], "garbage", 7, 0), 7);
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, &pid), EPROTO);
    setrlimit(RLIMIT_NOFILE, &former);
}

/* With the sender's credentials, and without. */
static void bytes_are_received_without_the_descriptors_that_come_along(void **state)
{
    char bytes[8];
    int fd = 0;

    (void)state;
    for (int credentials = 0; credentials <= 1; credentials++) {
        int before = count_open();
        setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &credentials, sizeof(credentials));
        assert_int_equal(send(pair[0], "abc", 3, 0), 3);
        assert_int_equal(cgw_receive_bytes(pair[1], bytes, sizeof(bytes)), 3);
        assert_memory_equal(bytes, "abc", 3);
        assert_int_equal(cgw_message_send(pair[0], CGW_MSG_STACKS, 0, &fd, 1), 0);
        assert_int_equal(cgw_receive_bytes(pair[1], bytes, sizeof(bytes)), -1);
        assert_int_equal(errno, EBADMSG);
        assert_int_equal(count_open(), before);
        assert_true(recv(pair[1], bytes, sizeof(bytes), 0) > 0);
    }
}

/* More than anybody takes the time to look through. It would wait for an hour. */
static void a_socket_with_very_much_in_it_is_closed_without_waiting(void **state)
{
    static const char bytes[8192];
    int size = 16 << 20;

    close_pair(state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0) {
        skip();
    }
    for (int i = 0; i < 400; i++) {
        assert_int_equal(send(pair[0], bytes, sizeof(bytes), 0), sizeof(bytes));
    }
    pass(1, 0);
    cgw_close_socket(pair[1]);
    pair[1] = dup(pair[0]); /* for the teardown */
}

static void empty_queue_and_end_of_file_are_told_apart(void **state)
{
    struct cgw_message msg;
    int fds[CGW_MESSAGE_MAX_FDS];

    (void)state;
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EAGAIN);
    shutdown(pair[0], SHUT_WR);
    assert_int_equal(cgw_message_recv(pair[1], &msg, fds, NULL), EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
        T(message_carries_descriptors),
        T(sender_is_told_by_the_kernel),
        T(malformed_message_is_refused_and_its_descriptors_closed),
        T(message_carries_a_text),
        T(text_with_a_nul_or_too_long_is_refused),
        T(nobody_has_the_receiver_wait_for_closing),
        T(no_room_for_descriptors_is_told_apart),
        T(bytes_are_received_without_the_descriptors_that_come_along),
        T(a_socket_with_very_much_in_it_is_closed_without_waiting),
        T(empty_queue_and_end_of_file_are_told_apart),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
