# SPDX-License-Identifier: Apache-2.0
"""Answers with files in all the ways that wsgi.file_wrapper knows. The path names the
way; the query string may name headers, as /plain?ETag="x"&Content-Length=10."""

import gzip
import io
import json
import os
import pathlib
import subprocess
import tempfile
import urllib.parse

FILES = pathlib.Path(os.environ["FILES"])
DATA = bytes(range(251)) * 1200        # 301200 bytes
GIVEN = []                              # (path, object) of each response
SHARED = []


class Upper(io.BufferedReader):
    """Its read() is not that of the file."""

    def read(self, size=-1):
        return super().read(size).upper()


class Counted:
    """A file-like object of one's own, with nothing but read and close."""

    def __init__(self, data):
        self.stream = io.BytesIO(data)
        self.closings = 0

    def read(self, size):
        return self.stream.read(size)

    def close(self):
        self.closings += 1


def at(file, position):
    file.seek(position)
    return file


def written(file, data=DATA):
    """Written and not flushed; read from a few bytes before the end."""
    file.write(data)
    return at(file, len(data) - 20)


def spooled(limit):
    file = tempfile.SpooledTemporaryFile(limit)
    file.write(DATA)
    return at(file, 10)


def patched():
    file = open(FILES / "data", "rb")
    file.read = lambda size, parts=iter([b"patched", b""]): next(parts)
    return file


class Kept(io.BufferedReader):
    """Stays open for the next request, as a cache would have it."""

    def close(self):
        pass


def shared():
    if not SHARED:
        SHARED.append(Kept(io.FileIO(FILES / "large")))
    return at(SHARED[0], 0)


def unflushed():
    file = open(FILES / "scratch", "w+b")
    file.write(b"0123456789")
    file.seek(2)
    file.write(b"xy")
    return file


KINDS = {
    "/plain": lambda: open(FILES / "data", "rb"),
    "/large": lambda: open(FILES / "large", "rb"),
    "/offset": lambda: at(open(FILES / "data", "rb"), 301190),
    "/begun": lambda: begun(open(FILES / "data", "rb")),
    "/at-the-end": lambda: at(open(FILES / "data", "rb"), len(DATA)),
    "/beyond-the-end": lambda: at(open(FILES / "data", "rb"), len(DATA) + 5),
    "/raw": lambda: open(FILES / "data", "rb", buffering=0),
    "/random": lambda: open(FILES / "data", "r+b"),
    "/temporary": lambda: written(tempfile.TemporaryFile()),
    "/named": lambda: written(tempfile.NamedTemporaryFile()),
    "/deleted": lambda: written(tempfile.NamedTemporaryFile(dir=FILES)),
    "/spooled-memory": lambda: spooled(1 << 20),
    "/spooled-file": lambda: spooled(100),
    "/unflushed": unflushed,
    "/bytes": lambda: io.BytesIO(DATA),
    "/bytes-offset": lambda: at(io.BytesIO(DATA), 301190),
    "/gzip": lambda: gzip.open(FILES / "data.gz", "rb"),
    "/own": lambda: Counted(DATA),
    "/upper": lambda: Upper(io.FileIO(FILES / "letters")),
    "/patched": patched,
    "/pipe": lambda: subprocess.Popen(["printf", "from a pipe"],
                                      stdout=subprocess.PIPE).stdout,
    "/empty": lambda: open(FILES / "empty", "rb"),
    "/text": lambda: open(FILES / "letters", encoding="ascii"),
    "/write-only": lambda: open(FILES / "scratch", "wb"),
    "/write-only-raw": lambda: open(FILES / "scratch", "wb", buffering=0),
    "/closed": lambda: closed(open(FILES / "data", "rb")),
    "/shared": shared,
}


def begun(file):
    file.readline()
    file.read(7)
    return file


def closed(file):
    file.close()
    return file


def report(start_response):
    """[path, closed?] of what was given so far, and the open descriptors."""
    told = [(path, getattr(given, "closings", None) if isinstance(given, Counted)
             else given.closed) for path, given in GIVEN]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"given": told, "pid": os.getpid(),
                        "open": len(os.listdir("/proc/self/fd"))}).encode()]


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/report":
        return report(start_response)
    headers = [("Content-Type", "application/octet-stream"),
               *urllib.parse.parse_qsl(environ["QUERY_STRING"])]
    status = dict(headers).get("X-Status", "200 OK")
    if path == "/cut":
        os.truncate(FILES / "victim", 0)
        start_response("200 OK", headers)
        return [b"cut"]
    if path == "/victim":
        given = open(FILES / "victim", "rb")
    else:
        given = KINDS[path]()
    GIVEN.append((path, given))
    start_response(status, headers)
    return environ["wsgi.file_wrapper"](given, 4096)
