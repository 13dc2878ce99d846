/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_WIRE_H
#define CGW_WIRE_H

/*
 * The wire between an httpd child (mod_cgateway.so) and a worker.
 *
 * One Unix stream connection carries one request. Both directions are frames:
 *
 *     offset 0  u8   type     enum cgw_frame_type
 *            1  u8   flags    CGW_FRAME_LAST or 0
 *            2  u16  reserved, must be 0
 *            4  u32  length   of the payload that follows, bounded per type
 *
 * All integers are little endian. httpd -> worker:
 *
 *     REQUEST (BODY* BODY_END)
 *
 * REQUEST with CGW_FRAME_LAST has no body and no BODY_END follows; BODY with
 * CGW_FRAME_LAST stands for BODY + BODY_END. httpd ends its direction
 * (shutdown) when the client has ended its own or broke off the body, which
 * the worker sees whatever is still unread: before BODY_END the body is not
 * whole, behind it the client has probably gone. A worker that sees it before
 * it has read anything does not run the request. worker -> httpd:
 *
 *     TAKEN? (LOG | INTERIM)* SERVED? (HEAD (BODY | FILE | LOG)* END | FAIL)
 *
 * TAKEN comes first where CGW_REQUEST_TELL asks for it: from there on the
 * request runs. httpd asks where the end of what it sent being read does not
 * show it.
 *
 * HEAD or BODY or FILE with CGW_FRAME_LAST stands for itself + END. A
 * connection that ends without END (or LAST) is a truncated response. FAIL
 * may also come after HEAD: the response is truncated for the reason named.
 *
 * This header and common/wire.c depend on libc only.
 */

#include <stddef.h>
#include <stdint.h>

#ifndef CGW_WIRE_VERSION /* tests build another one */
#define CGW_WIRE_VERSION 7
#endif
/* How the names of groups' sockets end: ".sock7". Two versions that cannot talk to
 * each other have different ones: httpd's children and workers of both are there
 * for a while after an upgrade. */
#define CGW_WIRE_SOCKET ".sock" CGW_WIRE_TEXT(CGW_WIRE_VERSION)
#define CGW_WIRE_TEXT(number) CGW_WIRE_TEXT_OF(number)
#define CGW_WIRE_TEXT_OF(number) #number
#define CGW_FRAME_HEADER_SIZE 8
#define CGW_FRAME_LAST 0x01

/* X(symbol, value, sender, longest payload in bytes) */
#define CGW_FRAME_TABLE(X)                                                    \
    X(REQUEST,  0x01, HTTPD,  4u << 20)  /* cgw_request, then the pairs */    \
    X(BODY,     0x02, BOTH,   1u << 20)  /* bytes */                          \
    X(BODY_END, 0x03, HTTPD,  0)                                              \
    X(HEAD,     0x10, WORKER, 1u << 20)  /* cgw_head, then reason, pairs */   \
    X(FILE,     0x11, WORKER, 16)        /* u64 offset, u64 length; the file  \
                                            comes by SCM_RIGHTS, before or    \
                                            with this frame's first byte */   \
    X(END,      0x12, WORKER, 0)                                              \
    X(INTERIM,  0x13, WORKER, 1u << 16)  /* as HEAD, status 100..199 */       \
    X(LOG,      0x14, WORKER, 1u << 16)  /* u8 enum cgw_log_level, text */    \
    X(FAIL,     0x15, WORKER, 1u << 18)  /* u8 enum cgw_fail_kind, text; NUL, \
                                            text for CGatewayDebug alone */   \
    X(TAKEN,    0x16, WORKER, 0)                                              \
    X(SERVED,   0x17, WORKER, 16)        /* u32 pid, u32 generation, u64 us   \
                                            that it waited for the worker */

enum cgw_frame_type {
#define X(sym, value, sender, longest) CGW_FRAME_##sym = value,
    CGW_FRAME_TABLE(X)
#undef X
};

enum cgw_sender { CGW_FROM_HTTPD = 1, CGW_FROM_WORKER = 2, CGW_FROM_BOTH = 3 };

/* Levels of LOG: those of syslog and httpd (APLOG_EMERG 0 .. APLOG_DEBUG 7). */
enum cgw_log_level {
    CGW_LOG_CRIT = 2, CGW_LOG_ERR = 3, CGW_LOG_WARNING = 4,
    CGW_LOG_NOTICE = 5, CGW_LOG_INFO = 6, CGW_LOG_DEBUG = 7
};

