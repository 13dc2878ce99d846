# SPDX-License-Identifier: Apache-2.0
"""Uses all of PEP 3333 below wsgiref's validator, which raises AssertionError, so
that the client sees a 500, wherever server or application breaks the rules.

One thing that the validator forbids is right by the specification's errata and is
therefore tested elsewhere: wsgi.input.read() without a size.
"""

import io
import sys
from wsgiref.validate import validator


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"plain\n"]


def several(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one ", b"", b"two ", b"three\n"]


def generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(5):
        yield b"%d," % number


def late_start(environ, start_response):
    """start_response only runs with the first item."""
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Late", "yes")])
    yield b"late\n"


def written(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"first ")
    write(b"second ")
    return [b"third\n"]


def replaced(environ, start_response):
    """Another response with exc_info, before anything was sent."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "1")])
    try:
        raise ValueError("on purpose")
    except ValueError:
        start_response("503 Replaced", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced\n"]


def input_read(environ, start_response):
    stream = environ["wsgi.input"]
    parts = []
    while part := stream.read(1000):
        parts.append(part)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"".join(parts)]


def input_lines(environ, start_response):
    stream = environ["wsgi.input"]
    first = stream.readline()
    some = stream.readlines(10)
    rest = list(stream)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"|".join([first, *some, *rest])]


def errors(environ, start_response):
    stream = environ["wsgi.errors"]
    stream.write("from write, ")
    stream.writelines(["and ", "writelines\n"])
    stream.flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"logged\n"]


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return []


def cookies(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"),
                              ("Set-Cookie", "b=2"), ("X-Umlaut", "\xfc")])
    return [b"cookies\n"]


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789" * 10000), 4096)


VIEWS = {f"/{view.__name__}": view for view in (
    plain, several, generator, late_start, written, replaced, input_read, input_lines,
    errors, nothing, unchanged, cookies, file)}


@validator
def application(environ, start_response):
    return VIEWS[environ["PATH_INFO"]](environ, start_response)
