# SPDX-License-Identifier: Apache-2.0
"""Processes that come and go with the requests."""

import concurrent.futures
import os
import signal
import socket
import time

import pytest

from harness import usage
from harness.ctl import Ctl
from harness.httpd import until
from harness.load import Load
from harness.paths import PATIENCE, PRELOAD
from harness.starters import with_marks


site = with_marks("process.wsgi")
not_sanitized = pytest.mark.skipif(
    bool(PRELOAD), reason="sanitizers have a memory of their own")


def ask(httpd, path, number):
    """So many requests at a time: their answers."""
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: httpd.get(path), range(number)))


def hold(httpd, marks, pool, number, name):
    """So many requests that run until the file go-on is made: their futures."""
    started = [pool.submit(httpd.get, f"/{name}") for _ in range(number)]
    until(lambda: len(list(marks.glob(f"{name}-*"))) > 0, "one to run")
    return started


NAME = """\
import cgateway
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [cgateway.group.encode()]
"""


# ---- CGatewayStart, CGatewayIdleTimeout ----------------------------------------------

def test_the_first_requests_start_the_group_and_none_fails(httpd, site):
    site("CGatewayStart demand")
    assert httpd.group_processes("a.example") == []
    assert Ctl(httpd).group("a.example")["state"] == "asleep"
    answers = ask(httpd, "/", 12)
    assert {a.status for a in answers} == {200}
    assert len({a.json()["imported_by"] for a in answers}) == 1
    httpd.wait_log("a request wakes it")
    # the first worker answers before the last one has started
    until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "all workers")


def test_an_idle_group_ends_and_the_next_request_starts_it(httpd, site):
    site("CGatewayIdleTimeout 1s")
    for turn in (1, 2):
        first = httpd.get().json()["imported_by"]
        httpd.wait_log(r"(?s)(sleeps \(CGatewayIdleTimeout\).*){%d}" % turn)
        until(lambda: httpd.group_processes("a.example") == [], "its processes to end")
        assert httpd.get().json()["imported_by"] != first


def test_no_request_fails_while_a_group_falls_asleep(httpd, site):
    """Requests at just the time when it would."""
    site("CGatewayIdleTimeout 1s", "CGatewayProcesses 1")
    importers = set()
    for step in range(10):
        answer = httpd.get()
        assert answer.status == 200
        importers.add(answer.json()["imported_by"])
        time.sleep(0.9 + 0.03 * step)   # the moment is what this is about
    httpd.wait_log(r"sleeps \(CGatewayIdleTimeout\)")
    assert len(importers) > 1


def test_a_long_request_keeps_its_group_awake(httpd, site, marks):
    site("CGatewayIdleTimeout 1s", "CGatewayProcesses 1")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held, = hold(httpd, marks, pool, 1, "slow")
        pid = int(next(marks.glob("slow-*")).name.split("-")[-1])
        asked = time.monotonic()
        while time.monotonic() - asked < 3:
            assert "sleeps" not in httpd.log()
            time.sleep(0.1)
        (marks / "go-on").touch()
        assert held.result().json()["pid"] == pid
    httpd.wait_log(r"sleeps \(CGatewayIdleTimeout\)")


def test_graceful_and_restart_leave_a_sleeper_asleep(httpd, site):
    site("CGatewayStart demand", "CGatewayIdleTimeout 1h")
    httpd.graceful()
    assert httpd.group_processes("a.example") == []
    assert httpd.get().status == 200
    httpd.graceful()
    httpd.wait_log("draining -> gone")
    assert httpd.group_processes("a.example") != [], "awake, it is reloaded"
    httpd.restart()
    until(lambda: httpd.group_processes("a.example") == [], "the processes to end")
    assert httpd.get().status == 200


def test_a_sleeper_is_told_that_it_has_to_start(httpd, site, marks):
    site("CGatewayStart demand")
    httpd.wsgi("process.wsgi", f'CGatewayEnv MARKS "{marks}"', "CGatewayStart boot")
    httpd.graceful()
    httpd.wait_log("ready -> serving")


def test_a_sleeper_that_is_no_longer_configured_goes_though_a_request_wakes_it(
        httpd, site, as_root):
    """A child of the former configuration may still ask; then the group ends."""
    site("CGatewayStart demand")
    httpd.wsgi("process.wsgi", f'CGatewayEnv MARKS "{httpd.root}/marks"',
               name="b.example")
    del httpd.parts[f"a.example:{httpd.port}"]
    httpd.graceful()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(httpd.socket()))
        httpd.wait_log("a request wakes it")
        until(lambda: httpd.group_processes("a.example"), "it to start")
    names = lambda: {g["name"] for g in Ctl(httpd).json("status")["groups"]}
    until(lambda: names() == {"b.example"}, "the group to go")
    assert httpd.group_processes("a.example") == []


