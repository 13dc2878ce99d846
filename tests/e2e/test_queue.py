# SPDX-License-Identifier: Apache-2.0
"""The queue of a group: how many requests may wait for a worker, and how long. What is
refused is answered 503 with Retry-After, and never runs.

The times are such that a machine that has much else to do gives an idle worker a
processor within them."""

import contextlib
import os
import re
import signal
import time

import pytest

from harness.ctl import Ctl
from harness.http2 import Http2
from harness.httpd import is_stopped, until
from harness.paths import MPM

# Tells by files in MARKS what it does, and waits for files there.
APP = '''
import os
import pathlib
import time

MARKS = pathlib.Path(os.environ["MARKS"])


def application(environ, start_response):
    path = environ["PATH_INFO"]
    (MARKS / f"ran-{path[1:]}").touch()
    while path.startswith("/hold") and not (MARKS / "release").exists():
        time.sleep(0.005)
    body = b""
    if not path.startswith("/hold-unread"):
        body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [path[1:].encode() + b" %d" % len(body)]
'''

LARGE = b"b" * 300000


@pytest.fixture
def site(httpd, marks):
    """Starts the application, by default with one thread that runs requests."""
    def start(*lines, threads=1):
        httpd.wsgi(httpd.app("queue.wsgi", APP), "CGatewayProcesses 1",
                   f"CGatewayThreads {threads}", f'CGatewayEnv MARKS "{marks}"',
                   "LogLevel cgateway:debug", *lines)
        httpd.start()
        httpd.wait_log("ready -> serving")
    return start


@pytest.fixture
def hold(httpd, marks):
    """Occupies the one thread; at the end it is free again."""
    @contextlib.contextmanager
    def occupy():
        with httpd.raw() as raw:
            raw.ask("/hold")
            until((marks / "ran-hold").exists, "the request that holds the thread")
            yield
            (marks / "release").touch()
            assert raw.receive_all()[0].endswith(b"hold 0")
    return occupy


def is_refusal(answer):
    return answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 5\r\n" in answer


def ran(marks):
    return {path.name[4:] for path in marks.glob("ran-*")}


def access_status(httpd, path):
    line = until(lambda: httpd.access_line(path), f"{path} in the access log")
    return line.split()[-3]


# ---- CGatewayQueueSize -----------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 2, 7])
def test_exactly_so_many_wait_and_the_others_are_refused_at_once(httpd, site, marks,
                                                                 hold, size):
    httpd.expect_log("CGW0160")
    site(f"CGatewayQueueSize {size}")
    waiting, refused = [], []
    with contextlib.ExitStack() as stack, hold():
        for number in range(size + 12):
            raw = stack.enter_context(httpd.raw())
            raw.ask(f"/request-{number}")
            if number < size:
                until(lambda n=number: httpd.connections() == n + 2, "it to wait")
                waiting.append((raw, number))
            else:
                refused.append(raw)
        assert all(is_refusal(raw.receive_all()[0]) for raw in refused)
        assert ran(marks) == {"hold"}, "they are refused while it runs"
        (marks / "release").touch()
        for raw, number in waiting:
            assert raw.receive_all()[0].endswith(b"request-%d 0" % number)
    assert ran(marks) == {"hold"} | {f"request-{n}" for n in range(size)}


