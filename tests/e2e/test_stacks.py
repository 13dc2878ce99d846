# SPDX-License-Identifier: Apache-2.0
"""cgatewayctl stacks: where every thread of every worker is, whatever it does, and
nothing is disturbed by looking."""

import os
import re
import signal
import threading

import pytest

from harness.ctl import Ctl
from harness.hostile import run
from harness.httpd import until
from harness.paths import AS_ROOT, HTTPD_USER, PATIENCE, ROOT

OK, FAILED, USAGE, UNREACHABLE, REFUSED, NO_GROUP, TIMEOUT = range(7)

APP = """
import ctypes, os, threading, time

GO, MARKS = os.environ["GO"], os.environ["MARKS"]

def mark(name):
    open(os.path.join(MARKS, name), "w").close()

def wait_in_python():
    mark("python")
    while not os.path.exists(GO):
        time.sleep(0.01)

def wait_in_c_with_the_lock():
    # PyDLL keeps the interpreter lock: no Python runs in this process meanwhile
    libc = ctypes.PyDLL(None)
    mark("locked")
    while libc.access(GO.encode(), 0) != 0:
        libc.usleep(900000)

def spin():
    mark("spin")
    while not os.path.exists(GO):
        sum(range(1000))

def application(environ, start_response):
    {"/python": wait_in_python, "/locked": wait_in_c_with_the_lock,
     "/spin": spin}.get(environ["PATH_INFO"], int)()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


class Site:
    def __init__(self, httpd, *lines):
        self.httpd = httpd
        self.marks = httpd.mkdir("marks", owner="games")
        httpd.wsgi(httpd.app("hang.wsgi", APP), f'CGatewayEnv MARKS "{self.marks}"',
                   f'CGatewayEnv GO "{self.marks}/go"',
                   *(["CGatewayUser games"] if AS_ROOT else []), *lines)
        self.threads, self.answers = [], []

    def hold(self, path, wait=True):
        thread = threading.Thread(target=lambda: self.answers.append(
            self.httpd.get(path).status))
        thread.start()
        self.threads.append(thread)
        if wait:
            until((self.marks / path[1:]).exists, path)

    def release(self):
        (self.marks / "go").touch()
        for thread in self.threads:
            thread.join()
        return self.answers


def threads_of(answer):
    return [thread for process in answer["processes"] for thread in process["threads"]]


def thread_at(answer, request):
    return next(t for t in threads_of(answer) if t.get("request") == f"GET {request}")


def test_shows_what_requests_do(httpd, ctl):
    site = Site(httpd, "CGatewayProcesses 2", "CGatewayThreads 3")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    site.hold("/python")
    site.hold("/spin")
    answer = ctl.json("stacks", "a.example")
    assert "in wait_in_python" in thread_at(answer, "/python")["stack"]
    assert "in spin" in thread_at(answer, "/spin")["stack"]
    for thread in threads_of(answer):
        # the watchdog of a worker is a thread in C
        assert thread["stack"] or "thread" not in thread and "blocks" in thread["trouble"]
    states = [p["state"] for p in answer["processes"]]
    assert states.count("serving") == 2 and states.count("template") == 1
    assert sum("thread" in t for t in threads_of(answer)) == 6
    text = ctl("stacks", "a.example").stdout
    assert "wait_in_python" in text and "GET /python" in text
    assert "other threads" in text and "in _run_thread" in ctl(
        "stacks", "a.example", "--all").stdout
    assert site.release() == [200, 200]


def test_needs_no_interpreter_lock(httpd, ctl):
    """C code holds it: nothing else of that process can run Python."""
    site = Site(httpd, "CGatewayProcesses 1", "CGatewayThreads 4")
    httpd.start()
    site.hold("/python")
    site.hold("/locked")
    answer = ctl.json("stacks", "a.example")
    assert "in wait_in_c_with_the_lock" in thread_at(answer, "/locked")["stack"]
    assert "in wait_in_python" in thread_at(answer, "/python")["stack"]
    assert site.release() == [200, 200]


def test_looking_again_and_again_disturbs_nothing(httpd, ctl):
    site = Site(httpd, "CGatewayProcesses 1", "CGatewayThreads 4")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    site.hold("/spin")
    pids = httpd.workers("a.example")
    lookers = [ctl.start("stacks", "a.example", "--json") for _ in range(6)]
    for _ in range(50):
        assert httpd.get("/").status == 200
    outputs = [looker.communicate(timeout=PATIENCE)[0] for looker in lookers]
    assert all("in spin" in output for output in outputs)
    assert httpd.workers("a.example") == pids
    assert site.release() == [200]


def test_a_stopped_process_keeps_nobody_waiting_for_ever(httpd, ctl):
    Site(httpd, "CGatewayProcesses 1", "CGatewayThreads 2", "CGatewayPreload off")
    httpd.start()
    httpd.get("/")
    pid, = httpd.workers("a.example")
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = ctl.json("stacks", "a.example")
        assert any("stopped" in (t["trouble"] or "") for t in threads_of(answer))
        assert ctl("status").returncode == OK
    finally:
        os.kill(pid, signal.SIGCONT)
    assert httpd.get("/").status == 200


def test_a_process_that_dropped_the_handler_is_not_killed(httpd, ctl):
    """The signal's default would end it."""
    httpd.wsgi(httpd.app("drop.wsgi", APP.replace(
        "def mark", "import signal\nsignal.signal(61, signal.SIG_DFL)\n\ndef mark")),
        'CGatewayEnv GO "/go"', 'CGatewayEnv MARKS "/marks"', "CGatewayPreload off")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    pids = httpd.workers("a.example")
    answer = ctl.json("stacks", "a.example")
    assert all("not prepared" in t["trouble"] for t in threads_of(answer))
    assert httpd.get("/").status == 200 and httpd.workers("a.example") == pids


