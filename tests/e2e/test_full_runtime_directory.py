# SPDX-License-Identifier: Apache-2.0
"""The file system of the runtime directory is full, has no inodes left, or is read-only:
when httpd starts, at graceful, and while it runs. Each httpd has a file system of its own
for it, in a mount namespace of its own."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.lasting import load
from harness.paths import AS_ROOT, PATIENCE

# Inodes: of the file system's root, the directory, the lock, a group's socket. One more
# for the control socket.
FEW = 4
HELD = "AH10159"        # httpd's threads, by requests that wait


class Space:
    """The file system, which only processes of that httpd see."""

    def __init__(self, httpd, options):
        self.httpd = httpd
        self.path = httpd.mkdir("space")
        httpd.main(f'CGatewayRuntimeDir "{self.path}/run"')
        plain = httpd.command
        httpd.command = lambda *words: {**plain(*words), "args": [
            "unshare", "--mount", "sh", "-c",
            f'mount -t tmpfs -o "mode=755,{options}" tmpfs "$0" && exec "$@"',
            str(self.path), *map(str, plain(*words)["args"])]}

    @property
    def inside(self):
        """Where everybody finds it."""
        return pathlib.Path(f"/proc/{self.httpd.process.pid}/root{self.path}")

    @property
    def ctl(self):
        ctl = Ctl(self.httpd)
        ctl.runtime_dir = self.inside / "run"
        return ctl

    def remount(self, options):
        subprocess.run(["nsenter", "--target", str(self.httpd.process.pid), "--mount",
                        "mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def fill(self):
        """Until there is no inode left."""
        with contextlib.suppress(OSError):
            for number in range(1000):
                (self.inside / f"filler{number}").touch()

    def is_serving(self, name="a.example"):
        with contextlib.suppress(AssertionError):
            return self.ctl.group(name)["state"] == "serving"
        return False


@pytest.fixture
def space(httpd):
    if not AS_ROOT or subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            capture_output=True).returncode:
        pytest.skip("only root, with CAP_SYS_ADMIN, can mount a file system")
    return lambda options: Space(httpd, options)


@pytest.fixture
def site(httpd, marks):
    def start(space):
        # without a supervisor requests wait for the import, which takes its time under load
        httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"', "CGatewayQueueSize 1000")
        httpd.start()
        until(space.is_serving, "all workers")
        return set(httpd.workers("a.example"))
    return start


def lost(running):
    """Failures that are not httpd's own way of closing idle connections."""
    return [o for o in running.failures() if o.error != "stale"]


# ---- at start ------------------------------------------------------------------------------

@pytest.mark.parametrize("options, message, remedy", [
    ("nr_inodes=1", "CGW0111: .*space/run", "no space or no inodes left: make room"),
    ("nr_inodes=2", "CGW0111: .*space/run", "no space or no inodes left: make room"),
    ("nr_inodes=3", "CGW0112: .*space/run/a.example", "no inodes left: make room"),
    ("ro", "CGW0111: .*space/run", "read-only: mount it for writing")])
def test_httpd_does_not_start_and_says_why(httpd, space, options, message, remedy):
    httpd.expect_log("CGW0111", "CGW0112", "AH00020")
    space(options)
    httpd.wsgi("info.wsgi")
    httpd.write_config()
    run = subprocess.run(**httpd.command("-D", "FOREGROUND"), timeout=PATIENCE)
    assert run.returncode != 0
    assert re.search(f"{message}.*{remedy}.*CGatewayRuntimeDir", httpd.log("main"))


def test_without_room_for_the_control_socket_groups_are_served(httpd, space):
    httpd.expect_log("CGW0311")
    full = space(f"nr_inodes={FEW}")
    httpd.wsgi("info.wsgi")
    httpd.start()
    assert httpd.get("/").status == 200
    httpd.wait_log("CGW0311.*space/run/control.*Make room", "main")
    full.remount("nr_inodes=100")
    until(full.is_serving, "the control socket")
    assert httpd.log("main").count("CGW0311") == 1


# ---- while httpd runs, and at graceful -----------------------------------------------------

def test_a_new_group_waits_for_room_and_the_others_are_deployed(httpd, space, site):
    httpd.expect_log("CGW0112")
    full = space("nr_inodes=100")
    workers = site(full)
    with load(httpd) as running, concurrent.futures.ThreadPoolExecutor(1) as pool:
        full.fill()
        httpd.wsgi("info.wsgi", name="b.example")
        httpd.graceful()
        httpd.wait_log("CGW0112: .*space/run/b.example.*group b.example.*make room", "main")
        until(lambda: not workers & set(httpd.workers("a.example")), "the deploy")
        waiting = pool.submit(httpd.get, "/", "b.example")
        full.remount("nr_inodes=2000")
        assert waiting.result(PATIENCE).status == 200
        workers = set(httpd.workers("a.example"))
    assert lost(running) == []
    assert httpd.log("main").count("CGW0112") == 1
    assert set(httpd.workers("a.example")) == workers, "nobody is deployed once more"


def test_a_supervisor_that_dies_while_there_is_no_inode(httpd, space, site):
    httpd.expect_log("CGW0104", "CGW0132", "CGW0311", HELD)
    full = space("nr_inodes=100")
    site(full)
    with load(httpd, 20) as running:
        full.fill()     # the former one's control socket keeps its inode, by its name
        former = httpd.supervisor()
        os.kill(former, signal.SIGKILL)
        httpd.wait_log("CGW0311.*Make room", "main")
        httpd.graceful()
        full.remount("nr_inodes=2000")
        until(full.is_serving, "the control socket")
    assert lost(running) == []


def test_a_read_only_file_system(httpd, space, site):
    """Workers and supervisor are replaced, groups are deployed."""
    httpd.expect_log("CGW0104", "CGW0132", "CGW0213", "CGW0311", HELD)
    full = space("size=100k")
    workers = site(full)
    with load(httpd, 20) as running:
        full.remount("ro")
        httpd.graceful()
        until(lambda: not workers & set(httpd.workers("a.example")), "the deploy")
        os.kill(httpd.supervisor(), signal.SIGKILL)
        httpd.wait_log("CGW0311.*Mount that file system for writing", "main")
        full.remount("rw")
        until(full.is_serving, "the control socket")
    assert lost(running) == []


def test_a_full_file_system_with_inodes_is_room_enough(httpd, space, site):
    """Sockets and lock have no bytes."""
    full = space("size=16k")
    workers = site(full)
    with load(httpd) as running:
        with contextlib.suppress(OSError), (full.inside / "filler").open("wb") as file:
            file.write(b"x" * 1_000_000)
        httpd.wsgi("info.wsgi", name="b.example")
        httpd.graceful()
        assert httpd.get("/", "b.example").status == 200
        until(lambda: not workers & set(httpd.workers("a.example")), "the deploy")
        until(full.is_serving, "the new generation")
    assert lost(running) == []
