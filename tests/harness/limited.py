# SPDX-License-Identifier: Apache-2.0
"""Limits of a process that runs."""

import contextlib
import os
import pwd
import resource
import subprocess

from harness.paths import AS_ROOT

LIMITS = {resource.RLIMIT_NPROC: "Max processes", resource.RLIMIT_NOFILE: "Max open files",
          resource.RLIMIT_FSIZE: "Max file size", resource.RLIMIT_AS: "Max address space"}


def prlimit(pid, what, soft):
    """Sets a soft limit of a process, as its user: for another one that takes a
    privilege which root in a container may lack."""
    account = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid)
    switch = dict(user=account.pw_name, group=account.pw_gid, extra_groups=[]) \
        if AS_ROOT else {}
    subprocess.run(["prlimit", "--pid", str(pid), f"--{what}={soft}:"], check=True,
                   **switch)


@contextlib.contextmanager
def limited(pid, what, soft):
    """A process with a lower limit, for a while."""
    number = getattr(resource, f"RLIMIT_{what.upper()}")
    with open(f"/proc/{pid}/limits", encoding="ascii") as table:
        row = next(r for r in table if r.startswith(LIMITS[number]))
    former = row[len(LIMITS[number]):].split()[0]
    prlimit(pid, what, soft)
    try:
        yield
    finally:
        # it may have ended, or do so now
        with contextlib.suppress(FileNotFoundError, subprocess.CalledProcessError):
            prlimit(pid, what, former)