@pytest.mark.parametrize("line", ["CGatewayQueueSize 1", "CGatewayQueueTimeout 3s"])
@pytest.mark.parametrize("body", [None, b"small", LARGE], ids=["get", "small", "large"])
def test_answers_stay_in_step_and_httpd_ends_the_connection(httpd, site, marks, hold,
                                                            line, body):
    """httpd closes a connection behind each 503 of its own: nothing behind it is
    answered, or runs."""
    httpd.expect_log("CGW0160", "CGW0161")
    site(line)
    with httpd.raw() as first, httpd.raw() as raw:
        raw.ask("/before", body, close=False)
        assert b"before" in raw.receive_until(b"before %d" % len(body or b""))
        with hold():
            first.ask("/first")
            until(lambda: httpd.connections() == 2, "it to wait")
            raw.ask("/refused", body, close=False)
            raw.ask("/behind", body, close=False)
            answers, was_reset = raw.receive_all()
            assert not was_reset
            answers = answers.split(b"HTTP/1.1 ")[1:]
            assert [answer[:3] for answer in answers] == [b"200", b"503"]
            assert b"\r\nConnection: close\r\n" in answers[1]
        first.receive_all()
    assert ran(marks) - {"first"} == {"before", "hold"}


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_streams_of_an_http2_connection_wait_and_are_refused_one_by_one(httpd, site, marks,
                                                                        hold):
    """One is given up meanwhile: it does not run either."""
    httpd.expect_log("CGW0160", "CGW0161")
    httpd.load("http2")
    site("CGatewayQueueSize 3", "CGatewayQueueTimeout 3s", "Protocols h2c http/1.1")
    bodies = [None, b"small", LARGE]
    with Http2(httpd.port) as client, hold():
        waiting = []
        for number, body in enumerate(bodies):
            waiting.append(client.ask(f"/waiting-{number}", "POST" if body else "GET",
                                      body=body))
            until(lambda n=number: httpd.connections() == n + 2, "it to wait")
        refused = client.finish(*[
            client.ask(f"/refused-{number}", "POST" if body else "GET", body=body)
            for number, body in enumerate(bodies)])
        client.give_up(waiting[0])
        late = client.finish(*waiting)[1:]
        for stream in (*refused, *late):
            assert (stream.status, stream.head["retry-after"]) == (503, "5")
            assert stream.ended
    assert httpd.get("/next").status == 200
    assert ran(marks) == {"hold", "next"}


def test_a_flood_makes_a_line_a_second_and_each_is_counted(httpd, site, hold):
    httpd.expect_log("CGW0160")
    site("CGatewayQueueSize 1")
    with httpd.raw() as first, hold():
        first.ask("/first")
        until(lambda: httpd.connections() == 2, "it to wait")
        began = time.monotonic()
        refusals = 0
        while refusals < 500 or time.monotonic() - began < 2.5:
            assert httpd.get("/refused").status == 503
            refusals += 1
        seconds = time.monotonic() - began
        told = [int(n) for n in re.findall(r"CGW0160: .*? requests answered .*?: (\d+)",
                                           httpd.log())]
        assert 3 <= len(told) <= seconds + 1
        assert told[0] == 1 and sum(told) <= refusals
        # those after the last line are with the next
        assert sum(told) >= refusals * (len(told) - 2) / (seconds + 1)


def test_graceful_changes_the_size_of_a_queue_that_is_in_use(httpd, site, marks, hold):
    httpd.expect_log("CGW0160")
    site("CGatewayQueueSize 1", "CGatewayReloadOnGraceful changed")
    with contextlib.ExitStack() as stack, hold():
        raws = [stack.enter_context(httpd.raw()) for _ in range(4)]
        raws[0].ask("/first")
        until(lambda: httpd.connections() == 2, "it to wait")
        assert httpd.get("/refused").status == 503
        httpd.wsgi(httpd.root / "apps" / "queue.wsgi", "CGatewayProcesses 1",
                   "CGatewayThreads 1", f'CGatewayEnv MARKS "{marks}"',
                   "LogLevel cgateway:debug", "CGatewayQueueSize 100",
                   "CGatewayReloadOnGraceful changed")
        httpd.graceful()
        for number, raw in enumerate(raws[1:]):
            raw.ask(f"/later-{number}")
        (marks / "release").touch()
        assert raws[0].receive_all()[0].endswith(b"first 0")
        for number, raw in enumerate(raws[1:]):
            assert raw.receive_all()[0].endswith(b"later-%d 0" % number)


# ---- CGatewayQueueTimeout --------------------------------------------------------------

BODIES = [None, b"", b"small", b"m" * 20000, LARGE]
both_buffers = pytest.mark.parametrize("buffer", ["0", "64K"])


