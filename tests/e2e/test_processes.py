# SPDX-License-Identifier: Apache-2.0
"""A group's processes: how many there are, and how one takes another's place."""

import concurrent.futures
import os
import signal
import time

import pytest

from harness.httpd import until
from harness.load import Load
from harness.paths import soak
from harness.starters import with_marks


site = with_marks("process.wsgi")


FORKED = ()
SOLO = ("CGatewayEnv LEAVE socket",)
both = pytest.mark.parametrize("how", [FORKED, SOLO], ids=["forked", "solo"])


def ask_all(httpd, number, name="meet"):
    """The answer of each of so many workers of one thread; once for each name."""
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        answers = list(pool.map(lambda _: httpd.get(f"/{name}?{number}").json(),
                                range(number)))
    assert len(pids(answers)) == number
    return answers


def expect_solo(httpd):
    """What is said of an application that cannot be forked."""
    httpd.expect_log(r"CGW0412")


def pids(answers):
    return {answer["pid"] for answer in answers}


def ask_slowly(httpd, marks, name="slow"):
    """A request that runs until the file go-on is made: connection and worker."""
    raw = httpd.raw()
    raw.send(f"GET /{name} HTTP/1.1\r\nHost: a.example\r\n"
             "Connection: close\r\n\r\n".encode())
    running = until(lambda: list(marks.glob(f"{name}-*")), "the request to run")
    return raw, int(running[0].name.split("-")[-1])


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


# ---- replacement ----------------------------------------------------------------------

@both
def test_processes_are_replaced_after_so_many_requests_and_none_fails(httpd, site, how):
    expect_solo(httpd)
    site("CGatewayMaxRequests 20 20", "CGatewayProcesses 2", *how)
    with Load(httpd, "/") as load:
        until(lambda: len(pids(load.answers)) >= 8, "eight processes in turn")
    assert load.failures == []
    until(lambda: len(httpd.workers("a.example")) == 2, "two workers, as configured")
    served = [answer["pid"] for answer in load.answers]
    # they go on while their successors start, so the limit is not exact
    replaced = set(served) - set(httpd.workers("a.example"))
    assert all(served.count(pid) >= 20 for pid in replaced)


def test_a_replaced_process_finishes_its_request(httpd, site, marks):
    site("CGatewayMaxRequests 3", "CGatewayProcesses 1", "CGatewayThreads 2")
    raw, old = ask_slowly(httpd, marks)
    with raw:
        until(lambda: httpd.get().json()["pid"] != old, "the successor")
        assert old in httpd.processes()
        (marks / "go-on").touch()
        assert b'"pid": %d' % old in raw.receive_all()[0]
    until(lambda: old not in httpd.processes(), "the replaced process to end")


def test_a_replaced_process_that_does_not_end_is_killed(httpd, site, marks):
    httpd.expect_log("CGW0132", "CGW0133")
    site("CGatewayMaxRequests 3", "CGatewayProcesses 1", "CGatewayThreads 2",
         "CGatewayDrainTimeout 1s")
    raw, old = ask_slowly(httpd, marks)
    httpd.expect_log("CGW0275")
    with raw:
        until(lambda: httpd.get().json()["pid"] != old, "the successor")
        httpd.wait_log(rf"CGW0275.*{old}.*CGatewayMaxRequests.*CGatewayDrainTimeout")
        until(lambda: old not in httpd.processes(), "the replaced process to end")
        (marks / "go-on").touch()
        raw.receive_all()
    assert httpd.get().status == 200


KEEPING = """\
import os, threading
threading.Thread(target=threading.Event().wait).start()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"pid": %d}' % os.getpid()]
"""


@pytest.mark.parametrize("lines, log_id", [
    (["CGatewayMaxRequests 2"], "CGW0275"), ([], "CGW0222")])