def test_shows_where_an_import_hangs(httpd, ctl):
    marks = httpd.mkdir("marks", owner=HTTPD_USER)
    httpd.wsgi(httpd.app("hang.wsgi", f"""
import os, time
def wait_for_the_network():
    while not os.path.exists({str(marks / "go")!r}):
        time.sleep(0.01)
open({str(marks / "hangs")!r}, "w").close()
wait_for_the_network()
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""))
    httpd.start()
    until((marks / "hangs").exists, "the import")
    assert "in wait_for_the_network" in ctl("stacks", "a.example").stdout
    (marks / "go").touch()
    assert httpd.get("/").status == 200


def test_a_client_that_leaves_frees_the_way_for_the_next(httpd, ctl):
    Site(httpd, "CGatewayProcesses 2")
    httpd.start()
    httpd.get("/")
    for _ in range(20):
        with ctl.connect() as connection:
            connection.sendall(b"stacks a.example\n")
    assert ctl("stacks", "a.example").returncode == OK


def test_only_root_and_the_owner_may_look(httpd, ctl, as_root):
    Site(httpd)
    httpd.start()
    httpd.get("/")
    assert ctl("stacks", "a.example", user="games").returncode == OK
    assert ctl("stacks", "a.example", user=HTTPD_USER).returncode == REFUSED


MEDDLER = """
import fcntl, os, socket, struct, threading, time
reader, writer = os.pipe()
channel = socket.socket(fileno=os.dup(3))
socket.send_fds(channel, [struct.pack("=IHHQ", 0x31574743, {version}, 27, 0)], [reader])

def meddle():
    while True:
        fcntl.fcntl(reader, fcntl.F_SETFL, 0)
        time.sleep(0.001)

threading.Thread(target=meddle, daemon=True).start()
result = [writer]
"""


def test_a_process_that_has_reading_its_pipe_wait_holds_nobody_up(httpd, ctl):
    """Whether reading waits is said of what both have open."""
    version = re.search(r"CGW_CONTROL_VERSION (\d+)", (
        ROOT / "include" / "cgw_control.h").read_text())[1]
    httpd.wsgi("hostile.wsgi", "CGatewayProcesses 1", "CGatewayThreads 1")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    run(httpd, MEDDLER.format(version=version))
    for _ in range(3):
        ctl("stacks", "a.example")
        assert ctl("status").returncode == OK
    assert run(httpd, "result = 'serves'") == "serves"
