# SPDX-License-Identifier: Apache-2.0
"""Calls of libc that fail in the supervisor, in httpd's parent and in httpd's children:
each costs what the failure table says and no more, something in the log names it, and
what was asked for comes about the next time. What fails is chosen: those in the lists
once harmed somebody. The soak has every call of every course of events fail in turn."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal

import pytest

from harness.ctl import Ctl
from harness.httpd import Timeout, until
from harness.inject import FOR_EVER, into_httpd, into_supervisor
from harness.lasting import load
from harness.limited import limited
from harness.paths import PRELOAD, SOAK, soak
from harness.starters import that_serves

without_sanitizers = pytest.mark.skipif(
    bool(PRELOAD), reason="sanitizers have calls, and memory, of their own")

site = that_serves("faults.wsgi", "CGatewayStartTimeout 10")
# What the supervisor says where something fails, and of what it costs.
SUPERVISOR = ["CGW02", "CGW0311", r"\] a\.example: "]
# Not what was short ended the matter, but a time that was over, or a suspicion.
WAITED_IN_VAIN = "CGW02(10|15|20|22|75|76)"
# The kernel has no such failure for a call that does not wait for anything.
NEVER_FAIL = {"waitid", "waitpid"}
TRIES = 40


def status(httpd, name="a.example"):
    """Of a group; {} where there is none, or the supervisor does not say."""
    run = Ctl(httpd)("status", name, "--json")
    return json.loads(run.stdout)["groups"][0] if run.returncode == 0 else {}


def is_well(httpd):
    group = status(httpd)
    return (group.get("state") == "serving" and len(group["generations"]) == 1
            and len(httpd.workers("a.example")) == 2)


# ---- courses of events, each to be gone through with a call that fails ---------------------

def reload(httpd):
    if Ctl(httpd)("reload", "a.example").returncode != 0:
        assert "CGW02" in httpd.log() + httpd.log("main")


def change_a_file(httpd):
    seen = httpd.log().count("reload: ")
    os.utime(httpd.root / "apps" / "faults.wsgi")
    with contextlib.suppress(Timeout):     # it may not be watched
        until(lambda: httpd.log().count("reload: ") > seen, "the reload", seconds=3)


def a_worker_dies(httpd):
    victim = min(httpd.workers("a.example"))
    os.kill(victim, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{victim}"), "its end")


def ask(httpd):
    for words in (["status"], ["requests", "a.example"], ["stacks", "a.example"],
                  ["env", "a.example"], ["check", "a.example"]):
        Ctl(httpd)(*words)


def start(httpd):
    """Another supervisor."""
    former = httpd.supervisor()
    os.kill(former, signal.SIGKILL)
    until(lambda: httpd.supervisor() not in (None, former), "another supervisor")


# name -> (course, [(call, which)])
COURSES = {
    "reload": (reload, [("sendmsg", 1),         # LOAD: the process waited for it
                        ("sendmsg", 4),         # DRAIN: the old code went on serving
                        ("setsockopt", 1),      # what came was believed to be forged
                        ("calloc", 2)]),        # was not tried again beside an old one
    "start": (start, [("socketpair", 1),        # requests were refused at once
                      ("bind", 1)]),            # cgatewayctl had nobody to ask
    "change": (change_a_file, []),
    "death": (a_worker_dies, []),
    "orders": (ask, []),
}


def faults(plan, act, httpd, chosen):
    """(call, which) of all calls that a course has, or those that are chosen."""
    if not SOAK:
        return chosen
    with plan.counting() as counts:
        act(httpd)
        until(lambda: is_well(httpd), "the course to end")
    return [(call, n + 1) for call, count in counts.items() if call not in NEVER_FAIL
            for n in range(min(count, TRIES))]


@without_sanitizers
@pytest.mark.parametrize("course", [c for c in COURSES if SOAK or COURSES[c][1]])
def test_a_call_that_fails_in_the_supervisor_costs_no_request(httpd, site, course):
    httpd.expect_log(*SUPERVISOR, "CGW010[234]", "CGW0290", "CGW0292")
    act, chosen = COURSES[course]
    plan = into_supervisor(httpd)
    site()
    with load(httpd, rate=20) as running:
        for call, which in faults(plan, act, httpd, chosen):
            with plan.failing(call, which):
                act(httpd)
            assert plan.failed or SOAK, f"{call} {which} was not called"
            until(lambda: is_well(httpd), f"all to be well after {call} {which}")
        assert Ctl(httpd)("reload", "a.example").returncode == 0
    assert running.failures() == []
    assert not re.search(WAITED_IN_VAIN, httpd.log())


@without_sanitizers
def test_a_group_that_falls_asleep_while_nothing_can_be_watched_is_woken(httpd, site):
    """It once slept for ever."""
    httpd.expect_log(*SUPERVISOR)
    plan = into_supervisor(httpd)
    site()
    sites(httpd, ["b.example"])
    with plan.failing("epoll_ctl", 1, FOR_EVER):
        httpd.graceful()
        assert plan.failed
    assert httpd.get("/", host="b.example").status == 200


# ---- memory ------------------------------------------------------------------------------

def sites(httpd, names):
    for name in names:
        httpd.wsgi("info.wsgi", "CGatewayStart demand", name=name)


@without_sanitizers
def test_a_supervisor_without_memory_says_so_and_is_replaced(httpd, site):
    """It once ended by a NULL pointer, and without a word."""
    httpd.expect_log("CGW0252", "CGW0102", "CGW0104", "CGW0213", "CGW0132")
    site()
    former = httpd.supervisor()
    sites(httpd, [f"s{n}.example" for n in range(60)])
    with load(httpd, rate=20) as running:
        with open(f"/proc/{former}/statm", encoding="ascii") as statm:
            used = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
        with limited(former, "as", used):
            httpd.graceful()
            httpd.wait_log("CGW0252", "main")
            until(lambda: httpd.supervisor() not in (None, former), "another one")
        until(lambda: is_well(httpd), "the group")
        assert httpd.get("/", host="s7.example").status == 200
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert "signal" not in "".join(re.findall("CGW0104.*", httpd.log("main")))


# ---- httpd's parent ----------------------------------------------------------------------

@without_sanitizers
@pytest.mark.parametrize("call, which, said", [
    ("sendmsg", 3, "CGW0184"),      # it once ended the supervisor
    ("listen", 1, "CGW0112")])      # nothing was said, nor tried again without graceful
def test_a_call_that_fails_in_httpds_parent_ends_no_supervisor(httpd, site, call, which,
                                                              said):
    httpd.expect_log(said)
    plan = into_httpd(httpd)
    site()
    supervisor = httpd.supervisor()
    sites(httpd, ["b.example"])
    with load(httpd, rate=20) as running:
        with plan.failing(call, which, pid=httpd.process.pid):
            httpd.graceful()
            assert plan.failed
        httpd.wait_log(said, "main")
        if call == "sendmsg":
            httpd.graceful()    # else after 10 s
        until(lambda: status(httpd, "b.example"), "it to be tried again")
        assert httpd.get("/", host="b.example").status == 200
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert httpd.supervisor() == supervisor


# ---- httpd's children --------------------------------------------------------------------

ECHO = """\
import time

