# SPDX-License-Identifier: Apache-2.0
"""Answers in the way that the path names, and counts calls of close()."""

import io
import json
import os
import tempfile

CLOSED = []


class Body:
    """An iterable with a close() that is counted under its path."""

    def __init__(self, path, items):
        self.path = path
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self):
        CLOSED.append(self.path)


def text(start_response, status="200 OK", *headers):
    start_response(status, [("Content-Type", "text/plain"), *headers])


def real_file(size):
    file = tempfile.TemporaryFile()
    file.write(b"f" * size)
    file.seek(0)
    return file


def respond(environ, start_response):
    path = environ["PATH_INFO"]
    wrapper = environ["wsgi.file_wrapper"]
    if path == "/closed":
        text(start_response)
        return [json.dumps(CLOSED).encode()]
    if path == "/one":
        text(start_response)
        return [b"one chunk"]
    if path == "/empty":
        text(start_response)
        return []
    if path == "/tuple":
        text(start_response)
        return (b"a", b"b")
    if path == "/bytes":
        text(start_response)
        return b"abc"
    if path == "/204":
        start_response("204 No Content", [])
        return Body(path, [])
    if path == "/204-body":
        start_response("204 No Content", [])
        return Body(path, [b"must not be sent"])
    if path == "/304":
        start_response("304 Not Modified", [("ETag", '"x"')])
        return Body(path, [])
    if path == "/head":
        text(start_response, "200 OK", ("Content-Length", "1000"))
        return Body(path, [] if environ["REQUEST_METHOD"] == "HEAD" else [b"x" * 1000])
    if path == "/head-careless":
        text(start_response)
        return Body(path, [b"x" * 1000])
    if path == "/status":
        text(start_response, environ["QUERY_STRING"].replace("+", " "))
        return [b"the application's own page"]
    if path == "/closing":
        text(start_response)
        return Body(path, [b"a", b"b"])
    if path == "/closing-raise":
        text(start_response)
        return Body(path, [b"a", ValueError("in the middle")])
    if path == "/closing-raise-first":
        text(start_response)
        return Body(path, [ValueError("at once")])
    if path == "/file":
        text(start_response)
        return wrapper(real_file(300000))
    if path == "/file-part":
        file = real_file(300000)
        file.seek(299990)
        text(start_response)
        return wrapper(file, 10)
    if path == "/file-length":
        text(start_response, "200 OK", ("Content-Length", "10"))
        return wrapper(real_file(300000))
    if path == "/file-memory":
        text(start_response)
        return wrapper(io.BytesIO(b"m" * 50000))
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return Body(path, [b"returned"])
    if path == "/errors":
        environ["wsgi.errors"].write("a line\nanother ")
        environ["wsgi.errors"].write("line\n")
        print("on stdout", flush=True)
        text(start_response)
        return [b"ok"]
    if path == "/pid":
        text(start_response)
        return [str(os.getpid()).encode()]
    if path == "/header":
        start_response("200 OK", BAD_HEADERS[environ["QUERY_STRING"]])
        return [b"must not be sent"]
    if path == "/bad-status":
        start_response(BAD_STATUS[environ["QUERY_STRING"]], [])
        return [b"must not be sent"]
    if path == "/bad-body":
        text(start_response)
        return BAD_BODIES[environ["QUERY_STRING"]]
    if path == "/no-start":
        return [b"without start_response"]
    if path == "/twice":
        text(start_response)
        text(start_response)
        return [b"must not be sent"]
    raise LookupError(path)


BAD_HEADERS = {
    "split": [("X-A", "1\r\nX-Evil: 2")],
    "newline": [("X-A", "1\n2")],
    "split-name": [("X-A\r\nX-Evil", "1")],
    "colon": [("X-A: 1", "1")],
    "empty-name": [("", "1")],
    "nul": [("X-A", "a\0b")],
    "wide": [("X-A", "\u20ac")],
    "bytes": [("X-A", b"1")],
    "number": [("Content-Length", 5)],
    "length": [("Content-Length", "five")],
    "negative": [("Content-Length", "-1")],
    "lengths": [("Content-Length", "1"), ("Content-Length", "2")],
    "triple": [("X-A", "1", "2")],
    "tuple": (("X-A", "1"),),
    "list": [["X-A", "1"]],
}
BAD_STATUS = {"split": "200 OK\r\nX-Evil: 1", "short": "20", "word": "OK", "number": 200,
              "bytes": b"200 OK", "wide": "200 \u20ac", "low": "099 Low"}
BAD_BODIES = {"str": ["text"], "number": [1], "none": None, "not-iterable": 5}


def application(environ, start_response):
    return respond(environ, start_response)
