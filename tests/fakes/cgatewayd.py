#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A supervisor and worker that says on the wire what no real one would.

Stands in for cgatewayd where the module's side of the contract is tested
against a hostile worker: it takes the configuration from httpd's parent
(include/cgw_control.h), accepts on every group's socket itself, and answers by
PATH_INFO with the bytes that RESPONSES holds. Ends with httpd's parent.
"""

import array
import contextlib
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading

MESSAGE = struct.Struct("=IHHQ")
MAGIC, VERSION = 0x31574743, 11
CONFIG, GROUP, COMMIT, ACCEPTED = 1, 2, 3, 4
BODY, BODY_END = 0x02, 0x03
HEAD, FILE, END, INTERIM, LOG, FAIL, TAKEN = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16
LAST = 1
UNKNOWN = 2**64 - 1
PATH_INFO = 4


def frame(kind, payload=b"", flags=0):
    return struct.pack("<BBHI", kind, flags, 0, len(payload)) + payload


def pair(name, value):
    return (b"\0" + struct.pack("<H", len(name)) + name
            + struct.pack("<I", len(value)) + value)


def head(status=200, reason=b"OK", length=UNKNOWN, headers=(), flags=0, kind=HEAD):
    return frame(kind, struct.pack("<HHQ", status, len(reason), length) + reason
                 + b"".join(pair(n, v) for n, v in headers), flags)


TEXT = [(b"Content-Type", b"text/plain")]
OK = head(length=3, headers=TEXT) + frame(BODY, b"ok\n", LAST)

RESPONSES = {
    "/ok": OK,
    "/unframed": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "/half-frame": head(headers=TEXT)[:10],
    "/half-body": head(length=100, headers=TEXT) + frame(BODY, b"only this"),
    "/chunked-half": head(headers=TEXT) + frame(BODY, b"only this"),
    "/short": head(length=100, headers=TEXT) + frame(BODY, b"x", LAST),
    "/long": head(length=3, headers=TEXT) + frame(BODY, b"too long", LAST),
    "/body-first": frame(BODY, b"x", LAST),
    "/end-first": frame(END),
    "/two-heads": head(headers=TEXT) + OK,
    "/status-99": head(status=99),
    "/status-101": head(status=101),
    "/status-1000": head(status=1000),
    "/split-value": head(headers=[(b"X-A", b"1\r\nX-Evil: 2")]) + frame(END),
    "/split-name": head(headers=[(b"X-A: 1\r\nX-Evil", b"2")]) + frame(END),
    "/split-reason": head(reason=b"OK\r\nX-Evil: 1") + frame(END),
    "/nul": head(headers=[(b"X-A", b"a\0b")]) + frame(END),
    "/empty-name": head(headers=[(b"", b"a")]) + frame(END),
    "/chunked-header":
        head(headers=[(b"Transfer-Encoding", b"chunked")]) + frame(END),
    "/length-header":
        head(length=3, headers=[(b"Content-Length", b"2")])
        + frame(BODY, b"ok\n", LAST),
    "/huge-length": head(length=2**63 + 5) + frame(END),
    "/wrong-type": frame(0x01, b"x" * 16),
    "/unknown-type": frame(0x77, b"x"),
    "/unknown-flag": frame(BODY, b"x", 2),
    "/length-bomb": struct.pack("<BBHI", HEAD, 0, 0, 0xffffffff),
    "/bad-pairs": frame(HEAD, struct.pack("<HHQ", 200, 0, UNKNOWN) + b"\0\xff\xff"),
    "/bad-reason": frame(HEAD, struct.pack("<HHQ", 200, 9999, UNKNOWN)),
    "/log": frame(LOG, b"\x03one\ntwo") + OK,
    "/log-bad-level": frame(LOG, b"\x63text") + OK,
    "/log-empty": frame(LOG) + OK,
    "/fail": frame(FAIL, b"\x01Traceback (most recent call last):\n  boom"),
    "/fail-empty": frame(FAIL),
    "/unavailable": frame(FAIL, b"\x04not now"),
    "/no-descriptor": head(headers=TEXT) + frame(FILE, struct.pack("<QQ", 0, 5), LAST),
    "/interim": head(status=103, reason=b"Early Hints",
                     headers=[(b"Link", b"</s.css>; rel=preload")],
                     kind=INTERIM) + OK,
    "/interim-200": head(kind=INTERIM) + OK,
    "/no-content": head(status=204, reason=b"No Content") + frame(END),
    "/no-content-body": head(status=204) + frame(BODY, b"surprise", LAST),
    "/not-modified": head(status=304, reason=b"Not Modified", length=1000,
                          headers=[(b"ETag", b'"x"')]) + frame(END),
    "/trailing": OK + b"and more",
    "/taken": frame(TAKEN) * 3 + head(headers=TEXT) + frame(TAKEN)
              + frame(BODY, b"ok\n", LAST),
    "/taken-long": frame(TAKEN, b"x") + OK,
    "/late": frame(FAIL, b"\x06"),
    "/empty-body-frames":
        head(headers=TEXT) + frame(BODY) * 50 + frame(BODY, b"ok\n") + frame(END),
    "/cookies": head(length=0, headers=[(b"Set-Cookie", b"a=1"),
                                        (b"Set-Cookie", b"b=2")], flags=LAST),
    "/early": head(length=4 << 20, headers=TEXT)
              + frame(BODY, b"x" * (1 << 20)) * 4 + frame(END),
    "/bulk": head(headers=TEXT) + frame(BODY, bytes(range(256)) * 4096) * 20
             + frame(END),
}

# What a cut, or a bit that is another one, is made of.
MIXED = (frame(LOG, b"\x06a line") + head(headers=TEXT + [(b"X-Other", b"value")])
         + frame(TAKEN)
         + frame(BODY, b"all ") + frame(BODY, b"of it\n") + frame(END))


def damaged(how, number):
    """MIXED, cut off behind so many bytes, or with that bit turned over."""
    if how == "cut":
        return MIXED[:number]
    data = bytearray(MIXED)
    data[number // 8] ^= 1 << number % 8
    return bytes(data)


def read_frame(stream):
    header = stream.read(8)
    if not header:
        return None
    kind, flags, _, length = struct.unpack("<BBHI", header)
    return kind, flags, stream.read(length)


def path_info(payload):
    pos = 28
    while pos < len(payload):
        key = payload[pos]
        pos += 1
        if key == 0:
            pos += 2 + struct.unpack_from("<H", payload, pos)[0]
        length = struct.unpack_from("<I", payload, pos)[0]
        value = payload[pos + 4:pos + 4 + length]
        pos += 4 + length
        if key == PATH_INFO:
            return value.decode("latin-1")
    return "/"


def read_body(stream, flags):
    body, last = b"", flags & LAST
    while not last:
        received = read_frame(stream)
        if received is None:
            return b"broken off after %d" % len(body)
        kind, flags, data = received
        body += data
        last = kind == BODY_END or flags & LAST
    return body


def send_file(connection, length, descriptors):
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789" * 1000)
        file.flush()
        fds = array.array("i", [file.fileno()] * descriptors)
        connection.sendall(head(length=length, headers=TEXT))
        connection.sendmsg([frame(FILE, struct.pack("<QQ", 5, length), LAST)],
                           [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])


def lingering(server):
    """A TCP socket whose close() waits for an hour, for a peer that does not read."""
    client = socket.create_connection(server.getsockname())
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return client


def send_lingering(connection, where):
    """One that lingers as a file, ten of them, or with what nobody reads any more."""
    server = socket.create_server(("127.0.0.1", 0))
    KEPT.append(server)
    number = 10 if where == "ten" else 1
    fds = array.array("i", [lingering(server).detach() for _ in range(number)])
    file = frame(FILE, struct.pack("<QQ", 0, 5), LAST)
    before = {"file": head(length=5, headers=TEXT), "ten": b"", "behind": OK}[where]
    connection.sendall(before)
    with contextlib.suppress(BrokenPipeError):  # httpd was quicker
        connection.sendmsg([file], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    for fd in fds:
        os.close(fd)    # not the last one


def answer(connection):
    stream = connection.makefile("rb")
    _, flags, payload = read_frame(stream)
    path = path_info(payload)
    if path == "/echo":
        body = read_body(stream, flags)
        connection.sendall(head(length=len(body)) + frame(BODY, body, LAST)
                           if len(body) <= 1 << 20 else
                           head() + frame(BODY, str(len(body)).encode(), LAST))
    elif path.startswith("/file"):
        send_file(connection, 20000 if path == "/file-beyond" else 5000,
                  3 if path == "/file-many" else 1)
    elif path.startswith("/lingers/"):
        send_lingering(connection, path.rpartition("/")[2])
    elif path == "/bytewise":
        for byte in OK:
            connection.sendall(bytes([byte]))
    elif path.startswith(("/cut/", "/flip/")):
        _, how, number = path.split("/")
        connection.sendall(damaged(how, int(number)))
    elif path == "/die":
        pass
    elif path == "/die-once":
        with LOCK:
            DIED.append(path)
            first = len(DIED) % 2 == 1
        if not first:
            connection.sendall(OK)
    else:
        connection.sendall(RESPONSES[path])
    connection.close()


LOCK = threading.Lock()
DIED = []
KEPT = []


def serve(listener):
    listener.setblocking(True)
    while True:
        connection = listener.accept()[0]
        threading.Thread(target=answer, args=[connection], daemon=True).start()


def main():
    control = socket.socket(fileno=3)
    listeners = {}
    while True:
        data, fds, _, _ = socket.recv_fds(control, MESSAGE.size, 4)
        if not data:
            shutil.rmtree(sys.argv[1], ignore_errors=True)
            os._exit(0)
        kind = MESSAGE.unpack(data)[2]
        if kind == GROUP:
            listener = socket.socket(fileno=fds[0])
            name = listener.getsockname()
            if name not in listeners:
                listeners[name] = listener
                threading.Thread(target=serve, args=[listener],
                                 daemon=True).start()
        elif kind == COMMIT:
            control.send(MESSAGE.pack(MAGIC, VERSION, ACCEPTED, len(listeners)))


if __name__ == "__main__":
    sys.exit(main())
