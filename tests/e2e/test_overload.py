# SPDX-License-Identifier: Apache-2.0
"""Five times as many requests as a group can serve: it serves on as much as it can, what
is refused is refused at once, and soon afterwards it is as it was before.

`make -f Makefile.apxs soak` runs the long version, with the promised numbers."""

import contextlib
import subprocess
import time

import pytest

from harness.load import Load
from harness.openloop import OpenLoop, Outcome
from harness.paths import MPM, SOAK, soak

WORK = soak(0.05, 0.1)  # seconds that a request takes
THREADS = 4     # that serve, in two processes
QUEUE = 20
# Enough of them, and from the beginning: it starts one in the first second, two in the
# next.
PREFORK = """ServerLimit 160
MaxRequestWorkers 160
StartServers 120
MinSpareServers 20
MaxSpareServers 160
"""
FILES = "files.example"     # of httpd's own, asked at the same time
APP = f'''
import time

WORK = {{"/fast": 0.2, "/slow": 1.8}}


def application(environ, start_response):
    environ["wsgi.input"].read()
    time.sleep({WORK} * WORK.get(environ["PATH_INFO"], 1))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"1"]
'''


@pytest.fixture
def site(httpd):
    """Starts as many groups. Their threads, and what waits for them, do not take all
    of httpd's (docs/operations.md), not even those of prefork."""
    def start(groups=1, lines=()):
        httpd.expect_log("CGW0160")
        if MPM == "prefork":
            httpd.main(PREFORK)
        path = httpd.app("work.wsgi", APP)
        httpd.mkdir("files")
        httpd.write("files/file", "x" * 500)
        httpd.vhost(FILES, f'DocumentRoot "{httpd.root}/files"', *lines)
        hosts = [f"{letter}.example" for letter in "abcdefgh"[:groups]]
        for host in hosts:
            httpd.wsgi(path, "CGatewayProcesses 2", "CGatewayThreads 2",
                       f"CGatewayQueueSize {QUEUE}", *lines, name=host)
        httpd.start()
        for host in hosts:
            httpd.wait_log("ready -> serving", host)
        return httpd
    return start


def capacity(httpd, seconds):
    """Requests a second, where there is always one that waits and none is refused."""
    with Load(httpd, "/", clients=2 * THREADS) as load:
        time.sleep(0.5)
        before = len(load.answers)
        time.sleep(seconds)
        served = len(load.answers) - before
    assert load.failures == []
    return served / seconds


def overload(httpd, rate, seconds, targets=(("a.example", "/"),), **options):
    """The outcomes of requests that came once the queue was full, and the time when
    the last one came."""
    with OpenLoop(httpd.port, [(FILES, "/file")], 20, fresh=1.0) as files, \
            OpenLoop(httpd.port, list(targets), rate, **{"fresh": 1.0, **options}) as load:
        begun = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
    assert [o for o in load.outcomes + files.outcomes if o.error] == []
    print(f"a file of httpd's own meanwhile: p99 {1000 * files.latency(0.99):.1f} ms")
    return [o for o in load.outcomes if begun + 1 <= o.intended < end], end


def quantile(values, part):
    return sorted(values)[int(part * (len(values) - 1))]


def goodput_of(outcomes, end):
    """Requests served in a second; all others are refused. How fast, is counted from
    when this client sent them: on a busy machine it may be late itself."""
    served = [o for o in outcomes if o.status == 200]
    refused = [o.latency - o.late for o in outcomes if o.status == 503]
    assert len(served) + len(refused) == len(outcomes)
    rate = len(served) / (end - min(o.intended for o in outcomes))
    print(f"goodput {rate:.1f}/s, refused {len(refused)}: "
          f"median {quantile(refused, 0.5) * 1000:.1f} ms, "
          f"p99 {quantile(refused, 0.99) * 1000:.1f} ms, "
          f"all {max(refused) * 1000:.1f} ms; this client was late by up to "
          f"{max(o.late for o in outcomes) * 1000:.0f} ms; served: "
          f"p99 {quantile([o.latency for o in served], 0.99) * 1000:.0f} ms")
    return rate, served, refused


