# SPDX-License-Identifier: Apache-2.0
"""Hangs in the way that the path names, until the mark "release" is there. Leaves
marks of what it does."""

import ctypes
import faulthandler
import os
import pathlib
import re
import signal
import sys
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


def stuck_in_allocator():
    """By a library that the test has put before the C library's: from now on, whoever
    asks for memory in this process hangs."""
    ctypes.PyDLL(None).keep_memory()
    bytearray(1 << 20)


def stuck_without_signal():
    """Has given what the watchdog's signal does back to the kernel: to end the
    process."""
    faulthandler.unregister(signal.SIGRTMAX - 1)
    stuck_in_sleep()


def stuck_without_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    stuck_in_sleep()


def stuck_with_handler_of_its_own():
    faulthandler.register(signal.SIGRTMAX - 1, open(os.devnull, "w"))
    stuck_in_sleep()


def stuck_with_faulthandler_of_its_own():
    """And without standard error."""
    file = open(MARKS / "faults", "w")
    faulthandler.enable(file)
    faulthandler.dump_traceback_later(0.1, repeat=True, file=file)
    sys.stderr = None
    os.close(2)
    stuck_in_sleep()


def stuck_in_kernel():
    """As in a file system that does not answer: the kernel lets a thread that has begun
    vfork() do nothing, not even take a signal, until the child ends."""
    clone_vm, clone_vfork = 0x100, 0x4000
    libc = ctypes.CDLL(None)
    size = 1 << 16
    stack = ctypes.create_string_buffer(size)
    top = (ctypes.addressof(stack) + size) & ~15
    libc.clone(ctypes.cast(libc.sleep, ctypes.c_void_p), ctypes.c_void_p(top),
               clone_vm | clone_vfork | signal.SIGCHLD, ctypes.c_void_p(3600))


class StuckInClose:
    """All of the body is there, and close() does not return."""

    def __iter__(self):
        return iter([b"body"])

    def close(self):
        stuck_in_sleep()


def stuck_before_head(start_response):
    stuck_in_sleep()
    start_response("200 OK", [])
    yield b"body"


def stuck_before_body():
    yield b""
    stuck_in_sleep()
    yield b"body"


def stuck_behind_body():
    """What httpd has of the response is complete, but for the word that it is."""
    yield b"body"
    stuck_in_sleep()


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
    path = environ["PATH_INFO"].strip("/").replace("/", "-")
    with open(MARKS / f"ran-{path}", "a") as file:
        file.write(f"{os.getpid()}\n")
    if path == "stuck_before_head":
        return stuck_before_head(start_response)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "stuck_in_close":
        return StuckInClose()
    if path in ("stuck_before_body", "stuck_behind_body"):
        return globals()[path]()
    if path.startswith("stuck"):
        globals()[path.partition("-")[0]]()
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
