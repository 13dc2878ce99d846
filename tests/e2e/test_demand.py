# SPDX-License-Identifier: Apache-2.0
"""Processes that come and go with the requests."""

import concurrent.futures
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import usage
from harness.ctl import Ctl
from harness.httpd import until
from harness.load import Load
from harness.paths import MPM, PATIENCE, PRELOAD, SOAK, soak
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


COUNTED = """\
import os
RAN = os.open(os.environ["MARKS"] + "/ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def application(environ, start_response):
    size = len(environ["wsgi.input"].read())
    os.write(RAN, (environ["QUERY_STRING"] + "\\n").encode())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size]
"""


class Sleepers:
    """Groups that are asked, by 1 to 50 at once, just when they fall asleep."""

    def __init__(self, httpd, marks, groups):
        self.httpd, self.marks = httpd, marks
        self.names = [f"s{number}.example" for number in range(groups)]
        self.sent, self.wrong, self.stopped = [], [], threading.Event()
        app = httpd.app("counted.wsgi", COUNTED)
        for name in self.names:
            httpd.wsgi(app, f'CGatewayEnv MARKS "{marks}"', "CGatewayStart demand",
                       "CGatewayIdleTimeout 1s", "CGatewayProcesses 1", name=name)

    def ask(self, name, word, body):
        self.sent.append(word)
        try:
            answer = self.httpd.request(f"/?{word}", "POST" if body else "GET",
                                        body or None, host=name,
                                        headers={"Connection": "close"})
            if (answer.status, answer.text) != (200, str(len(body))):
                self.wrong.append((word, answer.status, answer.text[:100]))
        except OSError as error:
            self.wrong.append((word, repr(error)))

    def run(self, name):
        chance = random.Random(name)
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            while not self.stopped.is_set():
                turn = len(self.sent)
                asked = [pool.submit(self.ask, name, f"{name}-{turn}-{n}", bytes(
                    chance.choice([0, 0, 1, 100_000, 1_000_000])))
                    for n in range(chance.choice([1, 1, 1, 2, 5, 50]))]
                concurrent.futures.wait(asked)
                # the moment is what this is about
                time.sleep(max(0, chance.gauss(1, 0.02)))

    def are_asleep(self):
        return not any(self.httpd.group_processes(name) for name in self.names)

    def held(self):
        """Descriptors of the supervisor and of httpd's parent while all sleep."""
        until(self.are_asleep, "all to sleep")
        return [usage.open_files(pid)
                for pid in (self.httpd.supervisor(), self.httpd.process.pid)]

    def memory(self):
        return [usage.resident(pid)
                for pid in (self.httpd.supervisor(), self.httpd.process.pid)]

    def sleeps(self):
        return sum(self.httpd.log(name).count(": sleeps (") for name in self.names)

    def soak(self, seconds):
        """How often they fell asleep."""
        with concurrent.futures.ThreadPoolExecutor(len(self.names)) as pool:
            running = [pool.submit(self.run, name) for name in self.names]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(min(2, seconds / 3))
                self.httpd.graceful()
            until(lambda: self.sleeps() > 0, "one to sleep")
            self.stopped.set()
        for each in running:
            each.result()
        return self.sleeps()


def test_no_request_fails_or_runs_twice_while_groups_fall_asleep(httpd, marks):
    """Among graceful restarts. In the soak a few thousand times. Nothing of it stays."""
    sleepers = Sleepers(httpd, marks, groups=soak(16, 6))
    httpd.start()
    for name in sleepers.names:
        sleepers.ask(name, f"{name}-first", b"")
    held, memory = sleepers.held(), sleepers.memory()
    sleeps = sleepers.soak(seconds=soak(400, 6))
    until(lambda: sleepers.held() == held, "all descriptors to be closed")
    grown = [now - then for then, now in zip(memory, sleepers.memory())]
    if SOAK:
        print(f"\n{len(sleepers.sent)} requests, {sleeps} times asleep, "
              f"{len(sleepers.wrong)} wrong; descriptors {held}, memory {memory}, "
              f"grown by {grown}")
    assert max(grown) < 4 << 20
    assert sleepers.wrong == []
    assert sorted((marks / "ran").read_text().split()) == sorted(sleepers.sent)


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_streams_of_http2_and_uploads_wake_a_group(httpd, marks):
    httpd.load("http2")
    httpd.wsgi(httpd.app("counted.wsgi", COUNTED), f'CGatewayEnv MARKS "{marks}"',
               "CGatewayStart demand", "CGatewayIdleTimeout 1s", "Protocols h2c http/1.1")
    httpd.start()
    upload = httpd.root / "upload"
    upload.write_bytes(bytes(3_000_000))
    for turn in (1, 2):
        run = subprocess.run(
            ["h2load", "-n", "40", "-c", "2", "-m", "20", "-d", upload, "-H",
             "Host: a.example", f"http://127.0.0.1:{httpd.port}/?{turn}"],
            capture_output=True, text=True, timeout=PATIENCE)
        assert "status codes: 40 2xx" in run.stdout, run.stdout + run.stderr
        httpd.wait_log(r"(?s)(sleeps \(CGatewayIdleTimeout\).*){%d}" % turn)
        assert (marks / "ran").read_text().split().count(str(turn)) == 40


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


def watched(httpd):
    """How much the supervisor's loop waits for."""
    directory = pathlib.Path(f"/proc/{httpd.supervisor()}/fdinfo")
    return sum(path.read_text().count("\ntfd:") for path in directory.iterdir())


def test_a_sleeper_s_socket_is_waited_for_once_after_graceful(httpd, site):
    """Not at the descriptor of the configuration before, too: it is the same socket, and
    the supervisor would have run in circles until the first worker accepts."""
    site("CGatewayStart demand")
    before = watched(httpd)
    for _ in range(2):
        httpd.graceful()
        until(lambda: watched(httpd) == before, f"{before} again")


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
