# SPDX-License-Identifier: Apache-2.0
"""Whatever dies, hangs or runs out, under load: exactly what is lost, and that nothing
else notices."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time

import pytest

from harness.ctl import Ctl
from harness.deaths import OF_WORKERS as DEATHS
from harness.deaths import able_to_die, wait_obituary
from harness.httpd import is_stopped, until
from harness.lasting import BROKEN_OFF, Requests, load
from harness.openloop import OpenLoop
from harness.starters import that_serves


site = that_serves("faults.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16")


def died_on_purpose(httpd):
    """The obituary, the Python stack, and the module's word on the requests."""
    httpd.expect_log(r"CGW0213", r"CGW013[23]", r"CGW0123", r"\] a\.example: ")


def replaced(httpd, dead, processes=2):
    """Waits until all workers are there, without the dead ones."""
    return until(lambda: len(w := set(httpd.workers("a.example")) - dead) == processes
                 and w, "the replacements")


# ---- workers ------------------------------------------------------------------------

@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_idle_costs_nothing(httpd, site, death):
    died_on_purpose(httpd)
    victim = min(site())
    with able_to_die(death, victim), load(httpd) as running:
        os.kill(victim, DEATHS[death][0])
        replaced(httpd, {victim})
    assert running.failures() == []
    wait_obituary(httpd, f"worker pid {victim}", death)
    assert httpd.log().count("CGW0213") == 1


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_takes_its_own_requests_alone(httpd, site, marks, death):
    """GETs that are not answered yet are repeated and succeed, what may not be
    repeated is a 502, responses that had begun break off. Those of other workers
    notice nothing."""
    died_on_purpose(httpd)
    site()
    requests = Requests(httpd, marks)
    with load(httpd) as running:
        where = requests.start()
        victim = where[0]
        with able_to_die(death, victim):
            os.kill(victim, DEATHS[death][0])
            replaced(httpd, {victim})
        results = requests.finish()
    expected = {}
    for number, pid in where.items():
        lost = {0: 200, 1: 502, 2: BROKEN_OFF}[number % 3]
        expected[number] = lost if pid == victim else 200
    assert results == expected
    assert running.failures() == []


def test_a_stopped_worker_holds_its_own_requests_alone(httpd, site, marks):
    site()
    requests = Requests(httpd, marks)
    with load(httpd) as running:
        victim = requests.start()[0]
        os.kill(victim, signal.SIGSTOP)
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 100, "the load meanwhile")
        os.kill(victim, signal.SIGCONT)
        results = requests.finish()
    assert set(results.values()) == {200}
    assert running.failures() == []


def test_a_worker_that_stays_stopped_with_a_late_request_is_replaced(httpd, site, marks):
    """Its client gets 504, since httpd counts, too; nobody else notices. It cannot
    finish, so it is killed in the end."""
    httpd.expect_log("CGW0163", "CGW0262", "CGW0275", "CGW0132")
    site("CGatewayDrainTimeout 1s", "<Location /wait>", "CGatewayRequestTimeout 1s",
         "</Location>")
    with load(httpd) as running, httpd.raw() as raw:
        victim = run_one(raw, marks)
        os.kill(victim, signal.SIGSTOP)
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 504 ")
        httpd.wait_log(rf"CGW0262: a\.example: pid {victim} .*"
                       r"\(CGatewayRequestTimeout\): it is stopped")
        replaced(httpd, {victim})
        httpd.wait_log(f"CGW0275.*{victim}")
        until(lambda: victim not in httpd.processes(), "its end")
    assert running.failures() == []


