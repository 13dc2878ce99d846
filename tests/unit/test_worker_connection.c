/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/connection.h"

struct fixture {
    struct cgww_connection conn;
    struct cgw_buf to_send;
    int peer;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fds[2];

    if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        free(f);
        return -1;
    }
    f->peer = fds[1];
    *state = f;
    int rv = cgww_connection_init(&f->conn);
    cgww_connection_open(&f->conn, fds[0]);
    return rv;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    cgww_connection_destroy(&f->conn);
    cgw_buf_free(&f->to_send);
    if (f->peer >= 0) {
        close(f->peer);
    }
    free(f);
    return 0;
}

static void put_frame(struct fixture *f, uint8_t type, uint8_t flags,
                      const char *payload)
{
    size_t start = cgw_frame_open(&f->to_send, type, flags);

    cgw_buf_put(&f->to_send, payload, strlen(payload));
    cgw_frame_close(&f->to_send, start);
}

static void send_bytes(struct fixture *f, size_t n)
{
    assert_int_equal(send(f->peer, f->to_send.data, n, 0), n);
    memmove(f->to_send.data, f->to_send.data + n, f->to_send.len - n);
    f->to_send.len -= n;
}

static void send_all(struct fixture *f)
{
    send_bytes(f, f->to_send.len);
}

static enum cgww_receive receive(struct fixture *f, int wait_ms,
                                 struct cgw_frame *frame)
{
    const uint8_t *payload;
    enum cgw_wire_status why;

    return cgww_connection_request(&f->conn, wait_ms, frame, &payload, &why);
}

static void test_request_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct cgw_frame frame;

    put_frame(f, CGW_FRAME_REQUEST, CGW_FRAME_LAST, "sixteen bytes or more");
    assert_int_equal(receive(f, 0, &frame), CGWW_RECEIVE_AGAIN);
    while (f->to_send.len > 1) {
        send_bytes(f, 1);
        assert_int_equal(receive(f, 0, &frame), CGWW_RECEIVE_AGAIN);
    }
    send_all(f);
    assert_int_equal(receive(f, 1000, &frame), CGWW_RECEIVED);
    assert_int_equal(frame.length, 21);
    assert_int_equal(f->conn.body, CGWW_BODY_ENDED);
}

static void test_slow_and_closed_peers(void **state)
{
    struct fixture *f = *state;
    struct cgw_frame frame;

    assert_int_equal(receive(f, 1, &frame), CGWW_RECEIVE_CLOSED);
    close(f->peer);
    f->peer = -1;
    assert_int_equal(receive(f, 0, &frame), CGWW_RECEIVE_CLOSED);
    assert_true(cgww_connection_gone(&f->conn));
}

static void test_first_frame_must_be_a_request(void **state)
{
    struct fixture *f = *state;
    struct cgw_frame frame;

    put_frame(f, CGW_FRAME_BODY, 0, "x");
    send_all(f);
    assert_int_equal(receive(f, 0, &frame), CGWW_RECEIVE_INVALID);
}

static void begin_body(struct fixture *f)
{
    struct cgw_frame frame;

    put_frame(f, CGW_FRAME_REQUEST, 0, "");
    send_all(f);
    assert_int_equal(receive(f, 1000, &frame), CGWW_RECEIVED);
}

static void test_body_over_frames(void **state)
{
    struct fixture *f = *state;
    const uint8_t *bytes;
    uint8_t got[16];

    begin_body(f);
    assert_int_equal(cgww_body_peek(&f->conn, &bytes, false), -2);
    put_frame(f, CGW_FRAME_BODY, 0, "abc");
    put_frame(f, CGW_FRAME_BODY, 0, "");
    put_frame(f, CGW_FRAME_BODY, 0, "defg");
    put_frame(f, CGW_FRAME_BODY_END, 0, "");
    send_all(f);
    assert_int_equal(cgww_body_peek(&f->conn, &bytes, false), 3);
    cgww_body_consume(&f->conn, 1);
    assert_int_equal(cgww_body_read(&f->conn, got, 4, true), 4);
    assert_memory_equal(got, "bcde", 4);
    assert_int_equal(cgww_body_read(&f->conn, got, 16, true), 2);
    assert_int_equal(cgww_body_read(&f->conn, got, 16, true), 0);
    assert_int_equal(cgww_body_peek(&f->conn, &bytes, true), 0);
}

