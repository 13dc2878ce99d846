# SPDX-License-Identifier: Apache-2.0
"""Answers with X-Sendfile: the query string is the path, other headers come in X-Add of
the request, as "Name: value; Name: value"."""

import urllib.parse

CLOSED = []


class Body:
    """A body that nobody should read on."""

    def __iter__(self):
        yield b"the application's own body"
        raise RuntimeError("it was read on")

    def close(self):
        CLOSED.append(1)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/closed":
        start_response("200 OK", [])
        return [b"%d" % len(CLOSED)]
    path = urllib.parse.unquote(environ["QUERY_STRING"], "latin-1")
    added = [tuple(word.strip() for word in line.split(":", 1))
             for line in environ.get("HTTP_X_ADD", "").split(";") if line]
    status = dict(added).get("X-Status", "200 OK")
    start_response(status, [("X-Sendfile", path), *added])
    return [] if environ["PATH_INFO"] == "/empty" else Body()