def test_an_overload_costs_no_more_than_what_is_too_much(site):
    site = site()
    before = capacity(site, soak(10, 3))
    outcomes, end = overload(site, 5 * THREADS / WORK, soak(31, 6))

    goodput, served, refused = goodput_of(outcomes, end)
    print(f"capacity {before:.1f}/s")
    # what others leave of the machine, to this client too, changes where they run meanwhile
    assert len(refused) > soak(2, 0) * len(served)
    asked = goodput * len(outcomes) / len(served)
    assert goodput > soak(0.9, 0.25) * min(before, asked)
    if SOAK:
        assert quantile(refused, 0.99) < 0.05
        # none waited for much longer than the queue takes
        assert quantile([o.latency for o in served], 0.99) < 2 * (
            QUEUE / THREADS + 2) * WORK
    # at once, and not when their turn comes
    assert quantile(refused, 0.5) < quantile([o.latency - o.late for o in served], 0.5)

    time.sleep(max(0, end + soak(2, 4) - time.monotonic()))
    with OpenLoop(site.port, [("a.example", "/")], soak(
            0.5 * THREADS / WORK, 0.5 * min(before, goodput))) as load:
        time.sleep(3)
    assert load.failures() == [], load.summary()
    assert load.latency(0.5) < soak(3 * WORK, float("inf"))


ALL = [("a.example", "/"), ("a.example", "/fast"), ("a.example", "/slow")]


@pytest.mark.skipif(not SOAK, reason="the soak measures it")
@pytest.mark.parametrize("options", [
    {"fresh": 0.0}, {"method": "POST", "body": b"b" * 20000},
    {"method": "POST", "body": b"b" * 100000}, {"targets": ALL}],
    ids=["kept", "uploads", "larger uploads", "mixed"])
def test_an_overload_of_any_kind_leaves_the_goodput(site, options):
    """Kept connections, requests with bodies, fast and slow ones in turn: their mean
    is as long as all others take."""
    outcomes, end = overload(site(), 5 * THREADS / WORK, 20, **options)
    goodput, _, refused = goodput_of(outcomes, end)
    assert goodput > 0.9 * THREADS / WORK
    assert quantile(refused, 0.99) < 0.05


@pytest.mark.skipif(not SOAK, reason="the soak measures it")
def test_clients_that_send_slowly_beside_an_overload_change_nothing(site):
    """As many as the queue is long: each holds a thread of httpd, and none of a
    worker or a place in the queue."""
    httpd = site()
    with contextlib.ExitStack() as stack:
        for _ in range(QUEUE):
            raw = stack.enter_context(httpd.raw())
            raw.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n"
                     b"\r\n" + 50000 * b"b")
        outcomes, end = overload(httpd, 5 * THREADS / WORK, 20)
    goodput, _, refused = goodput_of(outcomes, end)
    assert goodput > 0.9 * THREADS / WORK
    assert quantile(refused, 0.99) < 0.05


@pytest.mark.skipif(not SOAK or MPM == "prefork", reason="the soak measures it")
@pytest.mark.parametrize("size", [0, 20000, 100000])
def test_an_overload_over_http2(httpd, site, size):
    """20 connections with as many streams as they like."""
    httpd.load("http2")
    site(lines=["Protocols h2c http/1.1"])
    body, log = httpd.write("body", "b" * size), httpd.root / "h2load.log"
    subprocess.run(["h2load", "-c", "20", "--rps", str(THREADS / WORK / 4), "-m", "20", "-D",
                    "20", "--log-file", log, "-H", ":authority: a.example",
                    *(["-d", body] if size else []), f"http://127.0.0.1:{httpd.port}/"],
                   check=True, capture_output=True)
    # microseconds: begun (of the wall clock), and taken
    rows = [[int(word) for word in line.split()] for line in log.read_text().splitlines()]
    first = min(begun for begun, _, _ in rows)
    outcomes = [Outcome((begun - first) / 1e6, taken / 1e6, "a.example", "/", False,
                        status=status) for begun, status, taken in rows]
    goodput, _, refused = goodput_of([o for o in outcomes if 1 <= o.intended < 20], 20)
    assert goodput > 0.9 * THREADS / WORK
    assert quantile(refused, 0.99) < 0.05


@pytest.mark.skipif(not SOAK, reason="the soak measures it")
def test_groups_that_are_overloaded_cost_another_one_nothing(site):
    """Two of them, at five times what they can; the third has half of what it can."""
    httpd = site(3)
    busy = [("a.example", "/"), ("b.example", "/")]
    with OpenLoop(httpd.port, [("c.example", "/")], 0.5 * THREADS / WORK) as other:
        outcomes, end = overload(httpd, 5 * 2 * THREADS / WORK, 20, busy)
    for host, _ in busy:
        goodput, _, refused = goodput_of([o for o in outcomes if o.host == host], end)
        assert goodput > 0.9 * THREADS / WORK
        assert quantile(refused, 0.99) < 0.05
    # httpd closes idle kept connections where a process of it has no thread left
    assert [o for o in other.failures() if o.error != "stale"] == [], other.summary()
    print(f"the other: p99 {other.latency(0.99) * 1000:.0f} ms")
    assert other.latency(0.99) < 3 * WORK
