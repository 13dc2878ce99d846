# SPDX-License-Identifier: Apache-2.0
"""Deploys and changes that follow each other before the one before has come to its end:
no request fails, and the last one is what stays."""

import contextlib
import signal
import subprocess

import pytest

from harness.ctl import Ctl
from harness.http2 import Http2
from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import AS_ROOT, MPM, PYTHON, soak
from harness.tls import server_certificate, trust

APP = """\
import os
import time

time.sleep({seconds})


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d {version}" % os.geteuid()]
"""


@contextlib.contextmanager
def load(httpd):
    """From before until behind what happens. No request fails, but for kept connections
    that httpd closes at graceful."""
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as gets, \
            OpenLoop(httpd.port, [("a.example", "/")], 20, method="POST",
                     body=b"x") as posts:
        until(lambda: len(gets.outcomes) > 10, "the load before")
        yield gets
        seen = len(gets.outcomes)
        until(lambda: len(gets.outcomes) > seen + 10, "the load behind")
    assert [o for running in (gets, posts) for o in running.failures()
            if o.error != "stale"] == []


def version(httpd, number, seconds=0.0):
    return httpd.app("version.wsgi", APP.format(version=number, seconds=seconds))


def stays(httpd, number, group="a.example", workers=2):
    """That version alone, in one generation."""
    until(lambda: httpd.get().text.split()[1:] == [str(number)], f"version {number}")
    until(lambda: len(httpd.group_processes(group)) == workers + 1
          and Ctl(httpd).group(group)["state"] == "serving", "the former ones to end")
    assert {httpd.get().text.split()[1] for _ in range(10)} == {str(number)}


def test_a_watched_file_that_does_not_come_to_rest(httpd):
    """Many versions, each as soon as the last one has been seen to change, or not even
    that; some take longer to import than the next one takes to come."""
    last = soak(40, 12)
    httpd.wsgi(version(httpd, 0))
    httpd.start()
    with load(httpd) as gets:
        for number in range(1, last + 1):
            version(httpd, number, 0.3 if number % 4 == 0 else 0)
            seen = len(gets.outcomes)
            until(lambda n=seen: len(gets.outcomes) > n + 4, "some requests")
        stays(httpd, last)
    assert 1 <= httpd.log().count("version.wsgi has changed") <= last


LONG_IMPORT = """\
import os, time
while not os.path.exists({go!r}):
    time.sleep(0.05)
"""


@pytest.mark.parametrize("before", ["nothing", "a version"])
def test_gracefuls_that_come_faster_than_the_application_imports(httpd, before):
    """Where each gave up the start of the one before, none would ever serve; and the last
    one is a reload of its own, since code may have changed behind the start's back."""
    go = str(httpd.root / "go")
    new = LONG_IMPORT.format(go=go) + APP.format(version=2, seconds=0)
    httpd.wsgi(version(httpd, 1), "CGatewayWatch Off")
    if before == "nothing":
        httpd.app("version.wsgi", new)
    httpd.start()
    if before != "nothing":
        stays(httpd, 1)
        httpd.app("version.wsgi", new)
    until(lambda: "waiting -> starting" in httpd.log(), "the first start")
    for _ in range(4):
        httpd.graceful()
    assert httpd.log().count("failed (a newer configuration)") == 1
    httpd.write("go", "")
    httpd.wait_log("reload: httpd was told to restart gracefully while")
    stays(httpd, 2)
    assert Ctl(httpd).group("a.example")["generation"] == (3 if before == "nothing" else 4)


def test_gracefuls_that_wait_for_nothing(httpd):
    """Each is sent as soon as the one before is written; httpd may take several as one.
    The application imports meanwhile."""
    httpd.wsgi(version(httpd, 0), "CGatewayWatch Off")
    httpd.start()
    with load(httpd) as gets:
        for number in range(1, 11):
            version(httpd, number, 0.3)
            httpd.signal(signal.SIGUSR1)
            seen = len(gets.outcomes)
            until(lambda n=seen: len(gets.outcomes) > n + number % 3 * 4, "some requests")
        httpd.graceful()
        stays(httpd, 10)


