# SPDX-License-Identifier: Apache-2.0
"""A kernel that lacks system calls or memory, as far as one process can tell."""

import contextlib
import ctypes
import errno
import os
import pathlib
import platform
import struct

from harness.httpd import until

# Numbers that all architectures with Linux' common table share.
LANDLOCK_CREATE_RULESET = 444
MOUNT_SETATTR = 442
SECCOMP = {"x86_64": 317, "aarch64": 277}.get(platform.machine())

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD_NUMBER, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def without(number):
    """A preexec_fn: from it on, the system call says ENOSYS."""
    code = b"".join(struct.pack("HBBI", *step) for step in (
        (LOAD_NUMBER, 0, 0, 0), (EQUAL, 0, 1, number),
        (RETURN, 0, 0, FAIL | errno.ENOSYS), (RETURN, 0, 0, ALLOW)))
    program = Program(4, code)
    libc = ctypes.CDLL(None, use_errno=True)

    def apply():
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0) == 0
    return apply


# ---- memory ----------------------------------------------------------------------------

def memory_controller():
    """(where control groups limit memory, the name of the limit's file), or None."""
    with open("/proc/self/mounts", encoding="utf-8") as table:
        for _, path, kind, options, *_ in map(str.split, table):
            path = pathlib.Path(path)
            if not os.access(path, os.W_OK):
                continue
            if kind == "cgroup" and "memory" in options.split(","):
                return path, "memory.limit_in_bytes"
            if kind == "cgroup2" and "memory" in \
                    (path / "cgroup.subtree_control").read_text().split():
                return path, "memory.max"
    return None


@contextlib.contextmanager
def short_of_memory(pid, more):
    """A process that may have so many bytes more, and no swap, until it has ended; the
    kernel kills it when it wants even more."""
    parent, limit = memory_controller()
    group = parent / f"cgw-test-{os.getpid()}-{pid}"
    group.mkdir()
    try:
        (group / limit).write_text(str(more))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        until(lambda: remove_group(group), "the control group to be empty")


def remove_group(group):
    try:
        group.rmdir()
    except OSError:
        return False
    return True
