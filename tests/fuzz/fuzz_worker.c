/* SPDX-License-Identifier: Apache-2.0 */
/* A whole worker behind its socket: REQUEST, environ, body, response. Whatever
 * comes, what it says is of the wire's format, and it serves the next one.
 *
 * Input: u8 kind, u8 how many bytes of the pairs / 16, then pairs and frames of
 * the body; or, where the lowest two bits of kind are 0, raw bytes. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cgw_clock.h"
#include "cgw_scoreboard.h"
#include "cgw_wire.h"

PyMODINIT_FUNC PyInit__cgateway(void);

/* CPython frees little when it ends. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static const char set_up[] =
    "import faulthandler, os, signal, sys, threading, _cgateway\n"
    "file = os.memfd_create('stack')\n"
    "faulthandler.register(signal.SIGRTMAX - 1, file=file, all_threads=False)\n"
    "def application(environ, start_response):\n"
    "    body = environ['wsgi.input'].read(100)\n"
    "    lines = list(environ['wsgi.input'])\n"
    "    environ['wsgi.errors'].write(environ.get('QUERY_STRING', ''))\n"
    "    text = {k: v for k, v in environ.items() if isinstance(v, str)}\n"
    "    start_response(environ.get('REQUEST_URI') or '200 OK',\n"
    "                   [(k, v) for k, v in text.items() if k.startswith('HTTP_')])\n"
    "    return [body, b''.join(lines)]\n"
    "_cgateway.configure(application=application, answer=application, group='g',\n"
    "    threads=1, processes=1, max_requests=0, generation=1, listen_fd=%d,\n"
    "    owner=os.geteuid(), board_fd=%d,\n"
    "    report=lambda kind, value, tb, group: repr(value).encode('utf-8', 'replace'),\n"
    "    sendable=lambda file: None, gone_error=OSError,\n"
    "    stack_signal=signal.SIGRTMAX - 1, stack_file=file, deadlock_ms=0)\n"
    "sys.stderr = open(os.devnull, 'w')\n"
    "threading.Thread(target=_cgateway.run, daemon=True).start()\n";

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len;

static int start_listening(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1
                              + (size_t)snprintf(address.sun_path + 1, 64,
                                                 "cgateway-fuzz-%d", (int)getpid()));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, address_len) != 0
        || listen(fd, 16) != 0) {
        abort();
    }
    return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    PyPreConfig preconfig;
    char code[sizeof(set_up) + 64];

    (void)argc;
    (void)argv;
    PyPreConfig_InitIsolatedConfig(&preconfig);
    preconfig.allocator = PYMEM_ALLOCATOR_MALLOC; /* for the sanitizer */
    Py_PreInitialize(&preconfig);
    PyImport_AppendInittab("_cgateway", PyInit__cgateway);
    Py_InitializeEx(0);
    snprintf(code, sizeof(code), set_up, start_listening(), cgw_scoreboard_create(1));
    if (PyRun_SimpleString(code) != 0) {
        abort();
    }
    PyEval_SaveThread();
    return 0;
}

/* ---- the request ------------------------------------------------------------- */

static void put_request(struct cgw_buf *buf, const uint8_t *data, size_t size)
{
    uint8_t kind = data[0];
    size_t pairs = (size_t)data[1] * 16;
    struct cgw_request request = {
        .flags = (uint16_t)((kind >> 2) | (kind & 2) << 7), .id = 1,
        .sent_us = cgw_clock_us()};
    size_t start = cgw_frame_open(buf, CGW_FRAME_REQUEST,
                                  kind & 1 ? CGW_FRAME_LAST : 0);

    data += 2;
    size -= 2;
    pairs = pairs < size ? pairs : size;
    cgw_put_request(buf, &request);
    cgw_buf_put(buf, data, pairs);
    cgw_frame_close(buf, start);
    cgw_buf_put(buf, data + pairs, size - pairs);
}

/* Until the worker has read something, or said something: one that sees the end
 * first would not run the request. */
static void await_reading(int fd, size_t sent)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (int i = 0; i < 2000; i++) {
        int unread = 0;
        if (ioctl(fd, SIOCOUTQ, &unread) != 0 || unread == 0 || sent == 0
            || poll(&p, 1, 0) > 0) {
            return;
        }
        usleep(5);
    }
}

/* ---- the answer -------------------------------------------------------------- */

static void check_payload(const struct cgw_frame *frame, const uint8_t *payload)
{
    struct cgw_head head;
    struct cgw_pair pair;

    if (frame->type != CGW_FRAME_HEAD && frame->type != CGW_FRAME_INTERIM) {
        return;
    }
    if (cgw_head_decode(&head, payload, frame->length) != CGW_WIRE_OK) {
        abort();
    }
    for (size_t pos = head.pairs; pos < frame->length;) {
        if (cgw_pair_decode(&pair, payload, frame->length, &pos) != CGW_WIRE_OK) {
            abort();
        }
    }
}

static void check_answer(const uint8_t *bytes, size_t len)
{
    struct cgw_frame frame;

    while (len > 0) {
        if (cgw_frame_decode(&frame, bytes, len, CGW_FROM_WORKER) != CGW_WIRE_OK
            || len - CGW_FRAME_HEADER_SIZE < frame.length) {
            abort();
        }
        check_payload(&frame, bytes + CGW_FRAME_HEADER_SIZE);
        bytes += CGW_FRAME_HEADER_SIZE + frame.length;
        len -= CGW_FRAME_HEADER_SIZE + frame.length;
    }
}

static void receive_answer(int fd)
{
    struct cgw_buf answer = {0};
    ssize_t n;

    do {
        uint8_t *room = cgw_buf_reserve(&answer, 4096);
        n = room ? recv(fd, room, 4096, 0) : -1;
        answer.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    if (n == 0) {
        check_answer(answer.data, answer.len);
    }
    cgw_buf_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cgw_buf buf = {0};
    int fd;

    if (size < 2) {
        return 0;
    }
    if (data[0] & 3) {
        put_request(&buf, data, size);
    }
    else {
        cgw_buf_put(&buf, data + 1, size - 1);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (buf.failed || fd < 0
        || connect(fd, (struct sockaddr *)&address, address_len) != 0) {
        abort();
    }
    if (send(fd, buf.data, buf.len, MSG_NOSIGNAL) > 0) {
        await_reading(fd, buf.len);
    }
    shutdown(fd, SHUT_WR);
    receive_answer(fd);
    close(fd);
    cgw_buf_free(&buf);
    return 0;
}
