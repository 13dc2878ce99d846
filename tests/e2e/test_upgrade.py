# SPDX-License-Identifier: Apache-2.0
"""A newer mod_cgateway is installed over one that runs, or an older one, and
`graceful` does the rest. The other version is this one with other numbers of
protocols."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from harness.ctl import Ctl
from harness.httpd import arguments, until
from harness.openloop import OpenLoop
from harness.paths import BUILD, ROOT, SOCKET

# One for the plain build and for that with sanitizers.
OTHER = ROOT / "build" / "other-version"
OTHER_FLAGS = "-O0 -DCGW_CONTROL_VERSION=1000 -DCGW_WIRE_VERSION=1000"
APP = """\
import os
import time


def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


def digest():
    """Of all that the build is made of."""
    sources = [ROOT / "Makefile.apxs", ROOT / "mod_cgateway.c"]
    for directory in ("module", "daemon", "worker", "common", "include"):
        sources += sorted(p for p in (ROOT / directory).rglob("*") if p.is_file()
                          and p.suffix in (".c", ".h", ".py"))
    return hashlib.sha1(b"".join(p.read_bytes() for p in sources)).hexdigest()


@pytest.fixture(scope="module")
def other():
    """The build of the other version, whole: objects of different days do not mix."""
    OTHER.mkdir(parents=True, exist_ok=True)
    with open(OTHER / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)    # tests run at the same time
        built = OTHER / digest()
        if not (built / "complete").exists():
            for former in OTHER.iterdir():
                if former.is_dir():
                    shutil.rmtree(former)
            subprocess.run(["make", "-s", "-j2", "-f", "Makefile.apxs", "BUILD=" + os.path.relpath(built, ROOT),
                            f"CFLAGS={OTHER_FLAGS}", "SANITIZE=", "all"], cwd=ROOT,
                           check=True)
            (built / "complete").touch()
    return built


def install(httpd, build, *names):
    """As install(1) does: a new file takes the place of each, which may be in use."""
    names = names or ["mod_cgateway.so", "cgateway/cgatewayd",
                      "cgateway/_cgateway.abi3.so"]
    for name in names:
        target = httpd.root / "modules" / name
        new = target.with_name(target.name + ".new")
        shutil.copy(build / name, new)
        new.chmod(0o755)
        new.replace(target)


def supervisors(httpd):
    return {pid for pid in httpd.processes() if arguments(pid)[0].endswith("/cgatewayd")}


def start(httpd, *lines):
    httpd.wsgi(httpd.app("plain.wsgi", APP), *lines)
    httpd.start()
    httpd.get()


def is_taken_over(httpd, former):
    """By one supervisor and its processes alone."""
    now = supervisors(httpd)
    return len(now) == 1 and not now & former \
        and len(httpd.group_processes("a.example")) == 3


def switch(httpd, build, *names):
    """Installs another build under a running httpd."""
    former = supervisors(httpd)
    install(httpd, build, *names)
    httpd.graceful()
    until(lambda: is_taken_over(httpd, former), "the former supervisor to end")


def sockets(httpd):
    return {p.name for p in (httpd.root / "run").iterdir()} - {"control", "lock"}


def test_an_upgrade_and_a_downgrade_fail_no_request(httpd, other):
    start(httpd)
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as load, \
            OpenLoop(httpd.port, [("a.example", "/?5")], 1, fresh=1) as lasting:
        until(lambda: len(lasting.outcomes) >= 1, "the load before")
        switch(httpd, other)
        assert sockets(httpd) == {"a.example.sock1000"}
        assert Ctl(httpd).json("status")["pid"] == httpd.supervisor()
        switch(httpd, BUILD)
        assert sockets(httpd) == {"a.example" + SOCKET}
        seen = len(load.outcomes)
        until(lambda: len(load.outcomes) > seen + 50, "the load after")
    print(f"\n{load.summary()}\nlasting 5 s: {lasting.summary()}\n"
          f"p50 {load.latency(.5):.4f} max {load.latency():.4f} s")
    assert [o for o in load.failures() if o.error != "stale"] == []
    assert {o.status for o in lasting.outcomes} == {200}


def test_a_newer_supervisor_of_the_same_protocol_takes_over(httpd):
    """The sockets stay; nothing waits for the import."""
    start(httpd)
    inode = httpd.socket().stat().st_ino
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as load, \
            OpenLoop(httpd.port, [("a.example", "/?3")], 1, fresh=1) as lasting:
        until(lambda: len(load.outcomes) > 50, "the load before")
        for _ in range(3):
            switch(httpd, BUILD, "cgateway/cgatewayd")
        seen = len(load.outcomes)
        until(lambda: len(load.outcomes) > seen + 50, "the load after")
    assert [o for o in load.failures() if o.error != "stale"] == []
    assert {o.status for o in lasting.outcomes} == {200}
    assert httpd.socket().stat().st_ino == inode