static void test_last_frame_ends_the_body(void **state)
{
    struct fixture *f = *state;
    uint8_t got[16];

    begin_body(f);
    put_frame(f, CGW_FRAME_BODY, CGW_FRAME_LAST, "abc");
    send_all(f);
    assert_int_equal(cgww_body_read(&f->conn, got, 16, true), 3);
    assert_int_equal(f->conn.body, CGWW_BODY_ENDED);
}

static void test_end_of_httpds_direction_breaks_the_body(void **state)
{
    struct fixture *f = *state;
    uint8_t got[16];

    begin_body(f);
    put_frame(f, CGW_FRAME_BODY, 0, "abc");
    send_all(f);
    assert_false(cgww_connection_gone(&f->conn));
    shutdown(f->peer, SHUT_WR);
    assert_true(cgww_connection_gone(&f->conn));
    assert_int_equal(cgww_body_read(&f->conn, got, 3, true), 3);
    assert_int_equal(cgww_body_read(&f->conn, got, 1, true), -1);
    assert_int_equal(cgww_body_read(&f->conn, got, 1, true), -1);
}

static void test_client_that_ended_its_direction_is_told_before_its_body_is_read(
    void **state)
{
    struct fixture *f = *state;
    uint8_t got[16];

    begin_body(f);
    put_frame(f, CGW_FRAME_BODY, CGW_FRAME_LAST, "abc");
    send_all(f);
    shutdown(f->peer, SHUT_WR);
    assert_true(cgww_connection_gone(&f->conn));
    assert_int_equal(cgww_body_read(&f->conn, got, 16, true), 3);
    assert_int_equal(cgww_body_read(&f->conn, got, 16, true), 0);
}

static void test_frame_cut_short_breaks_the_body(void **state)
{
    struct fixture *f = *state;
    uint8_t got[16];

    begin_body(f);
    put_frame(f, CGW_FRAME_BODY, CGW_FRAME_LAST, "abcdef");
    send_bytes(f, CGW_FRAME_HEADER_SIZE + 3);
    shutdown(f->peer, SHUT_WR);
    assert_int_equal(cgww_body_read(&f->conn, got, 6, true), -1);
    assert_int_equal(f->conn.body, CGWW_BODY_BROKEN);
}

#define BODY_SIZE ((size_t)4 << 20)

/* The byte at a position of the body that send_body sends. */
static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 2654435761u >> 13);
}