/* X(symbol, value, status if no HEAD was sent, name) */
#define CGW_FAIL_TABLE(X)                                                     \
    X(EXCEPTION,   1, 500, "the application raised an exception")             \
    X(RESPONSE,    2, 500, "the application's response is invalid")           \
    X(PROTOCOL,    3, 502, "the request frame was not understood")            \
    X(UNAVAILABLE, 4, 503, "no worker could be started")                      \
    X(ABORTED,     5, 400, "the client has gone")                             \
    X(LATE,        6, 503, "no worker was free in time")                      \
    X(TIMEOUT,     7, 504, "the application did not answer in time")          \
    X(RETURNED,    8, 503, "the worker does not come to run it")

enum cgw_fail_kind {
#define X(sym, value, status, name) CGW_FAIL_##sym = value,
    CGW_FAIL_TABLE(X)
#undef X
};

/* status for a FAIL kind, 502 for one that is not in the table */
int cgw_fail_status(unsigned kind);
const char *cgw_fail_name(unsigned kind);

struct cgw_frame {
    uint8_t type;
    uint8_t flags;
    uint32_t length;
};

enum cgw_wire_status {
    CGW_WIRE_OK = 0,
    CGW_WIRE_MORE,      /* not enough bytes yet */
    CGW_WIRE_TYPE,      /* unknown type, or not one this side may send */
    CGW_WIRE_FLAGS,     /* unknown flag, or reserved bits set */
    CGW_WIRE_LENGTH,    /* payload longer than its type allows, or short */
    CGW_WIRE_VERSION_UNKNOWN,
    CGW_WIRE_VALUE      /* a field is out of range */
};
const char *cgw_wire_strerror(enum cgw_wire_status status);

/* Decode and check a frame header of CGW_FRAME_HEADER_SIZE bytes sent by
 * `from`. */
enum cgw_wire_status cgw_frame_decode(struct cgw_frame *out,
                                      const uint8_t *bytes, size_t len,
                                      enum cgw_sender from);
/* The longest payload of a type of the table; 0 for another. */
uint32_t cgw_frame_longest(uint8_t type);
/* Encode a header into 8 bytes. */
void cgw_frame_encode(uint8_t *bytes, uint8_t type, uint8_t flags,
                      uint32_t length);

/* ---- pairs -------------------------------------------------------------
 *
 * A pair is  u8 key id, [u16 key length, key bytes]  u32 value length, value
 * bytes.  Key id 0 means the key is spelled out; another id is an index into
 * CGW_KEY_TABLE and no key bytes follow. HEAD's pairs always spell the key.
 */

/* environ keys that nearly every request has. Append only: the position is
 * the id (from 1), and CGW_WIRE_VERSION changes with this table. */
#define CGW_KEY_TABLE(X)                                                      \
    X(REQUEST_METHOD) X(REQUEST_URI) X(SCRIPT_NAME) X(PATH_INFO)              \
    X(QUERY_STRING) X(SERVER_PROTOCOL) X(REQUEST_SCHEME)                      \
    X(SERVER_NAME) X(SERVER_PORT) X(SERVER_ADDR) X(SERVER_SOFTWARE)           \
    X(SERVER_SIGNATURE) X(SERVER_ADMIN) X(DOCUMENT_ROOT)                      \
    X(CONTEXT_PREFIX) X(CONTEXT_DOCUMENT_ROOT) X(GATEWAY_INTERFACE)           \
    X(REMOTE_ADDR) X(REMOTE_PORT) X(REMOTE_HOST) X(REMOTE_USER) X(AUTH_TYPE)  \
    X(SCRIPT_FILENAME) X(PATH_TRANSLATED) X(CONTENT_TYPE) X(CONTENT_LENGTH)   \
    X(HTTP_HOST) X(HTTP_USER_AGENT) X(HTTP_ACCEPT) X(HTTP_ACCEPT_ENCODING)    \
    X(HTTP_ACCEPT_LANGUAGE) X(HTTP_CONNECTION) X(HTTP_COOKIE)                 \
    X(HTTP_REFERER) X(HTTP_CACHE_CONTROL) X(HTTP_ORIGIN)                      \
    X(HTTP_AUTHORIZATION) X(HTTP_IF_NONE_MATCH) X(HTTP_IF_MODIFIED_SINCE)     \
    X(HTTP_UPGRADE_INSECURE_REQUESTS) X(HTTP_X_FORWARDED_FOR)                 \
    X(HTTP_X_FORWARDED_PROTO) X(HTTP_X_REQUESTED_WITH)                        \
    X(HTTP_TRANSFER_ENCODING) X(HTTPS) X(PATH) X(UNIQUE_ID)

enum cgw_key {
    CGW_KEY_LITERAL = 0,
#define X(name) CGW_KEY_##name,
    CGW_KEY_TABLE(X)
#undef X
    CGW_KEY_COUNT
};
/* name of a key id in 1..CGW_KEY_COUNT-1 */
const char *cgw_key_name(unsigned id);