def application(environ, start_response):
    kind, _, token = environ["PATH_INFO"][1:].partition("/")
    body = token.encode() * 20
    start_response("200 OK", [("Content-Length", str(len(body)))])
    if kind == "file":
        return environ["wsgi.file_wrapper"](open(FILES + token, "rb"))
    time.sleep(0.2)
    return [body]
"""


@pytest.fixture
def echo(httpd):
    files = httpd.mkdir("files")
    (files / "abc").write_bytes(b"abc" * 20)
    httpd.wsgi(httpd.app("echo.wsgi", f'FILES = "{files}/"\n' + ECHO),
               "CGatewayProcesses 2", "CGatewayThreads 8")
    httpd.start()
    until(lambda: status(httpd).get("state") == "serving", "the workers")


def settled(httpd):
    """The children of httpd, once all are there and have what they need."""
    looks = [None]

    def is_settled():
        looks.append({pid: set(os.listdir(f"/proc/{pid}/fd")) for pid in httpd.children()})
        return len(looks[-1]) > 1 and looks[-1] == looks[-2]
    until(is_settled, "httpd's children")
    return set(looks[-1])


@contextlib.contextmanager
def room_for(pids, count):
    """So many more descriptors, for each of them."""
    with contextlib.ExitStack() as stack:
        for pid in pids:
            used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
            free = [n for n in range(1024) if n not in used]
            stack.enter_context(limited(pid, "nofile", free[count]))
        yield


def test_a_child_of_httpd_without_room_for_a_file_says_so(httpd, echo):
    """It blamed the worker: "not of the wire's format"."""
    httpd.expect_log("CGW0128", "CGW0123")
    with room_for(settled(httpd), 2):     # the client's and the worker's
        try:
            answer = httpd.get("/file/abc")
            assert (answer.status, bool(answer.headers["Retry-After"])) == (503, True)
        except http.client.IncompleteRead:
            pass    # its head was there, and on its way, before
        assert httpd.get("/echo/x").status == 200
    httpd.wait_log("CGW0128")
    assert httpd.get("/file/abc").body == b"abc" * 20


def test_children_of_httpd_without_descriptors_never_give_a_wrong_answer(httpd, echo):
    """Clients wait, or get 503."""
    httpd.expect_log("CGW0130", r"\(24\)Too many open files", r"AH0[03]\d+")

    def ask_one(number):
        try:
            answer = httpd.get(f"/echo/t{number}-")
        except OSError:
            return number, 0, b""
        return number, answer.status, answer.body
    with room_for(settled(httpd), 11), \
            concurrent.futures.ThreadPoolExecutor(40) as pool:
        outcomes = list(pool.map(ask_one, range(soak(2000, 120))))
    for number, code, body in outcomes:
        assert code == 503 or (code, body) == (200, f"t{number}-".encode() * 20)
    until(lambda: httpd.get("/echo/z").status == 200, "it to be well")