def test_a_thread_that_keeps_a_process_from_ending_is_named(httpd, lines, log_id):
    """Python waits at its end for one that is no daemon: it is not a request."""
    httpd.expect_log("CGW0222", "CGW0275", "CGW0412")
    httpd.wsgi(httpd.app("keeping.wsgi", KEEPING), "CGatewayProcesses 1",
               "CGatewayDrainTimeout 1s", *lines)
    httpd.start()
    old = httpd.get().json()["pid"]
    if not lines:
        httpd.graceful()
    until(lambda: httpd.get().json()["pid"] != old, "the successor")
    httpd.wait_log(rf"{log_id}.* has no requests any more: Python waits for a thread")
    until(lambda: old not in httpd.processes(), "the old one to end")


def test_replaced_processes_that_do_not_end_do_not_pile_up(httpd, site, marks):
    """Each is held by a request of its own; a third one waits for its successor."""
    site("CGatewayMaxRequests 2", "CGatewayProcesses 1", "CGatewayThreads 2")
    held = []
    for name in ("slow1", "slow2", "slow3"):
        raw, pid = ask_slowly(httpd, marks, name)
        held.append((raw, pid))
        if name != "slow3":
            until(lambda pid=pid: httpd.get().json()["pid"] != pid, "the successor")
            until(lambda pid=pid: threads(pid) == 4, "its idle thread to end")
    last = held[-1][1]
    assert len(pids([{"pid": pid} for _, pid in held])) == 3
    assert {httpd.get().json()["pid"] for _ in range(20)} == {last}
    assert len(httpd.workers("a.example")) == 3
    (marks / "go-on").touch()
    for raw, pid in held:
        with raw:
            assert b'"pid": %d' % pid in raw.receive_all()[0]
    until(lambda: httpd.get().json()["pid"] != last, "the successor of the last one")
    until(lambda: len(httpd.workers("a.example")) == 1, "the replaced processes to end")


def test_a_process_without_successor_goes_on(httpd, site, marks):
    expect_solo(httpd)
    site("CGatewayMaxRequests 5", "CGatewayProcesses 1", *SOLO)
    old = httpd.get().json()["pid"]
    (marks / "broken").touch()
    httpd.expect_log(r"CGW0411", r"CGW0213", r"\] a\.example: ")
    with Load(httpd, "/", clients=2) as load:
        httpd.wait_log("broken since the mark is there")
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 20, "the load")
        assert pids(load.answers) == {old}
        (marks / "broken").unlink()
        until(lambda: pids(load.answers) != {old}, "the successor")
    assert load.failures == []
    until(lambda: old not in httpd.processes(), "the replaced process to end")


@both
def test_processes_are_replaced_at_their_age_and_no_request_fails(httpd, site, how):
    expect_solo(httpd)
    site("CGatewayMaxLifetime 1s", "CGatewayProcesses 2", *how)
    with Load(httpd, "/", clients=3) as load:
        until(lambda: len(pids(load.answers)) >= 6, "six processes in turn")
    assert load.failures == []
    httpd.wait_log(r"is replaced \(CGatewayMaxLifetime\)")


LEAKING = """\
import ctypes, os, time

KEPT = []
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def application(environ, start_response):
    what = environ["PATH_INFO"].strip("/")
    if what == "python":
        KEPT.append(bytearray(b"x") * 300_000)
    elif what == "c":
        libc.memset(libc.malloc(300_000), 1, 300_000)
    elif what:
        time.sleep(float(what))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"pid": %d}' % os.getpid()]
"""