static size_t next_number(uint32_t *seed, size_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

/* A body in frames of all sizes, up to some that the socket does not take at once. */
static void *send_body(void *arg)
{
    const struct fixture *f = arg;
    struct cgw_buf out = {0};
    uint32_t seed = 7;

    for (size_t sent = 0, n; sent < BODY_SIZE; sent += n) {
        n = next_number(&seed, next_number(&seed, 4) == 0 ? 300000 : 20000);
        n = n < BODY_SIZE - sent ? n : BODY_SIZE - sent;
        out.len = 0;
        size_t start = cgw_frame_open(&out, CGW_FRAME_BODY,
                                      sent + n == BODY_SIZE ? CGW_FRAME_LAST : 0);
        uint8_t *to = cgw_buf_reserve(&out, n);
        for (size_t i = 0; i < n; i++) {
            to[i] = byte_at(sent + i);
        }
        out.len += n;
        cgw_frame_close(&out, start);
        for (size_t gone = 0; gone < out.len;) {
            ssize_t took = send(f->peer, out.data + gone, out.len - gone, MSG_NOSIGNAL);
            if (took < 0) {
                return NULL; /* the reader fails on what is missing */
            }
            gone += (size_t)took;
        }
    }
    cgw_buf_free(&out);
    return NULL;
}

/* Small reads go through the buffer, large ones past it, and either may begin in the
 * middle of what the other left. */
static void test_reads_of_all_sizes_give_the_body(void **state)
{
    static const size_t sizes[] = {1, 100, 5000, 16384, 65536, 200000};
    static uint8_t got[200000];
    struct fixture *f = *state;
    pthread_t sender;
    size_t done = 0;
    uint32_t seed = 11;

    begin_body(f);
    assert_int_equal(pthread_create(&sender, NULL, send_body, f), 0);
    while (f->conn.body == CGWW_BODY_MORE) {
        size_t n = sizes[next_number(&seed, sizeof(sizes) / sizeof(*sizes))];
        bool wait = next_number(&seed, 2) == 0;
        ssize_t len = cgww_body_read(&f->conn, got, n, wait);
        assert_true(len >= 0 && (size_t)len <= n);
        assert_true(!wait || (size_t)len == n || f->conn.body == CGWW_BODY_ENDED);
        for (ssize_t i = 0; i < len; i++) {
            assert_int_equal(got[i], byte_at(done + (size_t)i));
        }
        done += (size_t)len;
    }
    assert_int_equal(pthread_join(sender, NULL), 0);
    assert_int_equal(f->conn.body, CGWW_BODY_ENDED);
    assert_int_equal(done, BODY_SIZE);
}

static void test_large_read_of_a_frame_cut_short_breaks_the_body(void **state)
{
    static uint8_t got[65536];
    struct fixture *f = *state;

    begin_body(f);
    put_frame(f, CGW_FRAME_BODY, CGW_FRAME_LAST, "abcdef");
    send_bytes(f, CGW_FRAME_HEADER_SIZE + 3);
    assert_int_equal(cgww_body_read(&f->conn, got, sizeof(got), false), 3);
    shutdown(f->peer, SHUT_WR);
    assert_int_equal(cgww_body_read(&f->conn, got, sizeof(got), true), -1);
    assert_int_equal(f->conn.body, CGWW_BODY_BROKEN);
}

static void test_send_reports_a_peer_that_hung_up(void **state)
{
    struct fixture *f = *state;
    char head[] = "head", body[] = "body", got[8];
    struct cgww_output out = {.iov = {{head, 4}, {body, 4}}, .file = -1};

    assert_int_equal(cgww_connection_send(&f->conn, &out, 0), 0);
    assert_int_equal(recv(f->peer, got, 8, MSG_WAITALL), 8);
    assert_memory_equal(got, "headbody", 8);
    close(f->peer);
    f->peer = -1;
    out = (struct cgww_output){.iov = {{head, 4}}, .file = -1};
    assert_int_not_equal(cgww_connection_send(&f->conn, &out, 0), 0);
}

/* The request that runs since 7. */
static void begin_request(struct fixture *f, struct cgw_slot *slot)
{
    memset(slot, 0, sizeof(*slot));
    CGW_SLOT_SET(slot, started, 7);
    f->conn.slot = slot;
}

/* The kind of the FAIL frame that came, and nothing behind it; -1: none. */
static int received_failure(struct fixture *f)
{
    uint8_t got[64];
    ssize_t n = recv(f->peer, got, sizeof(got), 0);

    if (n <= CGW_FRAME_HEADER_SIZE) {
        return -1;
    }
    assert_int_equal(got[0], CGW_FRAME_FAIL);
    assert_int_equal(recv(f->peer, got + n, 1, 0), 0);
    return got[CGW_FRAME_HEADER_SIZE];
}

static void test_cut_is_the_last_word(void **state)
{
    struct fixture *f = *state;
    struct cgw_slot slot;
    char more[] = "more";
    struct cgww_output out = {.iov = {{more, 4}}, .file = -1};

    begin_request(f, &slot);
    assert_int_equal(cgww_connection_cut(&f->conn, 7, "why", 3), CGWW_CUT_TOLD);
    assert_int_equal(received_failure(f), CGW_FAIL_TIMEOUT);
    assert_true(cgww_connection_gone(&f->conn));
    assert_int_not_equal(cgww_connection_send(&f->conn, &out, 0), 0);
}

static void test_what_is_cut_before_it_runs_never_runs(void **state)
{
    struct fixture *f = *state;
    struct cgw_slot slot;

    begin_request(f, &slot);
    assert_int_equal(cgww_connection_cut(&f->conn, 7, "why", 3), CGWW_CUT_TOLD);
    assert_false(cgww_connection_claim(&f->conn));
    cgww_connection_open(&f->conn, f->conn.fd); /* the next one */
    assert_true(cgww_connection_claim(&f->conn));
}

static void test_cut_in_the_middle_of_a_frame_says_nothing(void **state)
{
    struct fixture *f = *state;
    struct cgw_slot slot;
    size_t size = (size_t)4 << 20;
    char *large = calloc(1, size);
    struct cgww_output out = {.iov = {{large, size}}, .file = -1};

    begin_request(f, &slot);
    assert_int_equal(cgww_connection_send(&f->conn, &out, MSG_DONTWAIT), EAGAIN);
    assert_int_equal(cgww_connection_cut(&f->conn, 7, "why", 3), CGWW_CUT_SILENT);
    for (ssize_t n = 1; n > 0;) {
        n = recv(f->peer, large, size, 0);
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(large[i], 0);
        }
    }
    free(large);
}