@pytest.mark.parametrize("version", ["same", "other"])
def test_a_sleeping_group_is_handed_over(httpd, other, version):
    """Both supervisors watch its socket for a moment; a request wakes one of them, or
    both, and is answered. Between the installation of another version and graceful
    nothing can be started: no request comes then."""
    lines = ("CGatewayStart demand", "CGatewayIdleTimeout 1s")
    httpd.wsgi(httpd.app("plain.wsgi", APP), *lines)
    httpd.start()
    for build in (other, BUILD) if version == "other" else (BUILD, BUILD):
        former = supervisors(httpd)
        install(httpd, build, *(["cgateway/cgatewayd"] if version == "same" else []))
        httpd.graceful()
        with OpenLoop(httpd.port, [("a.example", "/")], 5) as load:
            until(lambda f=former: not f & supervisors(httpd), "the former one to end")
            until(lambda n=load: len(n.outcomes) > 10, "the load")
        assert [o for o in load.failures() if o.error != "stale"] == []
        until(lambda: httpd.group_processes("a.example") == [], "it to sleep")
    assert httpd.get().status == 200


@pytest.mark.parametrize("how", ["stop", "restart", "kill_parent"])
def test_the_end_of_httpd_during_an_upgrade_is_the_end_of_all(httpd, other, how):
    """After the test nothing may be left of either version."""
    start(httpd, "CGatewayDrainTimeout 1s")
    former = supervisors(httpd)
    install(httpd, other)
    httpd.graceful()
    getattr(httpd, how)()
    if how == "restart":
        until(lambda: is_taken_over(httpd, former), "the former supervisor to end")
        assert httpd.get().status == 200
        assert sockets(httpd) == {"a.example.sock1000"}
    else:
        until(lambda: not httpd.processes(), "every process to end")
        until(lambda: not (httpd.root / "run").exists(), "the runtime directory to go")


def test_what_is_installed_does_not_start(httpd):
    """The former one goes on; once it is repaired, the new one takes over."""
    httpd.expect_log("CGW0103", "CGW0101")
    start(httpd)
    former = supervisors(httpd)
    broken = httpd.mkdir("broken/cgateway")
    (broken / "cgatewayd").write_text("#!/bin/sh\nexit 1\n")
    install(httpd, broken.parent, "cgateway/cgatewayd")
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as load:
        until(lambda: len(load.outcomes) > 20, "the load before")
        httpd.graceful()
        httpd.wait_log("CGW0103", "main")
        seen = len(load.outcomes)
        until(lambda: len(load.outcomes) > seen + 50, "the load after")
        assert supervisors(httpd) == former
        switch(httpd, BUILD, "cgateway/cgatewayd")
    assert [o for o in load.failures() if o.error != "stale"] == []


def test_an_upgrade_without_graceful_leaves_what_runs(httpd, other):
    """New processes of the group cannot be had, and the log says what to do."""
    httpd.expect_log("CGW0213", "CGW0294", "CGW0221", "CGW0230", r"\] a\.example: ")
    start(httpd)
    former = supervisors(httpd)
    workers = until(lambda: len(w := set(httpd.workers("a.example"))) == 2 and w,
                    "two workers")
    install(httpd, other)
    assert Ctl(httpd)("reload", "a.example").returncode != 0
    httpd.wait_log("CGW0294.*apachectl graceful")
    httpd.wait_log("CGW0230")
    assert int(httpd.get().text) in workers
    httpd.graceful()
    until(lambda: is_taken_over(httpd, former), "the former supervisor to end")
    assert int(httpd.get().text) not in workers


def test_a_supervisor_that_dies_after_an_upgrade_without_graceful(httpd, other):
    """The old module, which is still loaded, cannot talk to the new supervisor."""
    httpd.expect_log("CGW0104", "CGW0293", "CGW0103", "CGW0130")
    start(httpd)
    former = supervisors(httpd)
    install(httpd, other)
    os.kill(next(iter(former)), signal.SIGKILL)
    httpd.wait_log("CGW0293.*apachectl graceful", "main")
    httpd.wait_log("CGW0103", "main")
    httpd.graceful()
    until(lambda: is_taken_over(httpd, former), "the new supervisor")
    assert httpd.get().status == 200
