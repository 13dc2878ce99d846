/* SPDX-License-Identifier: Apache-2.0 */
/* The codec between module and worker: round trips and hostile input. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cgw_wire.h"

static void frame_header_round_trip(void **state)
{
    uint8_t bytes[CGW_FRAME_HEADER_SIZE];
    struct cgw_frame frame;

    (void)state;
    cgw_frame_encode(bytes, CGW_FRAME_BODY, CGW_FRAME_LAST, 70000);
    assert_int_equal(cgw_frame_decode(&frame, bytes, sizeof(bytes),
                                      CGW_FROM_WORKER), CGW_WIRE_OK);
    assert_int_equal(frame.type, CGW_FRAME_BODY);
    assert_int_equal(frame.flags, CGW_FRAME_LAST);
    assert_int_equal(frame.length, 70000);
}

static enum cgw_wire_status decode(uint8_t type, uint8_t flags, uint32_t length,
                                   enum cgw_sender from)
{
    uint8_t bytes[CGW_FRAME_HEADER_SIZE];
    struct cgw_frame frame;

    cgw_frame_encode(bytes, type, flags, length);
    return cgw_frame_decode(&frame, bytes, sizeof(bytes), from);
}

static void frame_of_the_other_side_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode(CGW_FRAME_HEAD, 0, 12, CGW_FROM_HTTPD),
                     CGW_WIRE_TYPE);
    assert_int_equal(decode(CGW_FRAME_REQUEST, 0, 16, CGW_FROM_WORKER),
                     CGW_WIRE_TYPE);
    assert_int_equal(decode(0x7f, 0, 0, CGW_FROM_WORKER), CGW_WIRE_TYPE);
}

static void every_type_has_its_bound(void **state)
{
    (void)state;
#define X(sym, value, sender, longest)                                        \
    assert_int_equal(decode(value, 0, longest, CGW_FROM_##sender),            \
                     CGW_WIRE_OK);                                            \
    assert_int_equal(decode(value, 0, (longest) + 1u, CGW_FROM_##sender),     \
                     CGW_WIRE_LENGTH);
    CGW_FRAME_TABLE(X)
#undef X
}

static void unknown_flags_and_reserved_bits_are_refused(void **state)
{
    uint8_t bytes[CGW_FRAME_HEADER_SIZE];
    struct cgw_frame frame;

    (void)state;
    assert_int_equal(decode(CGW_FRAME_BODY, 0x02, 0, CGW_FROM_WORKER),
                     CGW_WIRE_FLAGS);
    assert_int_equal(decode(CGW_FRAME_LOG, CGW_FRAME_LAST, 1, CGW_FROM_WORKER),
                     CGW_WIRE_FLAGS);
    cgw_frame_encode(bytes, CGW_FRAME_BODY, 0, 0);
    bytes[3] = 1;
    assert_int_equal(cgw_frame_decode(&frame, bytes, sizeof(bytes),
                                      CGW_FROM_WORKER), CGW_WIRE_FLAGS);
}

static void short_header_wants_more(void **state)
{
    uint8_t bytes[CGW_FRAME_HEADER_SIZE] = {CGW_FRAME_BODY};
    struct cgw_frame frame;

    (void)state;
    for (size_t n = 0; n < sizeof(bytes); n++) {
        assert_int_equal(cgw_frame_decode(&frame, bytes, n, CGW_FROM_WORKER),
                         CGW_WIRE_MORE);
    }
}

static struct cgw_buf sample_request(void)
{
    struct cgw_buf buf = {0};
    struct cgw_request req = {.flags = CGW_REQUEST_HTTPS, .deadline_ms = 1500,
                              .id = 0x1122334455667788u,
                              .sent_us = 0x99aabbccddeeff00u, .queue_ms = 700};
    size_t frame = cgw_frame_open(&buf, CGW_FRAME_REQUEST, CGW_FRAME_LAST);

    cgw_put_request(&buf, &req);
    cgw_put_pair(&buf, CGW_KEY_PATH_INFO, NULL, 0, "/caf\xc3\xa9", 6);
    cgw_put_pair(&buf, CGW_KEY_LITERAL, "HTTP_X_TEST", 11, "", 0);
    cgw_frame_close(&buf, frame);
    return buf;
}

static void request_round_trip(void **state)
{
    struct cgw_buf buf = sample_request();
    const uint8_t *payload = buf.data + CGW_FRAME_HEADER_SIZE;
    size_t len = buf.len - CGW_FRAME_HEADER_SIZE;
    struct cgw_request req;
    struct cgw_pair pair;

    (void)state;
    assert_false(buf.failed);
    assert_int_equal(cgw_request_decode(&req, payload, len), CGW_WIRE_OK);
    assert_int_equal(req.deadline_ms, 1500);
    assert_true(req.id == 0x1122334455667788u);
    assert_true(req.sent_us == 0x99aabbccddeeff00u);
    assert_int_equal(req.queue_ms, 700);
    size_t pos = req.pairs;
    assert_int_equal(cgw_pair_decode(&pair, payload, len, &pos), CGW_WIRE_OK);
    assert_string_equal(pair.name, "PATH_INFO");
    assert_int_equal(pair.value_len, 6);
    assert_int_equal(cgw_pair_decode(&pair, payload, len, &pos), CGW_WIRE_OK);
    assert_int_equal(pair.id, CGW_KEY_LITERAL);
    assert_memory_equal(pair.name, "HTTP_X_TEST", 11);
    assert_int_equal(pair.value_len, 0);
    assert_int_equal(pos, len);
    cgw_buf_free(&buf);
}

static void request_of_another_version_is_refused(void **state)
{
    struct cgw_buf buf = sample_request();
    struct cgw_request req;

    (void)state;
    buf.data[CGW_FRAME_HEADER_SIZE]++;
    assert_int_equal(cgw_request_decode(&req, buf.data + CGW_FRAME_HEADER_SIZE,
                                        buf.len - CGW_FRAME_HEADER_SIZE),
                     CGW_WIRE_VERSION_UNKNOWN);
    cgw_buf_free(&buf);
}

/* Each prefix is copied to memory of its exact size, so that a read beyond it
 * is one that valgrind and the sanitizers see. */