def run_one(raw, marks):
    """Has a GET run that waits; returns the process."""
    raw.send(b"GET /wait/0 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
    mark, = until(lambda: list(marks.glob("wait-0-*")), "the request to run")
    return int(mark.name.split("-")[-1])


@pytest.mark.parametrize("processes", [1, 2])
def test_an_idle_worker_that_stays_stopped_is_replaced(httpd, site, processes):
    """Also where it is the only one: requests wait for the next."""
    httpd.expect_log("CGW0262", "CGW0275", "CGW0132")
    victim = min(site("CGatewayDeadlockTimeout 2s", "CGatewayDrainTimeout 1s",
                      f"CGatewayProcesses {processes}"))
    with load(httpd, rate=20) as running:   # fewer than may wait
        os.kill(victim, signal.SIGSTOP)
        httpd.wait_log(rf"CGW0262: a\.example: pid {victim} .*"
                       r"\(CGatewayDeadlockTimeout\): it is stopped")
        replaced(httpd, {victim}, processes)
        until(lambda: victim not in httpd.processes(), "its end")
    assert running.failures() == []


def test_a_worker_that_goes_on_after_it_was_replaced_finishes(httpd, site, marks):
    httpd.expect_log("CGW0262")
    site("CGatewayDeadlockTimeout 2s")
    with load(httpd) as running, httpd.raw() as raw:
        victim = run_one(raw, marks)
        os.kill(victim, signal.SIGSTOP)
        httpd.wait_log(f"CGW0262.*{victim}")
        replaced(httpd, {victim})
        os.kill(victim, signal.SIGCONT)
        (marks / "go-on").touch()
        assert raw.receive_all()[0].endswith(b"\r\n\r\n%d" % victim)
        until(lambda: victim not in httpd.processes(), "it to end by itself")
    assert running.failures() == []
    assert "CGW0275" not in httpd.log()


def test_an_application_that_crashes_in_c_costs_one_request(httpd, site):
    """A POST: it is not repeated. Its stack is in the log."""
    died_on_purpose(httpd)
    before = site()
    with load(httpd) as running:
        assert httpd.request("/crash", "POST", b"x").status == 502
        until(lambda: len(set(httpd.workers("a.example")) - before) == 1, "another one")
    assert running.failures() == []
    httpd.wait_log("Fatal Python error: Segmentation fault")
    httpd.wait_log(r'faults\.wsgi", line \d+ in application')


def test_a_request_that_eats_all_memory_costs_itself(httpd, site):
    """A POST: it is not repeated. The status page tells why, too."""
    died_on_purpose(httpd)
    victim, = site("CGatewayProcesses 1")
    with able_to_die("out of memory", victim), load(httpd, rate=20) as running:
        assert httpd.request("/eat", "POST", b"x").status == 502
        replaced(httpd, {victim}, 1)
    assert running.failures() == []
    httpd.wait_log(rf"CGW0213.*{victim} .*the kernel sent for want of memory")
    assert Ctl(httpd).group("a.example")["last_end"]["cause"] == "out of memory"


def test_an_application_that_closes_every_descriptor_costs_one_request(httpd, site):
    died_on_purpose(httpd)
    httpd.expect_log("CGW0415", "CGW0210", "CGW04")
    before = site()
    with load(httpd) as running:
        assert httpd.request("/close-all", "POST", b"x").status == 502
        until(lambda: len(set(httpd.workers("a.example")) - before) == 1, "another one")
    assert running.failures() == []


def test_an_application_that_forks_and_never_waits(httpd, site):
    """Its children are the worker's until that ends; then nothing of them is left."""
    site("CGatewayProcesses 1")
    with load(httpd) as running:
        pid = int(httpd.get("/fork/200").text)
        httpd.graceful()
        until(lambda: pid not in httpd.processes(), "the old worker to end")
    assert [o for o in running.failures() if o.error != "stale"] == []
    until(lambda: not zombies(httpd.supervisor()), "the zombies to be reaped")


def zombies(parent):
    found = subprocess.run(["ps", "--ppid", str(parent), "-o", "stat="],
                           capture_output=True, text=True)
    return [line for line in found.stdout.split() if line.startswith("Z")]


# ---- template ---------------------------------------------------------------------------

def template(httpd):
    return next((p["pid"] for p in
                 Ctl(httpd).group("a.example")["generations"][0]["processes"]
                 if p["state"] == "template"), None)


def test_a_killed_template_is_replaced_unnoticed(httpd, site):
    httpd.expect_log("CGW0213.*template")
    workers = site()
    victim = template(httpd)
    with load(httpd) as running:
        os.kill(victim, signal.SIGKILL)
        until(lambda: template(httpd) not in (victim, None), "another template")
        assert set(httpd.workers("a.example")) == workers
    assert running.failures() == []


def test_a_stopped_template_is_replaced_before_it_is_needed(httpd, site):
    httpd.expect_log("CGW0263")
    workers = site()
    victim = template(httpd)
    with load(httpd) as running:
        os.kill(victim, signal.SIGSTOP)
        until(lambda: template(httpd) not in (victim, None), "another template")
        assert set(httpd.workers("a.example")) == workers
    assert running.failures() == []
    httpd.wait_log(f"CGW0263.*{victim}")


def test_a_fork_that_a_stopped_template_owes_blocks_nothing(httpd, site):
    """CGatewayStartTimeout would be a minute. The forks it owes are no obituaries."""
    died_on_purpose(httpd)
    httpd.expect_log("CGW0263")
    workers = site()
    stopped, victim = template(httpd), min(workers)
    with load(httpd) as running:
        os.kill(stopped, signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)
        replaced(httpd, {victim})
    assert running.failures() == []
    httpd.wait_log(f"CGW0263.*{stopped}")
    assert "CGW0211" not in httpd.log() and "CGW0276" not in httpd.log()


# ---- supervisor --------------------------------------------------------------------------

def test_a_killed_supervisor_costs_nothing(httpd, site, marks):
    """Its workers finish what they have; what nobody has accepted waits."""
    httpd.expect_log("CGW0104", "CGW0213")
    old = site()
    requests = Requests(httpd, marks)
    with load(httpd) as running:
        requests.start()
        former = httpd.supervisor()
        os.kill(former, signal.SIGKILL)
        until(lambda: httpd.supervisor() not in (None, former), "another supervisor")
        replaced(httpd, old)
        results = requests.finish()
        until(lambda: not old & set(httpd.processes()), "the old workers to end")
    assert set(results.values()) == {200}
    assert running.failures() == []


def test_a_stopped_supervisor_costs_nothing_and_goes_on_at_graceful(httpd, site):
    """httpd's parent has it run again; waiting for it would mean that nobody serves
    meanwhile."""
    old = site()
    former = httpd.supervisor()
    with load(httpd) as running:
        os.kill(former, signal.SIGSTOP)
        until(lambda: is_stopped(former), "it to stop")
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 100, "the load meanwhile")
        httpd.graceful()
        replaced(httpd, old)
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert httpd.supervisor() == former


