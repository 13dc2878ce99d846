# SPDX-License-Identifier: Apache-2.0
"""What the demo and the tests need to run an httpd of their own: its binary and
modules, a free port, and the processes that belong to its directory."""

import fcntl
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SBIN = os.pathsep + os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])


class NotFound(Exception):
    """Something is not installed; the text says what to do."""


def which(*names):
    path = os.environ.get("PATH", os.defpath) + SBIN
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def apxs(query):
    """What apxs knows, or None."""
    program = which("apxs", "apxs2")
    if not program:
        return None
    run = subprocess.run([program, "-q", query], capture_output=True, text=True)
    return run.stdout.strip() or None


def find_httpd():
    """The program; where apxs belongs to an httpd, that one."""
    directory, name = apxs("SBINDIR"), apxs("PROGNAME")
    if directory and name and os.access(os.path.join(directory, name), os.X_OK):
        return os.path.join(directory, name)
    program = which("apache2", "httpd")
    if not program:
        raise NotFound("neither apache2 nor httpd is installed: sh tools/deps.sh demo")
    return program


def find_modules():
    """The directory of httpd's loadable modules."""
    directory = apxs("LIBEXECDIR") or "/usr/lib/apache2/modules"
    if not os.path.isdir(directory):
        raise NotFound(f"httpd's modules are not in {directory}: sh tools/deps.sh build")
    return pathlib.Path(directory)


def builtin_modules(httpd):
    """Names of the modules that are linked into this httpd, as "so", "unixd"."""
    run = subprocess.run([httpd, "-l"], capture_output=True, text=True)
    words = run.stdout.split()
    return {w[4:-2] for w in words if w.startswith("mod_")} | \
        {w[:-2] for w in words if w.endswith(".c") and not w.startswith("mod_")}


# Lock files of the ports that this process was given, open until it ends.
_port_locks = []


def _reserve(port):
    """Whether no other process like this one has the port, nor anybody at all."""
    directory = pathlib.Path(tempfile.gettempdir(), f"cgateway-ports-{os.geteuid()}")
    directory.mkdir(mode=0o700, exist_ok=True)
    lock = open(directory / str(port), "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _port_locks.append(lock)
    return True


def free_port():
    """A port of 127.0.0.1 for this process alone. It lies below those that the
    kernel gives to clients: one of them could take it before httpd does."""
    lowest_of_clients = int(pathlib.Path(
        "/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while not _reserve(port := random.randrange(10240, max(lowest_of_clients, 20480))):
        pass
    return port


def copy_build(build, target):
    """Copies the module and its library directory to where every user can read
    them; the checkout may lie in somebody's home directory."""
    target = pathlib.Path(target)
    shutil.copytree(pathlib.Path(build) / "cgateway", target / "cgateway",
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pathlib.Path(build) / "mod_cgateway.so", target)
    make_readable(target)


def make_readable(root):
    """Directories 0755, files 0644 or, where executable, 0755."""
    for path in [root, *pathlib.Path(root).rglob("*")]:
        if not path.is_symlink():
            enter = path.is_dir() or path.stat().st_mode & 0o111
            path.chmod(0o755 if enter else 0o644)


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
