# SPDX-License-Identifier: Apache-2.0
"""Hangs in the way that the path names, until the mark "release" is there. Leaves
marks of what it does."""

import ctypes
import os
import pathlib
import re
import threading
import time

MARKS = pathlib.Path(os.environ["MARKS"])
HELD = threading.Lock()
HELD.acquire()


def released():
    return (MARKS / "release").exists()


def stuck_in_sleep():
    while not released():
        time.sleep(0.01)


def stuck_in_python():
    count = 0
    while not (count % 1000 == 0 and released()):
        count += 1


def stuck_in_lock():
    while not released():
        HELD.acquire(timeout=1)


def stuck_in_c_loop():
    """Never gives the interpreter lock up."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def stuck_in_c_wait():
    """The same, but waits: for the file that the test has locked, which sees it in
    /proc/locks."""
    with open(MARKS / "locked", "r+b") as file:
        ctypes.PyDLL(None).lockf(file.fileno(), os.F_LOCK, ctypes.c_long(0))


def streamed():
    yield b"first" * 100
    stuck_in_sleep()
    yield b"last"


def steady():
    while not released():
        yield b"s" * 100
        time.sleep(0.02)


def until_raises(write):
    try:
        while True:
            write(b"x" * 1000)
            time.sleep(0.02)
    except OSError as error:
        (MARKS / f"raised-{type(error).__name__}").touch()
        raise


def slow_read(stream):
    total = 0
    while data := stream.read(65536):
        total += len(data)
    return total


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    with open(MARKS / f"ran-{path}", "a") as file:
        file.write(f"{os.getpid()}\n")
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path.startswith("stuck_in"):
        globals()[path]()
    elif path == "streamed":
        return streamed()
    elif path == "steady":
        return steady()
    elif path == "until_raises":
        until_raises(write)
    elif path == "background":
        threading.Thread(target=stuck_in_c_wait, daemon=True).start()
    elif path == "large":
        return [b"l" * (8 << 20)]
    elif path == "read":
        return [b"%d" % slow_read(environ["wsgi.input"])]
    elif path == "until_gone":
        while not environ["cgateway.client_disconnected"]():
            time.sleep(0.01)
        (MARKS / "noticed").touch()
    return [b"%d" % os.getpid()]
