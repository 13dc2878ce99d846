# SPDX-License-Identifier: Apache-2.0
"""Fails in the way that the path names. What it leaves for later requests is a file
beside it, since the worker may not live to remember."""

import os
import pathlib
import signal
import time

MARKS = pathlib.Path(os.environ["MARKS"])


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def first_time(name):
    """Whether no process has been here yet."""
    try:
        os.close(os.open(MARKS / name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def broken(*items, then):
    yield from items
    then()


def boom():
    raise RuntimeError("boom in the middle")


def text(start_response, *headers, status="200 OK"):
    return start_response(status, [("Content-Type", "text/plain"), *headers])


def application(environ, start_response):
    path = environ["PATH_INFO"]
    stream = environ["wsgi.input"]
    if path == "/ok":
        text(start_response)
        return [b"%d" % os.getpid()]
    if path == "/raise":
        raise RuntimeError("boom before headers")
    if path == "/raise-started":
        text(start_response)
        raise RuntimeError("boom, started but not sent")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/raise-late":
        text(start_response)
        return broken(b"x" * 100000, then=boom)
    if path == "/raise-late-length":
        text(start_response, ("Content-Length", "200000"))
        return broken(b"x" * 100000, then=boom)
    if path == "/die":
        (MARKS / f"died-{os.getpid()}").touch()
        die()
    if path == "/die-once":
        if first_time("die-once"):
            die()
        text(start_response)
        return [b"survived"]
    if path == "/die-late":
        text(start_response)
        return broken(b"x" * 100000, then=die)
    if path == "/die-late-length":
        text(start_response, ("Content-Length", "200000"))
        return broken(b"x" * 100000, then=die)
    if path == "/too-short":
        text(start_response, ("Content-Length", "200000"))
        return [b"x" * 100000]
    if path == "/too-long":
        text(start_response, ("Content-Length", "10"))
        return [b"x" * 10, b"y" * 100]
    if path == "/ignore-body":
        text(start_response)
        return (b"z" * 65536 for _ in range(64))
    if path == "/read-body":
        try:
            total = len(stream.read(1))
            (MARKS / "reading").touch()
            while data := stream.read(65536):
                total += len(data)
        except OSError as error:
            (MARKS / "read-error").write_text(type(error).__name__)
            raise
        (MARKS / "read-complete").write_text(str(total))
        text(start_response)
        return [b"%d" % total]
    if path == "/slow":
        started = MARKS / f"slow-{os.getpid()}"
        started.touch()
        while not (MARKS / "go-on").exists():
            time.sleep(0.02)
        text(start_response)
        return [b"%d" % os.getpid()]
    raise LookupError(path)
