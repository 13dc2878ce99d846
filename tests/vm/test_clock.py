# SPDX-License-Identifier: Apache-2.0
"""The machine's own clock jumps."""

import os
import time

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.lasting import Requests, load
from harness.starters import that_serves

DAY = 86400
YEARS = 10 * 365 * DAY

site = that_serves("faults.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16")


@pytest.fixture
def clock():
    """A function that moves the wall clock; behind the test it is right again."""
    difference = time.time() - time.monotonic()

    def jump(seconds):
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    yield jump
    time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + difference)


def only_stale(running):
    """What failed, but for kept connections that httpd took for idle."""
    return [o for o in running.failures() if o.error != "stale"]


def more(running, count=50):
    seen = len(running.outcomes)
    until(lambda: len(running.outcomes) > seen + count, "the load behind")


@pytest.mark.parametrize("jumps", [[DAY], [-DAY], [YEARS], [-YEARS], [DAY, -DAY] * 10,
                                   [3600, -7200, YEARS, -YEARS, -3600, 7200, 1, -1]],
                         ids=["day", "-day", "years", "-years", "to and fro", "mixed"])
def test_a_jump_ends_no_request_and_no_process(httpd, site, marks, clock, jumps):
    """Whatever times it has configured."""
    workers = site("CGatewayRequestTimeout 100s", "CGatewayQueueTimeout 100s",
                   "CGatewayMaxLifetime 1000s", "CGatewayDeadlockTimeout 100s",
                   "CGatewayIdleTimeout 500s", "CGatewayDrainTimeout 100s")
    requests = Requests(httpd, marks)
    with load(httpd, rate=25) as running:
        requests.start()
        for seconds in jumps:
            clock(seconds)
            more(running, 10)
        more(running)
        results = requests.finish()
    assert set(results.values()) == {200}
    assert only_stale(running) == []
    assert set(httpd.workers("a.example")) == workers


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_times_are_as_long_as_before(httpd, site, marks, clock, seconds):
    """A request that hangs gets its 504, an idle group sleeps, a file that is changed is
    loaded, though it seems to be older than before; a deploy drains."""
    httpd.expect_log("CGW0121", "CGW0260", "CGW0275", "CGW0132", r"\] a\.example: ")
    workers = site("CGatewayRequestTimeout 3s", "CGatewayDrainTimeout 2s")
    with httpd.raw() as raw:
        raw.send(b"GET /wait/0 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        until(lambda: list(marks.glob("wait-0-*")), "the request to run")
        clock(seconds)
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 504 ")
    until(lambda: len(set(httpd.workers("a.example"))) == 2
          and set(httpd.workers("a.example")) != workers, "the replacement")
    workers = set(httpd.workers("a.example"))
    os.utime(httpd.root / "apps" / "faults.wsgi")
    until(lambda: not workers & set(httpd.workers("a.example")), "the reload")
    told = Ctl(httpd)
    assert told("status").returncode == 0 and told("requests", "a.example").returncode == 0
    httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"', "CGatewayIdleTimeout 2s")
    httpd.graceful()
    until(lambda: not httpd.group_processes("a.example"), "it to sleep")
    clock(-seconds)
    assert httpd.get("/quick").status == 200, "a request wakes it"
