# SPDX-License-Identifier: Apache-2.0
"""What the demo and the tests need to run an httpd of their own: its binary and
modules, a free port, and the processes that belong to its directory."""

import fcntl
import os
import pathlib
import random
import shutil
import socket
import sys
import tempfile

# What cgateway-serve needs, too, lies there.
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent / "worker"))
from cgateway.serve.httpd import (  # noqa: E402,F401
    NotFound, apxs, builtin_modules, find_httpd, find_modules, load_lines, which)
from cgateway.serve.processes import (  # noqa: E402,F401
    belongs, end_httpd, end_processes, is_run_from, is_zombie, processes, read_proc,
    wait_until)

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
