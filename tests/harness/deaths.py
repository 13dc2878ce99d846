# SPDX-License-Identifier: Apache-2.0
"""Ways for a process to die, and what has to be so that they are."""

import contextlib
import ctypes
import os
import platform
import signal

import pytest

from harness.httpd import killed_for_memory
from harness.kernel import memory_controller, short_of_memory
from harness.paths import PRELOAD

BY_KERNEL = "the kernel sent for want of memory"
# name -> (signal, what the log says of it). Some of them tests/apps/faults.wsgi handles.
OF_WORKERS = {
    "kill -9": (signal.SIGKILL, "signal 9 .*sent neither by this supervisor nor"),
    "out of memory": (signal.SIGUSR2, f"signal 9 .*{BY_KERNEL}"),
    # a sanitizer has an end of its own
    "segmentation fault": (signal.SIGSEGV, "code " if PRELOAD else "signal 11 "),
    "abort": (signal.SIGABRT, "signal 6 "),
    "os._exit": (signal.SIGUSR1, "code 3 "),
    "SIGTERM": (signal.SIGTERM, "signal 15 "),
    "SIGQUIT": (signal.SIGQUIT, "signal 3 "),
    "SIGXCPU": (signal.SIGXCPU, "signal 24 ")}
# Of programs in C that no test runs code in: the same, and _exit from outside.
OF_PROGRAMS = {"kill -9": signal.SIGKILL, "segmentation fault": signal.SIGSEGV,
               "abort": signal.SIGABRT, "_exit": None, "SIGTERM": signal.SIGTERM,
               "SIGQUIT": signal.SIGQUIT, "SIGXCPU": signal.SIGXCPU}

MORE = 32 << 20
ATTACH, DETACH, GET_REGISTERS, SET_REGISTERS = 16, 17, 12, 13
# struct user_regs_struct of x86_64: how many, and where some of them are
REGISTERS, RAX, RDI, ORIGINAL, RIP = 27, 10, 14, 15, 16
EXIT_GROUP, LENGTH_OF_SYSCALL = 231, 2


def wait_obituary(httpd, who, death):
    """What the log says of it. The supervisor takes a kill for the kernel's where that has
    killed some other process within the last seconds, as tests that run meanwhile make it
    do."""
    words = OF_WORKERS[death][1]
    if death == "kill -9":
        words += f"|signal 9 .*{BY_KERNEL}"
    said = httpd.wait_log(rf"CGW0213.*{who} .*({words})")[0]
    if BY_KERNEL in said:
        assert killed_for_memory() > httpd.killed_for_memory, "it has killed none"


@contextlib.contextmanager
def able_to_die(death, pid):
    """What has to be so that the signal does it."""
    if death != "out of memory":
        yield
        return
    if PRELOAD:
        pytest.skip("sanitizers need memory without limit")
    if not memory_controller():
        pytest.skip("no control group can limit memory here")
    with short_of_memory(pid, MORE):
        yield


def is_possible(death):
    """Whether it can be tried here."""
    if death == "out of memory":
        return not PRELOAD and bool(memory_controller())
    return death != "_exit" or platform.machine() == "x86_64"


def is_possible_of_programs(death):
    """What sanitizers say of a program's end would be in httpd's log."""
    return is_possible(death) and not (PRELOAD and death == "segmentation fault")


def end(pid, death):
    """Of a program that waits in a system call."""
    if OF_PROGRAMS[death]:
        os.kill(pid, OF_PROGRAMS[death])
    else:
        have_exit(pid, 3)


def have_exit(pid, code):
    """The process calls _exit in place of the system call that it waits in."""
    libc = ctypes.CDLL(None, use_errno=True)
    registers = (ctypes.c_ulong * REGISTERS)()

    def ptrace(request, data=None):
        assert libc.ptrace(request, pid, None, data) == 0, \
            os.strerror(ctypes.get_errno())
    ptrace(ATTACH)
    os.waitpid(pid, os.WUNTRACED)
    ptrace(GET_REGISTERS, registers)
    if ctypes.c_long(registers[ORIGINAL]).value >= 0:
        registers[RIP] -= LENGTH_OF_SYSCALL
    registers[RAX], registers[RDI], registers[ORIGINAL] = EXIT_GROUP, code, 2**64 - 1
    ptrace(SET_REGISTERS, registers)
    ptrace(DETACH)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
