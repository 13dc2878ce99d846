# SPDX-License-Identifier: Apache-2.0
"""The runtime directory under a httpd that runs: sockets of groups, the control socket,
the lock or everything is removed, or shut down; its file system is full or read-only."""

import contextlib
import fcntl
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.lasting import load
from harness.paths import SOAK, soak
from harness.starters import that_serves

# Without a supervisor requests wait for the import, which takes its time under load.
site = that_serves("faults.wsgi", "CGatewayQueueSize 1000")

REMOVED = "CGW0183"     # what is said of the directory, or of its lock
REPLACED = "CGW0187"    # and of a socket that was replaced
HELD = "AH10159"        # httpd's threads, by requests that wait


def answers(httpd):
    return Ctl(httpd).group("a.example")["state"] == "serving"


def has_control(httpd):
    with contextlib.suppress(AssertionError, OSError, ValueError):
        return answers(httpd)
    return False


def is_locked(httpd):
    """Whether another httpd is kept from that directory."""
    with contextlib.suppress(FileNotFoundError):
        with open(httpd.root / "run" / "lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def is_whole(httpd):
    return is_locked(httpd) and has_control(httpd)


def lost(running):
    """Failures that are not httpd's own way of closing idle connections."""
    return [o for o in running.failures() if o.error != "stale"]


# ---- files that are removed ------------------------------------------------------------

def remove_socket(httpd):
    httpd.socket().unlink()


def remove_directory(httpd):
    shutil.rmtree(httpd.root / "run")


def remove_contents(httpd):
    """As a program does that cleans up, and leaves the directory."""
    for path in (httpd.root / "run").iterdir():
        path.unlink()


def move_directory(httpd):
    (httpd.root / "run").rename(httpd.root / "elsewhere")


REMOVALS = soak([remove_socket, remove_directory, remove_contents, move_directory],
                [remove_socket, remove_directory])


@pytest.mark.parametrize("remove", REMOVALS)
def test_nothing_notices_that_files_are_removed(httpd, site, remove):
    """Neither requests, nor workers; cgatewayctl works again by itself, and graceful,
    restart and the death of the supervisor are what they always are."""
    httpd.expect_log(REMOVED, "CGW0104", "CGW0132", REPLACED, HELD)
    workers = site()
    with load(httpd, 20) as running:
        remove(httpd)
        until(lambda: is_whole(httpd), "lock and control socket")
        assert set(httpd.workers("a.example")) == workers
        former = httpd.supervisor()
        httpd.graceful()
        until(lambda: answers(httpd) and not workers & set(httpd.workers("a.example")),
              "the new generation")
        os.kill(former, signal.SIGKILL)
        until(lambda: httpd.supervisor() not in (None, former) and has_control(httpd),
              "another supervisor")
    assert lost(running) == []
    httpd.restart()
    until(lambda: httpd.get("/quick").status == 200 and httpd.socket().exists(),
          "the socket's name, which a restart makes anew")


def test_files_that_are_removed_again_and_again(httpd, site):
    """No request is lost, and the log is not filled."""
    httpd.expect_log(REMOVED)
    workers = site()
    stop = threading.Event()

    def remove():
        while not stop.wait(.02):
            shutil.rmtree(httpd.root / "run", ignore_errors=True)
    remover = threading.Thread(target=remove)
    with load(httpd) as running:
        remover.start()
        until(lambda: len(running.outcomes) > 200, "the load meanwhile")
        stop.set()
        remover.join()
    until(lambda: is_whole(httpd), "lock and control socket")
    assert running.failures() == []
    assert set(httpd.workers("a.example")) == workers
    assert httpd.log("main").count(REMOVED) < 10


def test_a_new_group_beside_one_whose_socket_has_no_name(httpd, site):
    httpd.expect_log(REMOVED)
    site()
    with load(httpd) as running:
        remove_directory(httpd)
        httpd.wsgi("info.wsgi", name="b.example")
        httpd.graceful()
        until(lambda: httpd.get("/", "b.example").status == 200, "the new group")
    assert lost(running) == []


def test_a_group_that_is_asleep_wakes_though_its_socket_has_no_name(httpd):
    httpd.wsgi("info.wsgi", "CGatewayStart demand")
    httpd.start()
    remove_socket(httpd)
    assert httpd.get("/").status == 200


def test_the_control_socket_alone(httpd, site):
    workers = site()
    control = httpd.root / "run" / "control"
    for _ in range(2):
        control.unlink()
        until(lambda: has_control(httpd), "the control socket")
    assert set(httpd.workers("a.example")) == workers


# ---- sockets that have to be replaced -----------------------------------------------------

SHUT = """\
import os
import socket

HOW = {how}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/shut":
        socket.socket(fileno=os.dup(4)).shutdown(HOW)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize("how", soak(["socket.SHUT_RD", "socket.SHUT_RDWR"],
                                     ["socket.SHUT_RD"]))
def test_a_socket_that_its_group_shuts_down_is_made_anew(httpd, how):
    """Its requests wait for that, and no other group notices."""
    httpd.expect_log(REPLACED, "CGW02[123]", "CGW04", r"\] a\.example: ")
    httpd.wsgi(httpd.app("shut.wsgi", SHUT.format(how=how)))
    httpd.wsgi("info.wsgi", name="b.example")
    httpd.start()
    others = until(lambda: Ctl(httpd).group("b.example")["state"] == "serving"
                   and httpd.workers("b.example"), "the other group")
    with load(httpd, host="b.example") as running:
        for _ in range(soak(5, 1)):
            assert httpd.get("/shut").status == 200
            assert httpd.get("/").status == 200
    assert running.failures() == []
    assert httpd.workers("b.example") == others
    assert "b.example" not in "".join(line for line in httpd.log("main").splitlines()
                                      if REPLACED in line)


def many_groups(httpd, number):
    """More than there may be descriptors for: each httpd has 80, a quarter for handles."""
    app = httpd.app("info.wsgi")
    httpd.main("\n".join(
        f'<CGatewayGroup g{n}>\n  CGatewayApplication "{app}"\n  CGatewayStart demand\n'
        f"  CGatewayPython /usr/bin/python3\n</CGatewayGroup>" for n in range(number)))
    httpd.vhost("a.example", *(f"CGatewayMount /{n} g{n}" for n in range(number)))
    plain = httpd.command
    httpd.command = lambda *words: {**plain(*words), "args": [
        "prlimit", "--nofile=80:", *map(str, plain(*words)["args"])]}


@pytest.mark.parametrize("remove", soak([remove_directory, remove_contents],
                                        [remove_directory]))
def test_where_there_are_too_few_descriptors_requests_wait_for_the_name(httpd, remove):
    httpd.expect_log(REMOVED, REPLACED)
    many_groups(httpd, 25)
    httpd.start()
    assert httpd.get("/3/").status == 200
    remove(httpd)
    assert {httpd.get(f"/{n}/").status for n in (3, 5)} == {200}
    until(lambda: httpd.socket("g7").exists(), "the names")
    httpd.graceful()
    assert {httpd.get(f"/{n}/").status for n in (3, 5)} == {200}


def test_requests_that_wait_for_a_socket_are_no_more_than_the_queue_has(httpd):
    """Where it cannot be made anew: nobody can in a directory of that name."""
    httpd.expect_log(REMOVED, REPLACED, "CGW0112", "CGW0130", "CGW0160", "CGW0186")
    many_groups(httpd, 25)
    httpd.parts["main"] = httpd.parts["main"].replace(
        "CGatewayStart demand", "CGatewayStart demand\nCGatewayQueueSize 2\n"
                                "CGatewayQueueTimeout 3s")
    httpd.start()
    remove_directory(httpd)
    httpd.write("run", "in the way")
    with load(httpd, path="/4/") as running:
        until(lambda: {o.status for o in running.outcomes} >= {503}, "refusals")
        until(lambda: "CGW0160" in httpd.log() and "CGW0130" in httpd.log(),
              "both reasons")
        (httpd.root / "run").unlink()
        until(lambda: running.outcomes[-1].status == 200, "answers")
    httpd.wait_log("CGW0186.*run", "main")


# ---- the end of the supervisor -----------------------------------------------------------

def test_httpds_parent_notices_at_once_that_the_supervisor_has_ended(httpd, site):
    """By itself it looks once a second. The times are asserted with CGW_SOAK=1."""
    httpd.expect_log("CGW0104", "CGW0132", HELD)
    site()
    times = []
    with load(httpd, 20) as running:
        for number in range(soak(20, 2)):
            former = httpd.supervisor()
            began = time.monotonic()
            os.kill(former, signal.SIGKILL)
            until(lambda: httpd.log("main").count("CGW0104") > number, "the notice")
            times.append(time.monotonic() - began)
            until(lambda: has_control(httpd), "the other supervisor")
    assert lost(running) == []
    print(f"noticed after {sorted(round(t, 3) for t in times)}")
    assert not SOAK or statistics.median(times) < .1