@both_buffers
def test_a_request_that_waited_too_long_is_refused_and_never_runs(httpd, site, marks,
                                                                  hold, buffer):
    httpd.expect_log("CGW0161")
    site("CGatewayQueueTimeout 3s", f"CGatewayBodyBuffer {buffer}")
    with contextlib.ExitStack() as stack, hold():
        raws = [stack.enter_context(httpd.raw()) for _ in BODIES]
        began = time.monotonic()
        for number, body in enumerate(BODIES):
            raws[number].ask(f"/late-{number}", body)
        for raw in raws:
            assert is_refusal(raw.receive_all()[0])
            assert time.monotonic() - began > 2.95
        assert ran(marks) == {"hold"}
    assert httpd.get("/next").status == 200
    assert ran(marks) == {"hold", "next"}
    for number in range(len(BODIES)):
        assert access_status(httpd, f"/late-{number}") == "503"


@both_buffers
@pytest.mark.parametrize("path", ["/hold", "/hold-unread"])
def test_what_runs_is_not_cut_however_long(httpd, site, marks, path, buffer):
    """One of each kind of body at a time."""
    site("CGatewayQueueTimeout 3s", f"CGatewayBodyBuffer {buffer}", threads=len(BODIES))
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(httpd.raw()) for _ in BODIES]
        for number, body in enumerate(BODIES):
            raws[number].ask(f"{path}-{number}", body)
        until(lambda: len(ran(marks)) == len(BODIES), "all of them to run")
        time.sleep(5)       # the time is what this is about
        (marks / "release").touch()
        for number, body in enumerate(BODIES):
            size = 0 if "unread" in path else len(body or b"")
            assert raws[number].receive_all()[0].endswith(
                b"%s-%d %d" % (path[1:].encode(), number, size))


def test_a_frozen_worker_costs_no_more_than_the_time_and_runs_nothing_later(
        httpd, site, marks):
    httpd.expect_log("CGW0161")
    site("CGatewayQueueTimeout 3s")
    assert httpd.get("/before").status == 200
    worker, = httpd.workers("a.example")
    os.kill(worker, signal.SIGSTOP)
    try:
        until(lambda: is_stopped(worker), "all of its threads to stop")
        with contextlib.ExitStack() as stack:
            raws = [stack.enter_context(httpd.raw()) for _ in BODIES]
            for number, body in enumerate(BODIES):
                raws[number].ask(f"/late-{number}", body)
            assert all(is_refusal(raw.receive_all()[0]) for raw in raws)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert httpd.get("/next").status == 200
    assert ran(marks) == {"before", "next"}


def test_a_queue_without_a_time_waits(httpd, site, hold, marks):
    site("CGatewayQueueTimeout 0")
    with httpd.raw() as raw:
        with hold():
            raw.ask("/patient")
            until(lambda: httpd.connections() == 2, "it to wait")
        assert raw.receive_all()[0].endswith(b"patient 0")


def test_a_flood_of_late_requests_makes_a_line_a_second(httpd, site, hold):
    httpd.expect_log("CGW0161")
    site("CGatewayQueueTimeout 2s")
    with contextlib.ExitStack() as stack, hold():
        began = time.monotonic()
        for _ in range(3):
            raws = [stack.enter_context(httpd.raw()) for _ in range(30)]
            for raw in raws:
                raw.ask("/late")
            assert all(is_refusal(raw.receive_all()[0]) for raw in raws)
        lines = httpd.log().count("CGW0161")
        assert 1 <= lines <= time.monotonic() - began + 1


# ---- what is told of it ----------------------------------------------------------------

def test_the_age_of_the_queue_is_that_of_its_head(httpd, site, marks, hold):
    site()
    ctl = Ctl(httpd)
    queue = lambda: ctl.group("a.example")["queue"]    # noqa: E731
    assert queue() == {"length": 0, "age_ms": 0}
    begun = time.monotonic()
    with hold(), httpd.raw() as waits:
        waits.ask("/waits")
        until(lambda: queue()["length"] == 1, "it to wait")
        enqueued = time.monotonic()
        until(lambda: queue()["age_ms"] > 300, "its age to grow")
        for _ in range(20):
            before = time.monotonic()
            age = queue()["age_ms"] / 1000
            after = time.monotonic()
            assert before - enqueued - 0.01 <= age <= after - begun + 0.01
        (marks / "release").touch()
        assert waits.receive_all()[0].endswith(b"waits 0")
    assert queue() == {"length": 0, "age_ms": 0}