def test_a_release_is_switched_again_before_the_former_switch_is_done(httpd):
    """Each has many modules, of which an import never gets some of one release and some
    of another once all is at rest."""
    parts = [f"part{n}" for n in range(30)]
    for number in range(6):
        release = f"releases/{number}/shop"
        httpd.write(f"{release}/__init__.py", f"from shop import {', '.join(parts)}\n"
                    f"parts = [{', '.join(parts)}]\n"
                    + APP.format(version="%s", seconds=0).replace(
                        "% os.geteuid()", "% (os.geteuid(), ','.join(sorted("
                        "{p.release for p in parts})).encode())"))
        for part in parts:
            httpd.write(f"{release}/{part}.py", f"release = '{number}'\n")
    current = httpd.root / "current"
    current.symlink_to("releases/0")
    httpd.vhost("a.example", "CGatewayApplication shop", f"CGatewayPython {PYTHON}",
                f'CGatewayPath "{current}"')
    httpd.start()
    with load(httpd) as gets:
        for number in range(1, 6):
            (httpd.root / "next").symlink_to(f"releases/{number}")
            (httpd.root / "next").rename(current)
            seen = len(gets.outcomes)
            until(lambda n=seen: len(gets.outcomes) > n + 12, "some requests")
        stays(httpd, 5)


CHANGES = {"processes": (["CGatewayProcesses 1"], ["CGatewayProcesses 8"],
                         ["CGatewayProcesses 2"]),
           "user": (["CGatewayUser games"], ["CGatewayUser news"], []),
           "name": ("other", "another", "former")}


@pytest.mark.parametrize("what", CHANGES)
def test_a_group_changes_and_changes_back(httpd, what):
    """With a graceful for each, and no pause."""
    if what == "user" and not AS_ROOT:
        pytest.skip("httpd changes users only as root")

    def configure(change):
        name, lines = (change, []) if what == "name" else ("former", change)
        httpd.main(f"<CGatewayGroup {name}>\n" + "\n".join(
            [f'CGatewayApplication "{httpd.root}/apps/version.wsgi"',
             f"CGatewayPython {PYTHON}", *lines]) + "\n</CGatewayGroup>")
        httpd.vhost("a.example", f"CGatewayMount / {name}")

    version(httpd, 1)
    configure(CHANGES[what][-1])
    httpd.start()
    with load(httpd):
        for change in CHANGES[what] * soak(2, 1):
            configure(change)
            httpd.graceful()
        stays(httpd, 1, "former")
        for name in soak(("other", "another"), ()):
            until(lambda n=name: not httpd.group_processes(n), "the group to go")
            until(lambda n=name: not httpd.socket(n).exists(), "its socket")


# ---- connections that outlive deploys --------------------------------------------------

SLOW = """\
import pathlib
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"{version} "
    while environ["PATH_INFO"] == "/slow" and not pathlib.Path("{go_on}").exists():
        time.sleep(0.02)
    yield b"done"
"""


def serve_http2(httpd):
    httpd.load("http2")
    httpd.main("Protocols h2c http/1.1")
    httpd.wsgi(slow(httpd, 0), "CGatewayWatch Off")
    httpd.start()


def slow(httpd, number):
    return httpd.app("slow.wsgi", SLOW.format(version=number, go_on=httpd.root / "go-on"))


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_an_http2_connection_outlives_deploys(httpd):
    """Its streams are of all versions at a time."""
    serve_http2(httpd)
    ctl = Ctl(httpd)
    with Http2(httpd.port) as client:
        held = []
        for number in range(4):
            if number:
                slow(httpd, number)
                assert ctl("reload", "a.example").returncode == 0
            held.append(client.ask("/slow"))
            client.receive_until(lambda: held[-1].body)
            assert client.finish(client.ask("/")).body == b"%d done" % number
        (httpd.root / "go-on").touch()
        client.finish(*held)
    assert [(s.status, s.body) for s in held] == [
        (200, b"%d done" % number) for number in range(4)]


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_an_http2_stream_finishes_over_graceful(httpd):
    """Of a connection on which httpd takes no more of them then."""
    serve_http2(httpd)
    with subprocess.Popen(
            ["curl", "--silent", "--no-buffer", "--http2-prior-knowledge", "--header",
             "Host: a.example", f"http://127.0.0.1:{httpd.port}/slow"],
            stdout=subprocess.PIPE) as curl:
        assert curl.stdout.read(2) == b"0 "
        for number in range(1, 4):
            slow(httpd, number)
            httpd.graceful()
            until(lambda n=number: httpd.get("/").text == f"{n} done", "the new version")
        (httpd.root / "go-on").touch()
        assert curl.stdout.read() == b"done"
    assert curl.returncode == 0


def test_a_kept_connection_with_tls_outlives_deploys(httpd):
    port = httpd.listen()
    lines = server_certificate(httpd)
    app = slow(httpd, 0)
    httpd.vhost("a.example", f'CGatewayApplication "{app}"', f"CGatewayPython {PYTHON}",
                *lines, port=port)
    httpd.start()
    with httpd.connection(port=port, tls=trust(httpd)) as client:
        for number in range(1, 4):
            assert client.request("/").text == f"{number - 1} done"
            slow(httpd, number)
            until(lambda n=number: client.request("/").text == f"{n} done", "the new one")
            until(lambda: len(httpd.group_processes("a.example")) == 3, "the old to end")
