# SPDX-License-Identifier: Apache-2.0
"""What a worker's scoreboard tells its supervisor."""

import os
import time

import pytest

import worker_harness as h
from test_worker import EXCEPTION, HERE, PROTOCOL, pytestmark    # noqa: F401


@pytest.fixture(params=["fork", "solo"])
def group(request):
    g = h.Group("worker_application", [HERE], threads=2,
                fork=request.param == "fork").start()
    yield g
    assert g.stop() == 0


def until(condition, what):
    end = time.monotonic() + h.PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain for " + what
        time.sleep(0.005)
    return value


def slots(group, state):
    return [s for s in group.board.slots() if s.state == state]


def all_idle(group):
    return until(lambda: len(found := slots(group, "idle")) == 2 and found,
                 "both threads to be idle")


def begin(group, path):
    exchange = group.exchange()
    exchange.send(h.request_frame(
        dict(h.ENVIRON, REQUEST_METHOD="POST", PATH_INFO=path,
             REQUEST_URI=path + "?secret"), h.HAS_BODY, False))
    assert exchange.next_frame() == h.LOG
    return exchange


def test_threads_that_wait_are_idle_and_known_to_the_kernel(group):
    tasks = os.listdir("/proc/%d/task" % group.worker_pid)
    found = all_idle(group)
    assert len({s.tid for s in found}) == 2
    assert {str(s.tid) for s in found} <= set(tasks)
    assert {(s.requests, s.started, s.ended) for s in found} == {(0, 0, 0)}


def test_a_request_in_the_application_is_shown(group):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    exchange = begin(group, "/gone")
    slot, = slots(group, "running")
    assert slot.text == "POST /gone?secret"
    assert slot.id == 42
    assert before <= slot.started
    assert slot.lock_since == 0
    exchange.close()
    all_idle(group)


def test_a_request_that_waits_for_its_body_is_shown_as_the_client_s(group):
    exchange = begin(group, "/hold")
    until(lambda: slots(group, "client"), "the application to read")
    exchange.send(h.frame(h.BODY, b"held", last=True))
    assert exchange.finish().body == b"held"
    all_idle(group)


def test_requests_bytes_and_times_are_counted(group):
    for _ in range(5):
        assert group.ask("/echo", b"12345678").body == b"12345678"
    found = all_idle(group)
    assert sum(s.requests for s in found) == 5
    assert sum(s.bytes for s in found) == 40
    assert sum(sum(s.latency) for s in found) == 5
    assert sum(sum(s.queue) for s in found) == 5
    assert sum(s.busy for s in found) > 0
    assert max(s.ended for s in found) > 0


def test_failures_are_counted_by_kind(group):
    assert group.ask("/crash").fail[0] == EXCEPTION
    exchange = group.exchange()
    exchange.send(h.request_frame({}, version=99))
    assert exchange.finish().fail[0] == PROTOCOL
    found = all_idle(group)
    assert sum(s.failures[EXCEPTION] for s in found) == 1
    assert sum(s.failures[PROTOCOL] for s in found) == 1


def test_a_child_that_the_application_forks_leaves_it_alone(group):
    """The child's copy of the thread ends, and says so nowhere."""
    tids = {s.tid for s in all_idle(group)}
    assert group.ask("/fork_and_return").body == b"parent"
    found = all_idle(group)
    assert {s.tid for s in found} == tids
    assert sum(s.requests for s in found) == 1