static void test_cut_leaves_other_requests_alone(void **state)
{
    struct fixture *f = *state;
    struct cgw_slot slot;

    begin_request(f, &slot);
    assert_int_equal(cgww_connection_cut(&f->conn, 6, "why", 3), CGWW_CUT_OVER);
    pthread_mutex_lock(&f->conn.lock);
    assert_int_equal(cgww_connection_cut(&f->conn, 7, "why", 3), CGWW_CUT_BUSY);
    pthread_mutex_unlock(&f->conn.lock);
    assert_false(cgww_connection_gone(&f->conn));
    cgww_connection_close(&f->conn);
    assert_int_equal(cgww_connection_cut(&f->conn, 7, "why", 3), CGWW_CUT_OVER);
}

static void test_a_request_is_either_run_or_returned(void **state)
{
    struct fixture *f = *state;
    struct cgw_slot slot;

    begin_request(f, &slot);
    assert_int_equal(cgww_connection_return(&f->conn, 7), CGWW_CUT_OVER);
    f->conn.repeatable = true;
    assert_true(cgww_connection_claim(&f->conn));
    assert_int_equal(cgww_connection_return(&f->conn, 7), CGWW_CUT_OVER);
    assert_false(cgww_connection_gone(&f->conn));

    cgww_connection_open(&f->conn, f->conn.fd); /* the next one */
    f->conn.repeatable = true;
    assert_int_equal(cgww_connection_return(&f->conn, 7), CGWW_CUT_TOLD);
    assert_false(cgww_connection_claim(&f->conn));
    assert_int_equal(received_failure(f), CGW_FAIL_RETURNED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_request_in_pieces),
        TEST(test_slow_and_closed_peers),
        TEST(test_first_frame_must_be_a_request),
        TEST(test_body_over_frames),
        TEST(test_last_frame_ends_the_body),
        TEST(test_end_of_httpds_direction_breaks_the_body),
        TEST(
            test_client_that_ended_its_direction_is_told_before_its_body_is_read),
        TEST(test_frame_cut_short_breaks_the_body),
        TEST(test_reads_of_all_sizes_give_the_body),
        TEST(test_large_read_of_a_frame_cut_short_breaks_the_body),
        TEST(test_send_reports_a_peer_that_hung_up),
        TEST(test_cut_is_the_last_word),
        TEST(test_what_is_cut_before_it_runs_never_runs),
        TEST(test_cut_in_the_middle_of_a_frame_says_nothing),
        TEST(test_cut_leaves_other_requests_alone),
        TEST(test_a_request_is_either_run_or_returned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