static void truncated_pairs_are_refused(void **state)
{
    struct cgw_buf buf = sample_request();
    size_t len = buf.len - CGW_FRAME_HEADER_SIZE;
    size_t first_end = CGW_REQUEST_FIXED + 1 + 4 + 6;
    struct cgw_pair pair;

    (void)state;
    for (size_t n = CGW_REQUEST_FIXED; n < len; n++) {
        uint8_t *copy = malloc(n);
        size_t pos = CGW_REQUEST_FIXED;
        memcpy(copy, buf.data + CGW_FRAME_HEADER_SIZE, n);
        enum cgw_wire_status first = cgw_pair_decode(&pair, copy, n, &pos);
        if (n >= first_end) {
            assert_int_equal(first, CGW_WIRE_OK);
            assert_int_equal(cgw_pair_decode(&pair, copy, n, &pos),
                             CGW_WIRE_LENGTH);
        }
        else {
            assert_int_equal(first, CGW_WIRE_LENGTH);
        }
        free(copy);
    }
    cgw_buf_free(&buf);
}

static void key_beyond_the_table_is_refused(void **state)
{
    uint8_t bytes[] = {CGW_KEY_COUNT, 0, 0, 0, 0};
    struct cgw_pair pair;
    size_t pos = 0;

    (void)state;
    assert_int_equal(cgw_pair_decode(&pair, bytes, sizeof(bytes), &pos),
                     CGW_WIRE_VALUE);
    assert_null(cgw_key_name(CGW_KEY_COUNT));
    assert_null(cgw_key_name(0));
    assert_string_equal(cgw_key_name(CGW_KEY_REQUEST_METHOD), "REQUEST_METHOD");
}

static void head_round_trip_and_bounds(void **state)
{
    struct cgw_buf buf = {0};
    struct cgw_head in = {.status = 404, .reason = "Not Found",
                          .reason_len = 9, .content_length = 12};
    struct cgw_head out;

    (void)state;
    cgw_put_head(&buf, &in);
    assert_int_equal(cgw_head_decode(&out, buf.data, buf.len), CGW_WIRE_OK);
    assert_int_equal(out.status, 404);
    assert_memory_equal(out.reason, "Not Found", 9);
    assert_int_equal(out.pairs, buf.len);
    assert_int_equal(cgw_head_decode(&out, buf.data, buf.len - 1),
                     CGW_WIRE_LENGTH);
    assert_int_equal(cgw_head_decode(&out, buf.data, CGW_HEAD_FIXED - 1),
                     CGW_WIRE_LENGTH);
    buf.data[0] = 99;
    buf.data[1] = 0;
    assert_int_equal(cgw_head_decode(&out, buf.data, buf.len), CGW_WIRE_VALUE);
    cgw_buf_free(&buf);
}

static void frame_beyond_its_bound_fails_the_writer(void **state)
{
    struct cgw_buf buf = {0};
    size_t frame = cgw_frame_open(&buf, CGW_FRAME_LOG, 0);
    char *text = calloc(1, (1u << 16) + 1);

    (void)state;
    cgw_buf_put(&buf, text, (1u << 16) + 1);
    assert_false(buf.failed);
    cgw_frame_close(&buf, frame);
    assert_true(buf.failed);
    free(text);
    cgw_buf_free(&buf);
}

static void fail_kinds_have_statuses(void **state)
{
    (void)state;
    assert_int_equal(cgw_fail_status(CGW_FAIL_EXCEPTION), 500);
    assert_int_equal(cgw_fail_status(CGW_FAIL_UNAVAILABLE), 503);
    assert_int_equal(cgw_fail_status(CGW_FAIL_LATE), 503);
    assert_int_equal(cgw_fail_status(200), 502);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_header_round_trip),
        cmocka_unit_test(frame_of_the_other_side_is_refused),
        cmocka_unit_test(every_type_has_its_bound),
        cmocka_unit_test(unknown_flags_and_reserved_bits_are_refused),
        cmocka_unit_test(short_header_wants_more),
        cmocka_unit_test(request_round_trip),
        cmocka_unit_test(request_of_another_version_is_refused),
        cmocka_unit_test(truncated_pairs_are_refused),
        cmocka_unit_test(key_beyond_the_table_is_refused),
        cmocka_unit_test(head_round_trip_and_bounds),
        cmocka_unit_test(frame_beyond_its_bound_fails_the_writer),
        cmocka_unit_test(fail_kinds_have_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
