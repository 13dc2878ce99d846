# SPDX-License-Identifier: Apache-2.0
"""The processes that belong to a private httpd's directory."""

import os
import pathlib
import signal
import subprocess
import time


def read_proc(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def is_run_from(pid, directory):
    """Whether the command line names the directory: httpd, cgatewayd, workers."""
    return os.fsencode(f"{directory}/") in read_proc(pid, "cmdline")


def belongs(pid, directory):
    """Whether anything ties the process to the directory, so that also what an
    application started is found: command line, environment, current directory."""
    mark = os.fsencode(str(directory))
    if mark in read_proc(pid, "cmdline") or mark in read_proc(pid, "environ"):
        return True
    try:
        return os.fsencode(os.readlink(f"/proc/{pid}/cwd")).startswith(mark)
    except OSError:
        return False


def is_zombie(pid):
    return read_proc(pid, "stat").rpartition(b")")[2][:2] == b" Z"


def processes(directory, test=belongs):
    """Pids of the live processes that pass the test for a private directory."""
    own = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if pid != own and test(pid, directory) and not is_zombie(pid)]


def wait_until(condition, seconds, pause=0.02):
    """Polls a condition; returns its last value."""
    end = time.monotonic() + seconds
    value = condition()
    while not value and time.monotonic() < end:
        time.sleep(pause)
        value = condition()
    return value


def end_processes(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def end_httpd(process, running, seconds):
    """Ends httpd (None: it was never started), and what outlives it: the supervisor
    ends the workers, and then itself, or all that `running` tells are killed."""
    if process and process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not wait_until(lambda: not running(), seconds):
        end_processes(running())
