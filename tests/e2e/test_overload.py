# SPDX-License-Identifier: Apache-2.0
"""Five times as many requests as a group can serve: it serves on as much as it can, what
is refused is refused at once, and soon afterwards it is as it was before.

`make -f Makefile.apxs soak` runs the long version, with the promised numbers."""

import time

import pytest

from harness.load import Load
from harness.openloop import OpenLoop
from harness.paths import soak

WORK = soak(0.05, 0.1)  # seconds that a request takes
THREADS = 4     # that serve, in two processes
QUEUE = 20
APP = f'''
import time


def application(environ, start_response):
    time.sleep({WORK})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"1"]
'''


@pytest.fixture
def site(httpd):
    httpd.expect_log("CGW0160")
    httpd.wsgi(httpd.app("work.wsgi", APP), "CGatewayProcesses 2", "CGatewayThreads 2",
               f"CGatewayQueueSize {QUEUE}")
    httpd.start()
    httpd.wait_log("ready -> serving")
    return httpd


def capacity(httpd, seconds):
    """Requests a second, where there is always one that waits and none is refused."""
    with Load(httpd, "/", clients=2 * THREADS) as load:
        time.sleep(0.5)
        before = len(load.answers)
        time.sleep(seconds)
        served = len(load.answers) - before
    assert load.failures == []
    return served / seconds


def overload(httpd, rate, seconds):
    """The outcomes of requests that came once the queue was full, and the time when
    the last one came."""
    with OpenLoop(httpd.port, [("a.example", "/")], rate, fresh=1.0) as load:
        begun = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
    assert [o for o in load.outcomes if o.error] == []
    return [o for o in load.outcomes if begun + 1 <= o.intended < end], end


def quantile(values, part):
    return sorted(values)[int(part * (len(values) - 1))]


def test_an_overload_costs_no_more_than_what_is_too_much(site):
    before = capacity(site, soak(10, 3))
    outcomes, end = overload(site, 5 * THREADS / WORK, soak(31, 6))

    served = [o for o in outcomes if o.status == 200]
    refused = [o.latency for o in outcomes if o.status == 503]
    assert len(served) + len(refused) == len(outcomes)
    first = min(o.intended for o in outcomes)
    goodput = len(served) / (end - first)
    print(f"capacity {before:.1f}/s, goodput {goodput:.1f}/s, refused {len(refused)}: "
          f"median {quantile(refused, 0.5) * 1000:.1f} ms, "
          f"p99 {quantile(refused, 0.99) * 1000:.1f} ms; served: "
          f"p99 {quantile([o.latency for o in served], 0.99) * 1000:.0f} ms")
    assert len(refused) > 2 * len(served)
    assert goodput > soak(0.9, 0.75) * before
    # at once: a small part of what those wait whose turn comes
    assert quantile(refused, soak(0.95, 0.5)) < soak(0.05, quantile(
        [o.latency for o in served], 0.5) / 3)
    # none waited for much longer than the queue takes
    assert quantile([o.latency for o in served], 0.99) < soak(2, 6) * (
        QUEUE / THREADS + 2) * WORK

    time.sleep(max(0, end + soak(2, 4) - time.monotonic()))
    with OpenLoop(site.port, [("a.example", "/")], 0.5 * THREADS / WORK) as load:
        time.sleep(3)
    assert load.failures() == [], load.summary()
    assert load.latency(0.5) < soak(3, 10) * WORK
