# SPDX-License-Identifier: Apache-2.0
"""HTTP clients of the tests: a civil one and one that sends any bytes."""

import dataclasses
import http.client
import io
import json
import socket


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Connection:
    """A keep-alive connection to one virtual host."""

    def __init__(self, port, host, timeout, tls=None):
        self.host = host
        if tls:
            self.http = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout,
                                                    context=tls)
        else:
            self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def request(self, path, method="GET", body=None, headers=(), chunked=False):
        fields = {"Host": self.host, **dict(headers)}
        self.http.request(method, path, body, fields, encode_chunked=chunked)
        answer = self.http.getresponse()
        return Response(answer.status, answer.reason, answer.headers, answer.read())

    def get(self, path, headers=()):
        return self.request(path, headers=headers)

    def close(self):
        self.http.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Raw:
    """A socket: what a test sends is sent, what comes is kept."""

    def __init__(self, port, timeout):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.received = b""

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, path, body=None, close=True):
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: a.example\r\n"
        if close:
            head += "Connection: close\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(f"{head}\r\n".encode() + (body or b""))

    def receive_until(self, mark):
        """Everything received so far, once mark is in it or the peer has closed."""
        while mark not in self.received:
            data = self.socket.recv(65536)
            if not data:
                break
            self.received += data
        return self.received

    def receive_all(self):
        """(bytes, whether the connection was reset instead of closed)"""
        parts, was_reset = [self.received], False
        try:
            while data := self.socket.recv(1 << 20):
                parts.append(data)
        except ConnectionResetError:
            was_reset = True
        self.received = b"".join(parts)
        return self.received, was_reset

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Received(io.BytesIO):
    """What a connection brought, for http.client to read answer after answer."""

    def makefile(self, *_):
        return self

    def close(self):
        """HTTPResponse closes its file after each answer; the next one follows."""


def answers(received, *methods):
    """(status, body) of each answer; the body is None where it breaks off. Bytes that
    are left over and are no answer are an error."""
    stream = Received(received)
    told = []
    for method in methods:
        if stream.tell() == len(received):
            break
        answer = http.client.HTTPResponse(stream, method=method)
        answer.begin()
        try:
            told.append((answer.status, answer.read()))
        except http.client.IncompleteRead:
            told.append((answer.status, None))
    assert stream.tell() == len(received), "bytes that belong to no answer"
    return told