def test_a_sleeper_that_cannot_start_answers_and_tries_again(httpd, site, marks):
    httpd.expect_log("CGW0411", "CGW0221", "CGW0231", "CGW0111|CGW0121|CGW013",
                     r"\] a\.example: ")
    site("CGatewayStart demand")
    (marks / "broken").touch()
    assert httpd.get().status == 503
    httpd.wait_log(r"sleeps|next attempt")
    (marks / "broken").unlink()
    until(lambda: httpd.get().status == 200, "the repaired application")


def add_sleepers(httpd, numbers):
    for number in numbers:
        httpd.main("\n".join([
            f"<VirtualHost *:{httpd.port}>", f"ServerName s{number}.example",
            f'CGatewayApplication "{httpd.root}/apps/name.wsgi"',
            "CGatewayStart demand", "</VirtualHost>"]), key=f"s{number}")


@not_sanitized
def test_sleepers_cost_little_memory_and_a_graceful_restart_none(httpd):
    httpd.app("name.wsgi", NAME)
    add_sleepers(httpd, range(10))
    httpd.start()
    begun = usage.resident(httpd.supervisor())
    add_sleepers(httpd, range(10, 310))
    httpd.graceful()
    until(lambda: len(Ctl(httpd).json("status")["groups"]) == 310, "all groups")
    supervisor = usage.resident(httpd.supervisor())
    # it was 28 KB, and 32 after a graceful restart
    assert supervisor - begun < 300 * 14 * 1024
    for turn in range(2):
        httpd.graceful()
        assert httpd.get("/", host=f"s{turn}.example").text == f"s{turn}.example"
    assert usage.resident(httpd.supervisor()) - supervisor < 1024 * 1024


def test_the_supervisor_s_successor_wakes_whom_requests_wait_for(httpd, site):
    site("CGatewayStart demand")
    httpd.expect_log("CGW0104")
    old = httpd.supervisor()
    os.kill(old, signal.SIGKILL)
    assert httpd.get().status == 200
    assert httpd.supervisor() not in (None, old)


def test_many_sleepers_wake_at_the_same_time(httpd):
    """More than import at a time: each answers for itself, and none fails."""
    app = httpd.app("name.wsgi", NAME)
    hosts = [f"s{number}.example" for number in range(40)]
    for host in hosts:
        httpd.vhost(host, f'CGatewayApplication "{app}"', "CGatewayStart demand",
                    "CGatewayProcesses 1", "CGatewayThreads 2")
    httpd.start()
    assert len(httpd.processes()) < len(hosts)
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        answers = list(pool.map(lambda host: httpd.get(host=host).text, hosts))
    assert answers == hosts


# ---- CGatewayProcesses with two numbers ------------------------------------------------

def test_workers_come_when_requests_wait_and_go_when_they_do_not(httpd, site, marks):
    site("CGatewayProcesses 1-3", "CGatewayThreads 1")
    until(lambda: len(httpd.workers("a.example")) == 1, "the first one")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        held = hold(httpd, marks, pool, 3, "slow")
        until(lambda: len(list(marks.glob("slow-*"))) == 3, "a worker for each")
        assert len(httpd.workers("a.example")) == 3, "and no more"
        (marks / "go-on").touch()
        assert {h.result().status for h in held} == {200}
    with Load(httpd, "/", clients=1) as load:
        until(lambda: len(httpd.workers("a.example")) < 3, "one to go", 5 * PATIENCE)
    assert load.failures == []
    # under a load they could be needed again, which makes them stay longer
    until(lambda: len(httpd.workers("a.example")) == 1, "the others to go", 5 * PATIENCE)


def test_a_reload_keeps_the_number_of_workers(httpd, site, marks):
    site("CGatewayProcesses 1-3", "CGatewayThreads 1")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        held = hold(httpd, marks, pool, 3, "slow")
        until(lambda: len(list(marks.glob("slow-*"))) == 3, "a worker for each")
        httpd.graceful()
        httpd.wait_log("a.example/2: ready -> serving")
        assert sum(p["state"] == "serving" for g in Ctl(httpd).group("a.example")
                   ["generations"] if g["number"] == 2 for p in g["processes"]) == 3
        (marks / "go-on").touch()
        assert {h.result().status for h in held} == {200}
