# SPDX-License-Identifier: Apache-2.0
"""A site that crashes again and again, and those beside it."""

import re
import time

from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import PATIENCE, soak

# Each worker ends soon after it was forked.
CRASHING = """\
import os
import threading


def begin():
    threading.Timer(0.2, os._exit, [3]).start()


os.register_at_fork(after_in_child=begin)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"for a while"]
"""
CRASHING_URL = """\
import os


def application(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
"""
FLOOD = "import sys\nsys.stderr.write('x' * 100 + '\\n')\n" * 3000
BROKEN = {"crashes": CRASHING,
          "does not load": "raise RuntimeError('broken')\n",
          "floods its log and does not load": FLOOD + "raise RuntimeError('broken')\n"}


def broken_on_purpose(httpd, name):
    httpd.expect_log("CGW0213", "CGW0221", "CGW0231", "CGW0411", "CGW0121", "CGW0132",
                     "CGW0133", "CGW0123", rf"\] {name}: ", rf"{name}: group {name} has")


def count(httpd, word, name):
    return httpd.log(name).count(word)


def test_a_crash_loop_slows_down_and_says_so_once_for_each_attempt(httpd):
    """Attempts after 0, 1, 2, 4... seconds; four workers die at each of them."""
    broken_on_purpose(httpd, "bad.example")
    httpd.wsgi(httpd.app("bad.wsgi", CRASHING), "CGatewayProcesses 4",
               name="bad.example")
    httpd.start()
    began = time.monotonic()
    until(lambda: count(httpd, "CGW0213", "bad.example") >= 4, "some attempts",
          3 * PATIENCE)
    took = time.monotonic() - began
    assert took >= 2, "it slows down"
    until(lambda: re.search(r"and so did \d+ others", httpd.log("bad.example")),
          "those that were not told of", 3 * PATIENCE)
    deaths = count(httpd, "CGW0213", "bad.example")
    assert deaths <= 4 + 3 + (time.monotonic() - began) / 4


def test_a_url_that_crashes_its_workers_takes_nothing_from_the_others(httpd):
    """Each crash ends both workers, since a GET is repeated once."""
    httpd.expect_log("CGW0213", "CGW0132", "CGW0133", r"\[\d+\] a\.example: ")
    httpd.wsgi(httpd.app("url.wsgi", CRASHING_URL), "CGatewayProcesses 2")
    httpd.start()
    httpd.wait_log("ready -> serving")
    for _ in range(8):
        assert httpd.get("/").status == 200
        assert httpd.get("/crash").status == 502
    assert httpd.get("/").status == 200
    assert count(httpd, "CGW0213", "a.example") >= 8


def test_requests_of_a_site_that_does_not_start_make_a_line_a_second(httpd):
    broken_on_purpose(httpd, "bad.example")
    httpd.wsgi(httpd.app("bad.wsgi", BROKEN["does not load"]), name="bad.example")
    httpd.start()
    until(lambda: httpd.get(host="bad.example").status == 503, "the refusal")
    began = time.monotonic()
    with OpenLoop(httpd.port, [("bad.example", "/")], 100) as load:
        until(lambda: len(load.outcomes) > 300, "the load")
    assert {o.status for o in load.outcomes} == {503}
    said = len(re.findall("CGW0121.*no worker", httpd.log("bad.example")))
    assert 1 <= said <= 3 + time.monotonic() - began


def test_broken_sites_change_nothing_for_the_others(httpd):
    """One site crashes, one does not load, one floods its log besides; the others'
    requests are answered, and in the soak, with nothing else on the machine, as fast
    as before: a ratio of the same run."""
    sites, rate, seconds = soak((47, 200, 20), (7, 100, 4))
    names = [f"s{number}.example" for number in range(sites)]
    for name in names:
        httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{httpd.root}"',
                   "CGatewayProcesses 1", "CGatewayReloadOnGraceful changed",
                   name=name)
    httpd.start()
    until(lambda: all(httpd.workers(name) for name in names), "all sites", 180)
    targets = [(name, "/quick") for name in names]

    def measure():
        with OpenLoop(httpd.port, targets, rate) as load:
            until(lambda: len(load.outcomes) > rate * seconds, "the load", 300)
        return load
    before = measure()
    for number, (what, source) in enumerate(BROKEN.items()):
        name = f"bad{number}.example"
        broken_on_purpose(httpd, name)
        httpd.wsgi(httpd.app(f"bad{number}.wsgi", source), name=name)
    httpd.graceful()
    until(lambda: all(len(httpd.log(f"bad{n}.example")) > 1000 for n in range(3)),
          "the broken sites")
    with OpenLoop(httpd.port, [(f"bad{n}.example", "/") for n in range(3)], 30):
        after = measure()
    quantiles = [(q, before.latency(q), after.latency(q)) for q in (.5, .9, .99)]
    print("\n" + "\n".join(f"p{q * 100:.0f}: {a * 1000:.2f} ms before, {b * 1000:.2f} ms "
                           "beside broken sites" for q, a, b in quantiles))
    assert [o for o in after.failures() if o.error != "stale"] == []
    for _, a, b in quantiles:
        assert b <= soak(2 * a + 0.005, float("inf"))
