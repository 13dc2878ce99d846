# SPDX-License-Identifier: Apache-2.0
"""One site among 50 goes wrong, in each way that is known; the requests of the others
take as long as while it is well. Broken starts and crash loops: test_crash_loops.py."""

import collections
import contextlib
import threading
import time

import pytest

from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import SOAK

GOOD = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
"""
BAD = """\
import os
import sys
import time

KEPT = []


def log(lines):
    begun = time.monotonic()
    for number in range(lines):
        sys.stderr.write(f"a line that somebody thought to be useful {number}\\n")
        if number % 1000 == 0:
            time.sleep(max(0, begun + number / lines - time.monotonic()))


def fork():
    if os.fork() == 0:
        os._exit(0)


WAYS = {"/crashes": lambda: os._exit(3), "/hangs": lambda: time.sleep(1000),
        "/eats": lambda: KEPT.append(b"x" * (5 << 20)), "/is-slow": lambda: time.sleep(0.05),
        "/logs": lambda: log(100_000), "/forks": fork}


def application(environ, start_response):
    environ["wsgi.input"].read()
    WAYS.get(environ["PATH_INFO"], list)()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
"""
# requests a second; /is-slow: five times what it can
WAYS = {"crashes": 30, "hangs": 20, "eats": 20, "is-slow": 400, "logs": 1, "forks": 30}
LINES = ["CGatewayProcesses 2", "CGatewayThreads 2", "CGatewayQueueSize 20",
         "CGatewayMaxMemory 60M", "CGatewayRequestTimeout 2s", "CGatewayDrainTimeout 3s"]
OTHERS, RATE, SECONDS, ROUNDS, SENDERS = 49, 200, 4, 3, 40


@contextlib.contextmanager
def slow_senders(httpd):
    """Clients whose bodies come drop by drop."""
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpd.raw()) for _ in range(SENDERS)]
        for client in clients:
            client.send(b"POST / HTTP/1.1\r\nHost: bad.example\r\n"
                        b"Content-Length: 1000000\r\n\r\n")

        def drip():
            while not ended.wait(0.2):
                for client in clients:
                    client.send(b"x" * 500)
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def going_wrong(httpd, way):
    if way == "has slow clients":
        return slow_senders(httpd)
    return OpenLoop(httpd.port, [("bad.example", f"/{way}")], WAYS[way], fresh=1.0)


def measure(httpd, names):
    """How long the others take."""
    with OpenLoop(httpd.port, [(name, "/") for name in names], RATE) as load:
        time.sleep(SECONDS)
    assert [o for o in load.failures() if o.error != "stale"] == [], load.summary()
    return [o.latency - o.late for o in load.outcomes if not o.error]


def told(way, state, values):
    """The median, and the 99th percentile."""
    values.sort()
    p50, p99 = (values[int(len(values) * part)] for part in (0.5, 0.99))
    print(f"{way}, {state}: p50 {1000 * p50:.2f} ms, p99 {1000 * p99:.2f} ms, "
          f"all {1000 * values[-1]:.1f} ms")
    return p50, p99


@pytest.mark.skipif(not SOAK, reason="the soak measures it")
def test_a_site_that_goes_wrong_changes_nothing_for_49_others(httpd):
    """In turn with times in which it is well."""
    httpd.expect_log("CGW0121", "CGW0132", "CGW0133", "CGW0160", "CGW0213", "CGW026[01]",
                     "CGW0275", "CGW0441", r"\] bad\.example: ")
    httpd.main("LogLevel notice", "level")
    names = [f"s{number}.example" for number in range(OTHERS)]
    good = httpd.app("good.wsgi", GOOD)
    for name in names:
        httpd.wsgi(good, "CGatewayProcesses 1", "CGatewayPreload off", name=name)
    httpd.wsgi(httpd.app("bad.wsgi", BAD), *LINES, name="bad.example")
    httpd.start()
    until(lambda: all(httpd.workers(name) for name in names), "all sites", 180)
    for way in [*WAYS, "has slow clients"]:
        taken = collections.defaultdict(list)
        for _ in range(ROUNDS):
            taken["well"] += measure(httpd, names)
            with going_wrong(httpd, way):
                time.sleep(1)
                taken["wrong"] += measure(httpd, names)
            until(lambda: httpd.get(host="bad.example").status == 200, "it to be well")
        before, beside = (told(way, state, taken[state]) for state in ("well", "wrong"))
        for a, b in zip(before, beside):
            assert b <= 2 * a + 0.005
