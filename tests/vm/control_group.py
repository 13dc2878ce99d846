# SPDX-License-Identifier: Apache-2.0
"""Control groups of a test's own."""

import pathlib

from harness.httpd import until

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Directory:
    """A control group that others are made in."""

    def __init__(self, path, controllers="cpu memory pids"):
        self.path = pathlib.Path(path)
        for controller in controllers.split():
            (self.path.parent / "cgroup.subtree_control").write_text(f"+{controller}")
        self.path.mkdir()

    def remove(self):
        for below in self.path.glob("cgw-*"):
            until(lambda: gone(below), f"{below} to be empty")
        until(lambda: gone(self.path), f"{self.path} to be empty")


def gone(path):
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True


class Group:
    """The control group of a group."""

    def __init__(self, parent, name="a.example"):
        self.path = parent.path / f"cgw-{name}"

    def get(self, file):
        return (self.path / file).read_text().strip()

    def table(self, file):
        """What a file of names and numbers says."""
        return {name: int(number) for name, number in
                (line.split() for line in self.get(file).splitlines())}

    def pids(self):
        return {int(pid) for pid in self.get("cgroup.procs").split()}

    def exists(self):
        return self.path.exists()