@pytest.mark.parametrize("preload", ["on", "off"])
def test_all_reasons_to_be_replaced_together_lose_no_request(httpd, preload):
    """At the least numbers, and as many processes as are needed. What has taken too long
    is answered 504, and nothing else is. No hard limit of memory: one that leaks goes on
    until there is room for its successor."""
    httpd.expect_log("CGW0121", "CGW0260", "CGW0275")
    httpd.wsgi(httpd.app("leaking.wsgi", LEAKING), f"CGatewayPreload {preload}",
               "CGatewayProcesses 1-3", "CGatewayThreads 3", "CGatewayMaxRequests 1 1",
               "CGatewayMaxLifetime 1s", "CGatewayMaxMemory 60M",
               "CGatewayRequestTimeout 2s", "CGatewayIdleTimeout 1s", "CGatewayStart demand")
    httpd.start()
    end = time.monotonic() + soak(60, 6)
    answers = []

    def ask(path):
        while time.monotonic() < end:
            answers.append((path, httpd.get(path, headers={"Connection": "close"})))

    paths = ["/", "/python", "/c", "/0.01", "/0.3", "/1", "/4"]
    with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(ask, paths))
    assert {(path, answer.status) for path, answer in answers} == {
        (path, 504 if path == "/4" else 200) for path in paths}
    served = [answer.json()["pid"] for _, answer in answers if answer.status == 200]
    assert len(set(served)) > 5
    httpd.wait_log(r"is replaced \(CGatewayMaxRequests\)")


# ---- CGatewayPreload ------------------------------------------------------------------

@pytest.mark.parametrize("preload, leave, importers", [
    ("auto", "nothing", 1), ("auto", "socket", 3), ("auto", "thread", 3),
    ("on", "nothing", 1), ("on", "socket", 1), ("on", "thread", 1),
    ("off", "nothing", 3), ("off", "socket", 3)])
def test_preload_says_who_imports(httpd, site, preload, leave, importers):
    httpd.expect_log("CGW0412", "CGW0450")
    site(f"CGatewayPreload {preload}", f"CGatewayEnv LEAVE {leave}",
         "CGatewayProcesses 3", "CGatewayThreads 1")
    answers = ask_all(httpd, 3)
    assert len({a["imported_by"] for a in answers}) == importers
    own = [a["imported_by"] == a["pid"] for a in answers]
    assert all(own) if importers == 3 else not any(own)
    said = {"auto": "CGW0412", "on": "CGW0450"}.get(preload) if leave != "nothing" else None
    if said:
        httpd.wait_log(said)
    for log_id in ("CGW0412", "CGW0450"):
        assert httpd.log().count(f"{log_id}: ") == (log_id == said)
    assert "cgateway:error" not in httpd.log(), "nothing has failed"


def test_forked_workers_do_not_share_random_numbers(httpd, site):
    site("CGatewayProcesses 4", "CGatewayThreads 1")
    answers = ask_all(httpd, 4, "meet-random")
    assert len({a["imported_by"] for a in answers}) == 1, "they were forked"
    for source in ("random", "ssl", "uuid"):
        assert len({a[source] for a in answers}) == 4, source
    assert all(a["frozen"] > 1000 for a in answers), "the collector leaves pages shared"


PRELOADED = """\
import gc, hashlib, json, os, pathlib, random, secrets, ssl, tempfile, time, uuid

COLLECTED, FORKED, ORDER = [], [], []
KEPT = [[number] for number in range(300000)]


def note(phase, info):
    if phase == "start":
        COLLECTED.append(info["generation"])


for number in (1, 2):
    os.register_at_fork(before=lambda n=number: ORDER.append(f"before {n}"),
                        after_in_child=lambda n=number: ORDER.append(f"child {n}"),
                        after_in_parent=lambda n=number: ORDER.append(f"parent {n}"))
os.register_at_fork(before=lambda: FORKED.append(list(COLLECTED)))
random.seed(1), secrets.token_hex(), ssl.RAND_bytes(8), uuid.uuid4(), uuid.uuid1()
hash_before = hashlib.sha256(b"1")
names = tempfile._get_candidate_names()
gc.callbacks.append(note)


def application(environ, start_response):
    marks, number = pathlib.Path(os.environ["MARKS"]), int(environ["QUERY_STRING"])
    (marks / str(os.getpid())).touch()
    while len(list(marks.iterdir())) < number:
        time.sleep(0.02)
    hash_before.update(str(os.getpid()).encode())
    told = {"pid": os.getpid(), "order": ORDER, "collected": FORKED,
            "enabled": gc.isenabled(), "frozen": gc.get_freeze_count(),
            "numbers": [random.random(), random.SystemRandom().random(),
                        secrets.token_hex(), ssl.RAND_bytes(8).hex(), str(uuid.uuid4()),
                        str(uuid.uuid1()), os.urandom(8).hex(), next(names),
                        hash_before.hexdigest()]}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
"""


