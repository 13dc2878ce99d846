# SPDX-License-Identifier: Apache-2.0
"""Requests that last until a test says so, and ways to die of it. The marks are files:
the worker may not live to remember."""

import ctypes
import os
import pathlib
import signal
import time

MARKS = pathlib.Path(os.environ["MARKS"])

# A test ends the process at any moment with the signal: os._exit from inside.
signal.signal(signal.SIGUSR1, lambda number, frame: os._exit(3))
# ... or at the hands of the kernel, where it is short of memory.
signal.signal(signal.SIGUSR2, lambda number, frame: eat())


def eat():
    eaten = []
    while True:
        eaten.append(b"x" * (4 << 20))


def wait(kind, number):
    """Marks this process as one that runs that request, until it may go on."""
    mark = MARKS / f"{kind}-{number}-{os.getpid()}"
    mark.touch()
    while not (MARKS / "go-on").exists():
        time.sleep(0.02)


def upload(body, number):
    """Reads it all; marks this process once some of it is there."""
    body.read(1)
    (MARKS / f"upload-{number}-{os.getpid()}").touch()
    body.read()


def half(number):
    yield b"x" * 1000
    wait("half", number)
    yield b"y" * 1000


def fork_many(count):
    for _ in range(count):
        if os.fork() == 0:
            os._exit(0)


def application(environ, start_response):
    kind, _, number = environ["PATH_INFO"][1:].partition("/")
    headers = [("Content-Type", "text/plain")]
    if kind == "wait":
        wait("wait", number)
    elif kind == "half":
        start_response("200 OK", headers + [("Content-Length", "2000")])
        return half(number)
    elif kind == "upload":
        upload(environ["wsgi.input"], number)
    elif kind == "close-all":
        os.closerange(3, 4096)
    elif kind == "fork":
        fork_many(int(number))
    elif kind == "crash":
        ctypes.string_at(0)
    elif kind == "eat":
        eat()
    elif kind == "print":
        print("x" * 200 + "\n" + "y" * 200, flush=True)
    body = b"%d" % os.getpid()
    start_response("200 OK", headers + [("Content-Length", str(len(body)))])
    return [body]


# As long as a test wants it to, a process that starts is importing this.
while (MARKS / "hold").exists():
    (MARKS / f"starting-{os.getpid()}").touch()
    time.sleep(0.02)