@contextlib.contextmanager
def held_by_a_debugger(pid):
    """As by gdb at its prompt: it does not run, nor is its parent told when it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    attach, detach = 16, 17
    assert libc.ptrace(attach, pid, 0, 0) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(pid, os.WUNTRACED)
    try:
        yield
    finally:
        libc.ptrace(detach, pid, 0, 0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_a_supervisor_that_cannot_run_is_replaced_at_graceful(httpd, site):
    """httpd's parent waits for its answer for ten seconds before it starts its new
    children, which may be busy then: connections wait. It does not wait for its end:
    one in a debugger's hands, or that hangs in the kernel, is not reaped."""
    httpd.expect_log("CGW0102", "CGW0104", "AH00161", "AH00286", "AH00484", "AH10159")
    site()
    former = httpd.supervisor()
    with load(httpd) as running, held_by_a_debugger(former):
        httpd.graceful()
        until(lambda: httpd.supervisor() not in (None, former), "another supervisor")
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 100, "the load behind")
    assert [o for o in running.failures() if o.error != "stale"] == []
    until(lambda: not os.path.exists(f"/proc/{former}"), "it to be reaped")


def test_a_supervisor_that_cannot_be_started_is_tried_again(httpd, site):
    """For want of processes or memory, say; requests wait as long."""
    httpd.expect_log("CGW0104", "CGW0101", "CGW0213")
    old = site()
    program = httpd.root / "modules" / "cgateway" / "cgatewayd"
    with load(httpd, rate=5) as running:    # fewer than may wait
        program.rename(program.with_name("moved"))
        os.kill(httpd.supervisor(), signal.SIGKILL)
        httpd.wait_log("CGW0101", "main")
        program.with_name("moved").rename(program)
        replaced(httpd, old)
    assert running.failures() == []


# ---- httpd -------------------------------------------------------------------------------

def sockets(pid):
    """How many it has; some come and go meanwhile."""
    found = 0
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                found += link.startswith("socket:")
    return found


def test_a_killed_httpd_child_costs_its_own_connections_alone(httpd, site, marks):
    """Workers see that the clients have gone; nothing of the group dies."""
    httpd.expect_log("AH00052")
    workers = site()
    requests = Requests(httpd, marks)
    with load(httpd, rate=100) as running:
        requests.start()
        victim = max(httpd.children(), key=sockets)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(httpd.children() - {victim}) >= 2, "another child")
        results = requests.finish()
    assert BROKEN_OFF in results.values()   # all of them, where all were of one child
    assert set(results.values()) <= {200, BROKEN_OFF}
    assert {o.status for o in running.outcomes} <= {0, 200}
    # those that were there when it died, and kept connections used later on
    assert all(o.intended < killed + 1 or o.error == "stale"
               for o in running.failures()), running.failures()
    assert set(httpd.workers("a.example")) == workers


def test_a_stopped_httpd_child_holds_its_own_connections_alone(httpd, site, marks):
    """They go on when it does; the others, and the workers, do not notice."""
    workers = site()
    requests = Requests(httpd, marks)
    with load(httpd) as running:
        requests.start()
        victim = max(httpd.children(), key=sockets)
        os.kill(victim, signal.SIGSTOP)
        until(lambda: is_stopped(victim), "it to stop")
        with OpenLoop(httpd.port, [("a.example", "/quick")], 50, fresh=1) as others:
            until(lambda: len(others.outcomes) > 100, "the others' requests")
        os.kill(victim, signal.SIGCONT)
        results = requests.finish()
    assert others.failures() == [] and running.failures() == []
    assert set(results.values()) == {200}
    assert set(httpd.workers("a.example")) == workers


def test_an_httpd_child_that_stays_stopped_delays_no_deploy(httpd, site):
    """httpd's parent kills it in the end, when it is told to stop."""
    httpd.expect_log("AH00045", "AH00046", "AH00052", "AH00032")
    old = site()
    victim = max(httpd.children(), key=sockets)
    os.kill(victim, signal.SIGSTOP)
    until(lambda: is_stopped(victim), "it to stop")
    with OpenLoop(httpd.port, [("a.example", "/quick")], 50, fresh=1) as running:
        until(lambda: len(running.outcomes) > 50, "the load before")
        httpd.graceful()
        replaced(httpd, old)
        until(lambda: not old & set(httpd.processes()), "the old workers to end")
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 50, "the load behind")
        assert is_stopped(victim)
    assert running.failures() == []
    assert {int(o.body) for o in running.outcomes[-20:]} <= set(httpd.workers("a.example"))