def test_what_an_application_has_at_a_fork(httpd, marks):
    """Each source of random numbers is each worker's own; handlers run in Python's order;
    what was imported is frozen, and not looked through once more, which takes long."""
    httpd.wsgi(httpd.app("preloaded.wsgi", PRELOADED), f'CGatewayEnv MARKS "{marks}"',
               "CGatewayPreload on", "CGatewayProcesses 4", "CGatewayThreads 1")
    httpd.start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [answer.json() for answer in
                   pool.map(lambda _: httpd.get("/?4"), range(4))]
    assert len(pids(answers)) == 4
    for own in zip(*(answer["numbers"] for answer in answers)):
        assert len(set(own)) == 4, own
    for answer in answers:
        assert answer["enabled"] and answer["frozen"] > 300000
        assert answer["order"][-4:] == ["before 2", "before 1", "child 1", "child 2"]
        assert answer["order"].count("child 1") == 1
        assert not any(2 in collected for collected in answer["collected"])


def test_handlers_for_forks_run_once_for_each_worker(httpd, site):
    site("CGatewayProcesses 3", "CGatewayThreads 1", "CGatewayMaxRequests 5")
    with Load(httpd, "/", clients=2) as load:
        until(lambda: len(pids(load.answers)) >= 8, "eight workers")
    assert all(a["forks"] == ["before", "child"] for a in load.answers)


def test_many_workers_that_import_by_themselves_all_serve(httpd, site, marks):
    """More than are started at a time."""
    site("CGatewayPreload off", "CGatewayProcesses 7", "CGatewayThreads 1")
    until(lambda: len(list(marks.glob("imported-*"))) == 7, "seven imports")
    httpd.wait_log("ready -> serving")
    assert len(httpd.workers("a.example")) == 7


def test_a_template_that_hangs_in_a_fork_is_replaced(httpd, site, marks):
    site("CGatewayProcesses 2", "CGatewayThreads 1", "CGatewayStartTimeout 10s")
    first = ask_all(httpd, 2)
    httpd.wait_log("ready -> serving")
    httpd.expect_log("CGW0213", "CGW0276")
    (marks / "hang").touch()
    os.kill(first[0]["pid"], signal.SIGKILL)
    httpd.wait_log(rf"CGW0276.*{first[0]['imported_by']}")
    assert httpd.get().json()["pid"] == first[1]["pid"], "the other one serves"
    (marks / "hang").unlink()
    until(lambda: len(httpd.workers("a.example")) == 2, "two workers again")
    again = ask_all(httpd, 2, "meet-again")
    assert len({a["imported_by"] for a in again}) == 2, "there is a new template"


# ---- which process serves --------------------------------------------------------------

def test_a_process_whose_threads_are_idle_serves_first(httpd, site, marks):
    """Its interpreter is free at once; the other one's may be in use for long."""
    site("CGatewayProcesses 2", "CGatewayThreads 2")
    until(lambda: len(httpd.workers("a.example")) == 2, "both workers")
    raw, busy = ask_slowly(httpd, marks)
    with raw:
        answers = [httpd.get().json()["pid"] for _ in range(40)]
        (marks / "go-on").touch()
        raw.receive_all()
    assert answers.count(busy) < 20


def test_a_thread_that_waits_in_the_application_keeps_no_request_waiting(
        httpd, site, marks):
    """Many after another, as the thread that serves changes each time."""
    site("CGatewayProcesses 1", "CGatewayThreads 6")
    for _ in range(50):
        assert httpd.get().status == 200
    slow = [ask_slowly(httpd, marks, f"slow{n}")[0] for n in range(5)]
    for _ in range(50):
        assert httpd.get().status == 200
    (marks / "go-on").touch()
    for raw in slow:
        with raw:
            assert b"200 OK" in raw.receive_all()[0]
