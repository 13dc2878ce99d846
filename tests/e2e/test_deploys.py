# SPDX-License-Identifier: Apache-2.0
"""No deploy and no restart fails a request, under a load that counts every stall.

`make -f Makefile.apxs soak` runs the long versions.
"""

import re
import time

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import soak

# As many versions of an application as there are deploys.
APP = """\
import os
import time

time.sleep({seconds})


def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    body = b"{version} %d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""


def app(httpd, version):
    return httpd.app("version.wsgi", APP.format(version=version, seconds=0))


def versions(load, since=0.0):
    return [o.body.split()[0].decode() for o in list(load.outcomes)
            if o.intended >= since and o.status == 200]


def at_rate(count, seconds):
    """Paces the steps of a test: an iterator that takes so long, unless a step
    takes longer."""
    start = time.monotonic()
    for number in range(count):
        time.sleep(max(0, start + number * seconds / count - time.monotonic()))
        yield number


# ---- graceful restarts --------------------------------------------------------------

def test_graceful_restarts_fail_no_request(httpd, plain_httpd):
    """The bar: what httpd itself does to kept connections at a graceful restart, and
    nothing else."""
    restarts, seconds, rate = soak((100, 60, 200), (10, 10, 100))
    lasting, many = soak((20, 2), (4, 2))
    httpd.wsgi(app(httpd, "1"))
    plain_httpd.write("www/index.html", "1")
    plain_httpd.vhost("a.example", f'DocumentRoot "{plain_httpd.root}/www"')
    for server in (httpd, plain_httpd):
        # httpd's children live as long as their longest request
        server.main("ServerLimit 128")
        server.start()
    with OpenLoop(httpd.port, [("a.example", f"/?{lasting}")], many, 1) as long, \
            OpenLoop(httpd.port, [("a.example", "/")], rate) as load, \
            OpenLoop(plain_httpd.port, [("a.example", "/index.html")], rate) as plain:
        for _ in at_rate(restarts, seconds):
            plain_httpd.graceful()
            httpd.graceful()
    print(f"\nlong: {long.summary()}\nours: {load.summary()}\nplain: {plain.summary()}"
          f"\np50 {load.latency(.5):.4f} p99 {load.latency(.99):.4f} "
          f"max {load.latency():.4f} s; plain p50 {plain.latency(.5):.4f} "
          f"p99 {plain.latency(.99):.4f} max {plain.latency():.4f} s")
    assert {o.status for o in long.outcomes} == {200}
    assert min(o.latency for o in long.outcomes) >= lasting
    assert load.server_errors() == []
    assert load.resets(fresh=True) == [] == plain.resets(fresh=True)
    # a kept connection may be closed by httpd just as the client uses it
    assert {o.error for o in load.resets()} <= {"stale"}
    assert len(load.resets()) <= 2 * len(plain.resets()) + 10


# ---- good and broken deploys ---------------------------------------------------------

@pytest.fixture(params=["graceful", "watch", "control"])
def deploy(request, httpd):
    """A function that puts a version of the application in place, and says so in one
    of the ways that there are. `deploy.lines` configure that way."""
    def put(source):
        httpd.app("version.wsgi", source)
        if request.param == "graceful":
            httpd.graceful()
        elif request.param == "control":
            Ctl(httpd)("reload", "a.example")
    put.way = request.param
    put.lines = ["CGatewayWatch On" if put.way == "watch" else "CGatewayWatch Off"]
    return put


def start(httpd, deploy, *lines):
    """Version 1, in full strength."""
    httpd.wsgi(app(httpd, "1"), *deploy.lines, *lines)
    httpd.start()
    until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "all workers")


def unanswered(load, deploy):
    """Failures, without the kept connections that httpd closes at graceful."""
    return [o for o in load.failures()
            if not (deploy.way == "graceful" and o.error == "stale")]


def serves(load, version):
    """Waits until the version answers, and nothing else does. While a generation takes
    over, both answer."""
    since = time.monotonic()
    until(lambda: len(versions(load, since)) > 30
          and set(versions(load, since)[-30:]) == {version}, f"version {version} alone")


def test_a_good_deploy_is_not_noticed(httpd, deploy):
    """The import's 2 s are nobody's, nor is the second that httpd may take to see that
    it needs children. Where other tests run meanwhile, the import takes so long that
    their share of the delay is small beside it."""
    seconds, late = soak((2, 0.2), (10, 7))
    start(httpd, deploy)
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as load:
        until(lambda: len(load.outcomes) > soak(500, 100), "the load before")
        began = time.monotonic()
        deploy(APP.format(version="2", seconds=seconds))
        until(lambda: versions(load)[-1:] == ["2"], "the new version")
        until(lambda: len(httpd.workers("a.example")) == 2, "the old workers to end")
        serves(load, "2")
    before, after = load.latency(until=began), load.latency(since=began)
    print(f"\n{load.summary()}: before at most {before:.4f} s, after {after:.4f} s")
    assert unanswered(load, deploy) == []
    assert after <= before + late


BROKEN = {
    "raises": ("raise RuntimeError('bad deploy')",
               r"Traceback \(most recent call last\)", "RuntimeError: bad deploy"),
    "exits": ("import sys\nsys.exit('bad deploy')",
              r"Traceback \(most recent call last\)", "SystemExit: bad deploy"),
    "crashes": ("import ctypes\n\nctypes.string_at(0)",
                "Fatal Python error: Segmentation fault", r'version.wsgi", line 3'),
    "hangs": ("import time\n\ntime.sleep(600)",
              "CGW0220.*CGatewayStartTimeout", r'version.wsgi", line 3'),
    "has another callable": ("app = print", "CGW0411", "defines no callable 'application'")}


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_deploy_is_not_noticed_and_is_mended(httpd, deploy, breakage):
    source, *words = BROKEN[breakage]
    httpd.expect_log(r"CGW0221", r"CGW0230", r"CGW0220", r"CGW0411", r"CGW0213",
                     r"\] a\.example: ")
    # long enough for an import on a machine that has much else to do
    start(httpd, deploy, f"CGatewayStartTimeout {10 if breakage == 'hangs' else 60}s")
    ctl, workers = Ctl(httpd), set(httpd.workers("a.example"))
    with OpenLoop(httpd.port, [("a.example", "/")], 50) as load:
        until(lambda: len(load.outcomes) > 50, "the load before")
        deploy(source + "\n")
        httpd.wait_log("CGW0230")
        serves(load, "1")
        group = ctl.group("a.example")
        assert (group["state"], group["generation"]) == ("serving", 1)
        assert group["last_failure"]["generation"] == 2
        assert re.search(words[-1], group["last_failure"]["output"])
        assert set(httpd.workers("a.example")) == workers
        deploy(APP.format(version="3", seconds=0))
        serves(load, "3")
    print(f"\n{load.summary()}")
    assert unanswered(load, deploy) == []
    log = httpd.log()
    assert (log.count("CGW0221"), log.count("CGW0230")) == (1, 1)
    for word in words:
        assert len(re.findall(word, log)) == 1, word
