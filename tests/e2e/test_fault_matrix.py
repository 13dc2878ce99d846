# SPDX-License-Identifier: Apache-2.0
"""Every way to die at every moment of every process, under load: exactly what is lost.
What is idle, or has requests while others have them, too, is in test_faults.py."""

import contextlib
import os
import signal

import pytest

from harness import deaths
from harness.ctl import Ctl
from harness.deaths import able_to_die
from harness.httpd import is_stopped, until
from harness.lasting import load
from harness.paths import MPM, soak
from harness.starters import that_serves

site = that_serves("faults.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16",
                   "CGatewayBodyBuffer 0")
HEAD = "{} /{}/{} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
SIZE = 100000
LOST, BROKEN_OFF, STOPPED = b"HTTP/1.1 502 ", b"", "SIGSTOP"
SERVED = b"HTTP/1.1 200 "
# moment -> (method, path, what comes of it)
MOMENTS = {"GET runs": ("GET", "wait", SERVED), "POST runs": ("POST", "wait", LOST),
           "response has begun": ("GET", "half", BROKEN_OFF),
           "upload": ("POST", "upload", LOST)}


class Request:
    """One of a moment, of which half of the body has been sent."""

    def __init__(self, httpd, marks, moment, number):
        self.httpd, self.marks, self.number = httpd, marks, number
        self.method, self.kind, self.expected = MOMENTS[moment]
        self.raw = httpd.raw()
        text = HEAD.format(self.method, self.kind, number)
        if self.method == "POST":
            text += f"Content-Length: {SIZE}\r\n"
        self.raw.send(text.encode() + b"\r\n")
        if self.method == "POST":
            self.raw.send(b"x" * (SIZE if self.kind == "wait" else SIZE // 2))

    def running(self):
        """Pids of the processes that have run it."""
        return {int(m.name.split("-")[2])
                for m in self.marks.glob(f"{self.kind}-{self.number}-*")}

    def result(self, survives=False):
        """Whether what comes of it is what should: the client sends what is left, and
        the application goes on."""
        if survives and self.kind == "upload":
            self.raw.send(b"x" * (SIZE - SIZE // 2))
        with self.raw:
            if self.expected is LOST and not survives:
                # at once; what httpd does with the rest of the body is its own matter
                return self.raw.receive_until(b"\r\n\r\n").startswith(LOST)
            received, _ = self.raw.receive_all()
        if survives or self.expected is SERVED:
            return received.startswith(SERVED) and b"\r\n\r\n" in received
        return received.endswith(b"x" * 1000)


@contextlib.contextmanager
def going_on(marks):
    """Requests that run, or are run again, finish."""
    (marks / "go-on").touch()
    yield
    (marks / "go-on").unlink()


def expect_deaths(httpd):
    httpd.expect_log(r"CGW0213", r"CGW013[23]", r"CGW0123", r"CGW0221", r"CGW0230",
                     r"\] a\.example: ")


def all_deaths():
    return [d for d in deaths.OF_WORKERS if deaths.is_possible(d)]


def some_deaths():
    return soak(all_deaths(), ["kill -9", "segmentation fault", "os._exit"])


def others(httpd, dead, count=2):
    return until(lambda: len(w := set(httpd.workers("a.example")) - dead) == count and w,
                 "the replacements")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_dies_in_every_way(httpd, site, marks, moment):
    """In each way one request is lost, or none where it may be repeated."""
    expect_deaths(httpd)
    site()
    with load(httpd) as running:
        for number, death in enumerate(all_deaths()):
            request = Request(httpd, marks, moment, number)
            victim, = until(request.running, "the request to run")
            with able_to_die(death, victim):
                os.kill(victim, deaths.OF_WORKERS[death][0])
                others(httpd, {victim})
            with going_on(marks):
                assert request.result(), (moment, death)
            httpd.wait_log(rf"CGW0213.*worker pid {victim} .*it had \d+ requests?, ")
    assert running.failures() == []
    assert httpd.log().count("CGW0213") == len(all_deaths())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stopped_worker_loses_nothing(httpd, site, marks, moment):
    site()
    with load(httpd) as running:
        request = Request(httpd, marks, moment, 0)
        victim, = until(request.running, "the request to run")
        os.kill(victim, signal.SIGSTOP)
        until(lambda: is_stopped(victim), "it to stop")
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 50, "the load meanwhile")
        os.kill(victim, signal.SIGCONT)
        with going_on(marks):
            assert request.result(survives=True)
    assert running.failures() == []


def test_a_client_in_the_middle_of_an_upload_is_told_at_once(httpd, site, marks):
    """httpd used to read all of it first, which takes as long as the client likes."""
    httpd.expect_log("CGW0121", "CGW0260", r"\] a\.example: ")
    site("CGatewayProcesses 1", "<Location /wait>", "CGatewayRequestTimeout 1s",
         "</Location>", "CGatewayDrainTimeout 1s")
    httpd.expect_log("CGW0275")
    with httpd.raw() as raw:
        raw.send(HEAD.format("POST", "wait", 0).replace("close", "keep-alive").encode()
                 + b"Content-Length: 1000\r\n\r\nx")
        assert raw.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 504 ")
    (marks / "go-on").touch()


# ---- a worker that drains ------------------------------------------------------------

def drain_with_requests(httpd, marks, number):
    """A request of each moment in the one worker, which has been told to drain since:
    the requests and the pid."""
    requests = [Request(httpd, marks, moment, 10 * number + at)
                for at, moment in enumerate(MOMENTS)]
    victim, = {pid for r in requests for pid in until(r.running, "a request to run")}
    assert Ctl(httpd)("reload", "a.example").returncode == 0
    return requests, victim


def test_a_draining_worker_dies_in_every_way(httpd, site, marks):
    expect_deaths(httpd)
    site("CGatewayProcesses 1")
    with load(httpd) as running:
        for number, death in enumerate(some_deaths()):
            requests, victim = drain_with_requests(httpd, marks, number)
            with able_to_die(death, victim):
                os.kill(victim, deaths.OF_WORKERS[death][0])
                until(lambda: victim not in httpd.processes(), "its end")
            with going_on(marks):
                assert [r.result() for r in requests] == [True] * 4, death
    assert running.failures() == []


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_draining_worker_is_stopped(httpd, site, marks, goes_on):
    """It finishes if it goes on; else CGatewayDrainTimeout ends it."""
    httpd.expect_log("CGW0222", "CGW0132", "CGW0133", "CGW0123", "CGW0213")
    site("CGatewayProcesses 1", f"CGatewayDrainTimeout {'60s' if goes_on else '2s'}")
    with load(httpd) as running:
        requests, victim = drain_with_requests(httpd, marks, 0)
        os.kill(victim, signal.SIGSTOP)
        if goes_on:
            os.kill(victim, signal.SIGCONT)
        else:
            httpd.wait_log("CGW0222")
        with going_on(marks):
            assert [r.result(survives=goes_on) for r in requests] == [True] * 4
        until(lambda: victim not in httpd.processes(), "its end")
    assert running.failures() == []


# ---- a process that starts -----------------------------------------------------------

def start_held(httpd, marks, *known):
    """A reload under way whose process imports the application, and its pid."""
    (marks / "hold").touch()
    reload = Ctl(httpd).start("reload", "a.example")
    return reload, until(lambda: starting(marks) - set(known), "the import").pop()


def starting(marks):
    return {int(m.name.split("-")[1]) for m in marks.glob("starting-*")}


def test_a_starting_process_dies_in_every_way(httpd, site, marks):
    """A deploy that failed: the old generation serves on, the next one comes up."""
    expect_deaths(httpd)
    old, known = site(), []
    with load(httpd) as running:
        for death in some_deaths():
            reload, victim = start_held(httpd, marks, *known)
            known.append(victim)
            with able_to_die(death, victim):
                os.kill(victim, deaths.OF_WORKERS[death][0])
                assert reload.communicate()[1] and reload.returncode == 1, death
            deaths.wait_obituary(httpd, f"pid {victim}", death)
            assert set(httpd.workers("a.example")) == old
        (marks / "hold").unlink()
        assert Ctl(httpd)("reload", "a.example").returncode == 0
    assert running.failures() == []


def test_a_starting_process_is_stopped(httpd, site, marks):
    """CGatewayStartTimeout ends it."""
    expect_deaths(httpd)
    httpd.expect_log("CGW0220")
    old = site("CGatewayStartTimeout 2s")
    with load(httpd) as running:
        reload, victim = start_held(httpd, marks)
        os.kill(victim, signal.SIGSTOP)
        assert reload.communicate()[1] and reload.returncode == 1
        until(lambda: victim not in httpd.processes(), "its end")
        assert set(httpd.workers("a.example")) == old
        (marks / "hold").unlink()
    assert running.failures() == []


# ---- template, supervisor, httpd ---------------------------------------------------------

def programs_deaths():
    return [d for d in deaths.OF_PROGRAMS if deaths.is_possible_of_programs(d)]


def template(httpd):
    processes = Ctl(httpd).group("a.example")["generations"][0]["processes"]
    return next((p["pid"] for p in processes if p["state"] == "template"), None)


@pytest.mark.parametrize("death", deaths.OF_PROGRAMS)
def test_a_template_dies_in_every_way(httpd, site, death):
    if not deaths.is_possible_of_programs(death):
        pytest.skip("not on this machine")
    httpd.expect_log("CGW0213.*template", r"\] a\.example: ")
    workers, victim = site(), template(httpd)
    with load(httpd) as running:
        deaths.end(victim, death)
        until(lambda: template(httpd) not in (victim, None), "another template")
        assert set(httpd.workers("a.example")) == workers
    assert running.failures() == []


@pytest.mark.parametrize("death", deaths.OF_PROGRAMS)
def test_a_supervisor_dies_in_every_way(httpd, site, marks, death):
    """Its workers finish what they have."""
    if not deaths.is_possible_of_programs(death):
        pytest.skip("not on this machine")
    httpd.expect_log("CGW0104")
    old = site("CGatewayProcesses 1")
    with load(httpd, rate=20) as running:
        requests = [Request(httpd, marks, moment, at) for at, moment in enumerate(MOMENTS)]
        for request in requests:
            until(request.running, "a request to run")
        former = httpd.supervisor()
        deaths.end(former, death)
        until(lambda: httpd.supervisor() not in (None, former), "another supervisor")
        until(lambda: set(httpd.workers("a.example")) - old, "the new worker")
        until(lambda: int(httpd.get("/quick").text) not in old, "it to serve")
        with going_on(marks):
            assert [r.result(survives=True) for r in requests] == [True] * 4
        until(lambda: not old & set(httpd.processes()), "the old worker to end")
    assert running.failures() == []


def inode_of(request):
    """Of httpd's end of the request's connection."""
    port = f":{request.raw.socket.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return next(row[9] for row in rows if row[2].endswith(port) and row[9] != "0")


def holder(httpd, request):
    """The child of httpd that has its connection."""
    link = f"socket:[{inode_of(request)}]"
    for pid in httpd.children():
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") == link:
                    return pid
    return None


def requests_of(httpd, marks, number):
    """POSTs that run, and the child of httpd that has each."""
    requests = [Request(httpd, marks, "POST runs", number + n) for n in range(6)]
    for request in requests:
        until(request.running, "a request to run")
    return requests, [holder(httpd, r) for r in requests]


# What a child of the event MPM does not notice.
UNHEARD = ["SIGTERM", "SIGQUIT", "SIGXCPU"]


def test_an_httpd_child_dies_in_every_way(httpd, site, marks):
    """Its own connections break off, no other; no process of the group notices."""
    httpd.expect_log("AH00052", "AH00051", "AH00050")
    httpd.main("MinSpareThreads 64")    # so that there are always two
    workers = site()
    for at, death in enumerate(d for d in programs_deaths() if d not in UNHEARD):
        requests, holders = requests_of(httpd, marks, 10 * at)
        victim = holders[0]
        deaths.end(victim, death)
        until(lambda: victim not in httpd.children(), "its end")
        with going_on(marks):
            for request, pid in zip(requests, holders):
                if pid != victim:
                    assert request.result(survives=True), death
                else:
                    assert request.raw.receive_all()[0] == b"", death
        until(lambda: len(httpd.children()) >= 2, "another child")
        assert set(httpd.workers("a.example")) == workers


@pytest.mark.skipif(MPM != "event", reason="what a child hears is its MPM's")
def test_an_httpd_child_does_not_hear_other_signals(httpd, site, marks):
    workers = site()
    for at, death in enumerate(UNHEARD):
        requests, holders = requests_of(httpd, marks, 10 * at)
        deaths.end(holders[0], death)
        with going_on(marks):
            assert [r.result(survives=True) for r in requests] == [True] * 6, death
    assert set(httpd.workers("a.example")) == workers


@pytest.mark.parametrize("death", [d for d in deaths.OF_PROGRAMS if d not in (
    "kill -9", "SIGTERM")])     # those are in test_ends.py
def test_httpds_parent_dies_in_every_way(httpd, site, marks, death):
    """Everything ends with it, and nothing is left in the next one's way."""
    if not deaths.is_possible_of_programs(death):
        pytest.skip("not on this machine")
    httpd.expect_log("CGW013", "CGW0123", "AH00050", "AH00060")
    site()
    request = Request(httpd, marks, "POST runs", 0)
    until(request.running, "the request to run")
    httpd.undisturbed = len(httpd.log("main"))
    deaths.end(httpd.process.pid, death)
    httpd.process.wait()
    assert request.raw.receive_all()[0] == b""
    until(lambda: not httpd.processes(), "every process to end")
    until(lambda: not (httpd.root / "run").exists(), "the runtime directory to go")
    (httpd.root / "httpd.pid").unlink(missing_ok=True)
    httpd.start()
    assert httpd.get("/quick").status == 200


def test_httpds_parent_is_stopped(httpd, site):
    """Everything is served; what dies meanwhile is replaced, since that is not its task."""
    httpd.expect_log("CGW0213", "CGW0132")
    victim = min(site())
    with load(httpd) as running:
        os.kill(httpd.process.pid, signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)
        others(httpd, {victim})
        os.kill(httpd.process.pid, signal.SIGCONT)
    assert running.failures() == []
