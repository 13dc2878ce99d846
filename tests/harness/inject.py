# SPDX-License-Identifier: Apache-2.0
"""Calls of libc that fail in a program under test: the other side of inject.c."""

import contextlib
import errno
import mmap
import pathlib
import re
import struct
import subprocess

from harness.paths import PRELOAD

SOURCE = pathlib.Path(__file__).with_suffix(".c")
CALLS = re.findall(r"^    X\((?:[^,()]+, )?(\w+), \(", SOURCE.read_text(), re.M) + [
    "epoll_ctl"]
HEADER = struct.Struct("iiiiiiL32s")
SEEN = struct.Struct(f"{len(CALLS)}i")
CALL = slice(4, 8)
FOR_EVER = 2**31 - 1

# What the kernel may say, where it is not want of descriptors or of memory.
NO_DESCRIPTOR = ["socket", "socketpair", "accept4", "accept", "pipe2", "open", "openat",
                 "epoll_create1", "signalfd", "inotify_init1", "memfd_create", "dup2",
                 "fopen"]
ERRORS = {**dict.fromkeys(NO_DESCRIPTOR, errno.EMFILE),
          **dict.fromkeys(["malloc", "calloc", "realloc", "mmap", "epoll_ctl", "sendmsg",
                           "recvmsg", "stat", "lstat"], errno.ENOMEM),
          **dict.fromkeys(["epoll_wait", "poll", "read", "recv", "waitpid"], errno.EINTR),
          **dict.fromkeys(["fork", "setresuid"], errno.EAGAIN),
          **dict.fromkeys(["write", "writev", "inotify_add_watch", "mkdir"], errno.ENOSPC),
          **dict.fromkeys(["kill", "sigqueue", "lchown", "chmod", "unlink", "setgroups",
                           "setresgid", "setsid", "setrlimit"], errno.EPERM),
          **dict.fromkeys(["fcntl", "sched_setaffinity"], errno.EINVAL)}


class Plan:
    """Which calls of a program fail."""

    def __init__(self, directory, name, source=b""):
        self.source = source        # how the file's name ends that calls
        self.library = directory / "inject.so"
        self.path = directory / f"{name}.plan"
        if not self.library.exists():
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-fno-builtin", "-Wall",
                            "-Wextra", "-Werror", "-o", self.library, SOURCE], check=True)
            self.library.chmod(0o755)
        self.path.write_bytes(bytes(HEADER.size + SEEN.size))
        self.path.chmod(0o666)      # httpd's children have another user
        with self.path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.disarm()

    @property
    def environment(self):
        return {"LD_PRELOAD": " ".join(filter(None, [PRELOAD, str(self.library)])),
                "INJECT_PLAN": str(self.path)}

    def write(self, pid, call, first, last, error):
        self.map[:HEADER.size] = HEADER.pack(pid, call, first, last, error, 0, 0,
                                             self.source)

    def disarm(self):
        self.write(0, -1, 0, 0, 0)

    @contextlib.contextmanager
    def failing(self, call, first=1, last=None, error=None, pid=0):
        """The calls from the first on, up to the last (None: that one alone), of this
        process (0: of all, -n: of all others) fail for a while."""
        self.map[HEADER.size:] = bytes(SEEN.size)
        error = error or ERRORS.get(call, errno.EIO)
        self.write(pid, CALLS.index(call), first, last or first, error)
        try:
            yield
        finally:
            self.map[CALL] = struct.pack("i", -1)

    @contextlib.contextmanager
    def counting(self, pid=0):
        """Yields a dictionary that has the numbers of calls afterwards."""
        counts = {}
        self.map[HEADER.size:] = bytes(SEEN.size)
        self.write(pid, -1, 0, 0, 0)
        yield counts
        counts.update((name, n) for name, n in zip(CALLS, self.seen()) if n)

    def seen(self):
        return SEEN.unpack(self.map[HEADER.size:])

    @property
    def failed(self):
        """How many did."""
        return HEADER.unpack(self.map[:HEADER.size])[5]

    @property
    def place(self):
        """The first of them, in its program, for addr2line."""
        return HEADER.unpack(self.map[:HEADER.size])[6]


def into_supervisor(httpd):
    """The plan of all supervisors of an httpd that has not started yet."""
    program = httpd.root / "modules" / "cgateway" / "cgatewayd"
    real = program.with_name("cgatewayd.real")
    program.rename(real)
    plan = Plan(httpd.root, "supervisor")
    program.write_text("#!/bin/bash\n" + "".join(
        f"export {name}='{value}'\n" for name, value in plan.environment.items())
        + f"exec -a '{program}' '{real}' \"$@\"\n")
    program.chmod(0o755)
    return plan


def into_httpd(httpd):
    """The plan of mod_cgateway in httpd's parent and children."""
    plan = Plan(httpd.root, "httpd", b"mod_cgateway.so")
    httpd.environment.update(plan.environment)
    return plan