struct cgw_pair {
    uint8_t id;             /* enum cgw_key; 0: name points into the payload */
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

/* Reads what lies at *pos of payload[0..len); moves *pos past it. The caller
 * stops when *pos == len. Never reads past len. */
enum cgw_wire_status cgw_pair_decode(struct cgw_pair *out,
                                     const uint8_t *payload, size_t len,
                                     size_t *pos);

/* ---- REQUEST -----------------------------------------------------------
 * u16 version, u16 flags, u32 deadline in ms (0: none), u64 id, u64 when httpd
 * sent it (us of CLOCK_MONOTONIC), u32 how long it may wait for a worker in ms
 * (0: for ever; a worker that reads it later answers FAIL LATE and does not run
 * it), then pairs */
#define CGW_REQUEST_FIXED 28
#define CGW_REQUEST_HAS_BODY   0x0001  /* BODY frames will follow */
#define CGW_REQUEST_HTTPS      0x0002  /* wsgi.url_scheme is https */
#define CGW_REQUEST_HEAD_ONLY  0x0004  /* only the head of the response is used */
#define CGW_REQUEST_SENDFILE   0x0008  /* FILE frames are welcome */
#define CGW_REQUEST_CONTINUE   0x0010  /* the client holds the body back until it
                                          gets INTERIM 100 */
#define CGW_REQUEST_TELL       0x0020  /* answer TAKEN before it runs */
#define CGW_REQUEST_ASK        0x0040  /* not for the application: the pairs
                                          cgateway.ask* say what for, a password
                                          is the body (worker's _auth.py) */
#define CGW_REQUEST_OFFLOAD    0x0080  /* a HEAD with X-Sendfile needs no body */
#define CGW_REQUEST_DEBUG      0x0100  /* FAIL tells of the process, behind a NUL */
#define CGW_REQUEST_REPEATABLE 0x0200  /* FAIL RETURNED is welcome: it has not
                                          run, and another worker may */

struct cgw_request {
    uint16_t flags;
    uint32_t deadline_ms;
    uint64_t id;
    uint64_t sent_us;
    uint32_t queue_ms;
    size_t pairs;           /* position of the first pair in the payload */
};
enum cgw_wire_status cgw_request_decode(struct cgw_request *out,
                                        const uint8_t *payload, size_t len);

/* ---- HEAD and INTERIM --------------------------------------------------
 * u16 status, u16 reason length, u64 content length (CGW_LENGTH_UNKNOWN),
 * reason, then pairs */
#define CGW_HEAD_FIXED 12
#define CGW_LENGTH_UNKNOWN UINT64_MAX

struct cgw_head {
    uint16_t status;
    const char *reason;
    size_t reason_len;
    uint64_t content_length;
    size_t pairs;
};
enum cgw_wire_status cgw_head_decode(struct cgw_head *out,
                                     const uint8_t *payload, size_t len);

/* ---- writing ----------------------------------------------------------
 * A growing buffer owned by its user; memory comes from malloc. After a
 * failed allocation `failed` stays set and further puts do nothing, so a
 * writer checks once, at the end. */
struct cgw_buf {
    uint8_t *data;
    size_t len, cap;
    int failed;
};
void cgw_buf_free(struct cgw_buf *buf);
/* room for n more bytes: pointer to them (len not moved), or NULL */
uint8_t *cgw_buf_reserve(struct cgw_buf *buf, size_t n);
void cgw_buf_put(struct cgw_buf *buf, const void *bytes, size_t n);
void cgw_put_u16(struct cgw_buf *buf, uint16_t v);
void cgw_put_u32(struct cgw_buf *buf, uint32_t v);
void cgw_put_u64(struct cgw_buf *buf, uint64_t v);
/* pair with a key of the table, or (id 0) with the key spelled out */
void cgw_put_pair(struct cgw_buf *buf, unsigned id, const char *name,
                  size_t name_len, const char *value, size_t value_len);
/* Start a frame: writes the header with length 0 and returns its position,
 * which cgw_frame_close takes to fill in the length. cgw_frame_close sets
 * `failed` where the payload is longer than the type allows. */
size_t cgw_frame_open(struct cgw_buf *buf, uint8_t type, uint8_t flags);
void cgw_frame_close(struct cgw_buf *buf, size_t start);
void cgw_put_request(struct cgw_buf *buf, const struct cgw_request *req);
void cgw_put_head(struct cgw_buf *buf, const struct cgw_head *head);

uint16_t cgw_get_u16(const uint8_t *p);
uint32_t cgw_get_u32(const uint8_t *p);
uint64_t cgw_get_u64(const uint8_t *p);

#endif
