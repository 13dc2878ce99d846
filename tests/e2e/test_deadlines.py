# SPDX-License-Identifier: Apache-2.0
"""CGatewayRequestTimeout and CGatewayDeadlockTimeout: a request, or a whole process,
that hangs costs itself alone."""

import concurrent.futures
import contextlib
import fcntl
import math
import os
import re
import select
import signal
import subprocess
import time

import pytest

from harness.http2 import Http2
from harness.httpd import until
from harness.load import Load
from harness.paths import MPM, PRELOAD, soak

HANGS = ["stuck_in_sleep", "stuck_in_python", "stuck_in_lock", "stuck_in_c_loop",
         "stuck_in_c_wait"]
KEEP_LOCK = ("stuck_in_c_loop", "stuck_in_c_wait")


@pytest.fixture
def site(httpd, marks):
    """Starts tests/apps/stuck.wsgi, with one worker of four threads."""
    def start(*lines, processes=1, threads=4):
        httpd.expect_log("CGW0121", "CGW0260", r"a\.example: it had a worker for",
                         r"a\.example:   File", r"\[\d+\] a\.example:")
        httpd.wsgi("stuck.wsgi", f"CGatewayProcesses {processes}",
                   f"CGatewayThreads {threads}", f'CGatewayEnv MARKS "{marks}"', *lines)
        httpd.start()
        httpd.wait_log("ready -> serving")
        return int(httpd.get("/").text)
    return start


def send(raw, path, method="GET"):
    raw.send(f"{method} {path} HTTP/1.1\r\nHost: a.example\r\n"
             "Connection: close\r\n\r\n".encode())


def runs(marks, path):
    """In which processes it ran."""
    file = marks / f"ran-{path}"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def await_run(marks, path, times=1):
    return until(lambda: len(runs(marks, path)) >= times and runs(marks, path),
                 f"{path} to run")


@pytest.fixture(autouse=True)
def locked_file(httpd, marks):
    """Until httpd is gone: the processes that wait for it are to be killed."""
    httpd.locked = open(marks / "locked", "wb")
    os.chmod(httpd.locked.name, 0o666)
    fcntl.lockf(httpd.locked, fcntl.LOCK_EX)


def processor_time(pid):
    """Of all its threads, in seconds; endless where it has been killed."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return math.inf
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_kept(path, pid):
    """Until the interpreter lock is kept: by a thread that computes on and on, or one
    that waits for the file."""
    if path == "stuck_in_c_loop":
        before = processor_time(pid)
        until(lambda: processor_time(pid) > before + 0.3, "the loop to run")
        return
    with open("/proc/locks", encoding="utf-8") as locks:
        until(lambda: locks.seek(0) or re.search(
            rf"-> POSIX\s+ADVISORY\s+WRITE {pid} ", locks.read()), "the wait")


def limit(path, time):
    """Lines for this path alone: that any other takes so long on a machine which has
    much else to do is no fault."""
    return [f"<Location /{path}>", f"CGatewayRequestTimeout {time}", "</Location>"]


def seconds(began):
    return time.monotonic() - began


# ---- CGatewayRequestTimeout ------------------------------------------------------------

@pytest.mark.parametrize("path", HANGS)
def test_a_stuck_request_is_answered_and_its_stack_is_logged(httpd, site, marks, path):
    httpd.expect_log("CGW0275", "CGW0132", "CGW0133")
    old = site(*limit(path, "1s"), "CGatewayDrainTimeout 2s")
    began = time.monotonic()
    answer = httpd.get(f"/{path}")
    assert answer.status == 504 and 0.95 < seconds(began) < 20
    log = httpd.log()
    assert re.search(rf'CGW0121: a\.example: the application did not answer in time: '
                     rf'"GET /{path} HTTP/1.1"', log)
    assert "CGatewayRequestTimeout is 1.0 s" in log
    assert f"in {path}" in log and "in application" in log
    assert "_process.py" not in log and "threading.py" not in log
    # the successor serves while the old one still hangs
    until(lambda: int(httpd.get("/").text) != old, "the successor")
    httpd.wait_log(rf"CGW0260: a\.example: pid {old}")
    httpd.wait_log(rf"CGW0275.*{old}.*CGatewayRequestTimeout")
    until(lambda: old not in httpd.processes(), "the old process to be killed")
    assert runs(marks, path) == [old], "it is not repeated"


@pytest.mark.parametrize("path", ["stuck_before_head", "stuck_before_body"])
def test_a_response_without_a_byte_of_its_body_is_a_504(httpd, site, marks, path):
    site(*limit(path, "1s"))
    assert httpd.get(f"/{path}").status == 504
    assert f"in {path}" in httpd.log()
    (marks / "release").touch()


def test_a_response_that_lacks_its_end_alone_breaks_off(httpd, site, marks):
    httpd.expect_log("CGW0123")
    old = site(*limit("stuck_behind_body", "1s"))
    done = httpd.curl("/stuck_behind_body")
    assert done.returncode != 0 and done.stdout == b"body"
    assert "in stuck_behind_body" in httpd.log()
    until(lambda: int(httpd.get("/").text) != old, "the successor")
    (marks / "release").touch()


def test_close_that_hangs_costs_the_client_nothing_and_is_told_of(httpd, site, marks):
    """httpd has the whole response by then, and takes no word any more."""
    httpd.expect_log("CGW0440")
    old = site(*limit("stuck_in_close", "1s"))
    answer = httpd.get("/stuck_in_close")
    assert (answer.status, answer.text) == (200, "body")
    httpd.wait_log(rf"\[pid {old}\] a\.example: CGW0440: group 'a\.example': "
                   r'"GET /stuck_in_close" did not end in time')
    httpd.wait_log(r'stuck\.wsgi", line \d+ in close')
    until(lambda: int(httpd.get("/").text) != old, "the successor")
    (marks / "release").touch()


@pytest.mark.parametrize("path, words", [
    ("stuck_without_signal", r"\(unknown: the application changed what signal \d+ does"),
    ("stuck_without_signals", r"\(unknown: the thread takes no signals"),
    ("stuck_in_kernel", r"\(unknown: the thread takes no signals"),
    ("stuck_with_faulthandler_of_its_own", r"stuck\.wsgi.* in stuck_with_faulthandler"),
    ("stuck_with_handler_of_its_own", "Python stack of its thread")])
def test_a_thread_that_cannot_be_asked_costs_a_stack_alone(httpd, site, marks, path,
                                                          words):
    """And no sibling its process."""
    httpd.expect_log("CGW0275")
    old = site(*limit(path, "1s"), *limit("steady", "0"), "CGatewayDrainTimeout 5s")
    with httpd.raw() as sibling:
        send(sibling, "/steady")
        sibling.receive_until(b"s" * 100)
        assert httpd.get(f"/{path}").status == 504
        httpd.wait_log(words)
        until(lambda: int(httpd.get("/").text) != old, "the successor")
        (marks / "release").touch()
        answer, was_reset = sibling.receive_all()
    assert answer.endswith(b"0\r\n\r\n") and not was_reset
    assert runs(marks, "steady") == [old] == runs(marks, path)


# As where a thread has the lock of the C library's allocator, and hangs.
ALLOCATOR = r"""
#include <stddef.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static volatile int is_kept;

void keep_memory(void) { is_kept = 1; }
static void wait_for_lock(void) { while (is_kept) pause(); }

void *malloc(size_t size) { wait_for_lock(); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { wait_for_lock(); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { wait_for_lock(); return __libc_realloc(p, size); }
void free(void *p) { wait_for_lock(); __libc_free(p); }
"""


@pytest.mark.skipif(bool(PRELOAD), reason="sanitizers have an allocator of their own")
@pytest.mark.parametrize("times", [
    limit("stuck_in_allocator", "1s"), ["CGatewayDeadlockTimeout 2s"]],
    ids=["request", "deadlock"])
def test_a_process_in_which_nobody_gets_memory_is_replaced(httpd, site, marks, times):
    """The watchdog needs none."""
    httpd.expect_log("CGW0275", "CGW0261", "CGW0441", "CGW0132",
                     r"a\.example: no thread of its process")
    library = httpd.root / "keep.so"
    source = httpd.write("keep.c", ALLOCATOR)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    old = site(*times, "CGatewayDrainTimeout 2s", f'CGatewayEnv LD_PRELOAD "{library}"')
    assert httpd.get("/stuck_in_allocator").status == 504
    httpd.wait_log(r'stuck\.wsgi", line \d+ in stuck_in_allocator')
    until(lambda: int(httpd.get("/").text) != old, "the successor")
    until(lambda: old not in httpd.processes(), "the old process to be killed")
    assert "CGW0163" not in httpd.log() and "CGW0262" not in httpd.log()


def test_siblings_finish_in_the_old_process(httpd, site, marks):
    old = site(*limit("stuck_in_sleep", "1s"), *limit("steady", "0"))
    with httpd.raw() as sibling:
        send(sibling, "/steady")
        sibling.receive_until(b"s" * 100)
        assert httpd.get("/stuck_in_sleep").status == 504
        until(lambda: int(httpd.get("/").text) != old, "the successor")
        assert old in httpd.processes()
        seen = len(sibling.received)
        sibling.receive_until(b"0\r\n\r\n" if len(sibling.received) > seen else b"sss")
        (marks / "release").touch()
        answer, was_reset = sibling.receive_all()
    assert answer.endswith(b"0\r\n\r\n") and not was_reset
    assert runs(marks, "steady") == [old]
    until(lambda: old not in httpd.processes(), "the old process to end by itself")
    assert "CGW0275" not in httpd.log()


def test_no_request_of_others_fails_while_stuck_ones_are_replaced(httpd, site, marks):
    httpd.expect_log("CGW0275")
    site(*limit("stuck_in_sleep", "500ms"), "CGatewayDrainTimeout 20s", processes=2)
    with Load(httpd, "/", clients=3) as load:
        for _ in range(4):
            assert httpd.get("/stuck_in_sleep").status == 504
        until(lambda: len(set(load.answers)) >= 4, "four processes in turn")
    assert load.failures == []
    (marks / "release").touch()


def test_a_location_has_a_time_of_its_own(httpd, site, marks):
    site("CGatewayRequestTimeout 1h", *limit("stuck_in_sleep", "500ms"),
         *limit("steady", "0"))
    began = time.monotonic()
    assert httpd.get("/stuck_in_sleep").status == 504
    assert seconds(began) < 20
    assert "CGatewayRequestTimeout is 0.5 s" in httpd.log()
    with httpd.raw() as raw:
        send(raw, "/steady")
        await_run(marks, "steady")
        time.sleep(1)       # the time is what this is about
        (marks / "release").touch()
        assert raw.receive_all()[0].endswith(b"0\r\n\r\n")


def test_each_kind_of_section_and_each_virtual_host_has_its_time(httpd, site, marks):
    """The one that httpd merges last counts: here 0.9 s."""
    asked = {"/stuck_in_sleep-one": 0.5, "/stuck_in_sleep-22": 0.6,
             "/stuck_in_sleep?if": 0.7, "/stuck_in_sleep-one/more": 0.9}
    httpd.expect_log(r"b\.example: ")
    httpd.wsgi("stuck.wsgi", "CGatewayProcesses 1", f'CGatewayEnv MARKS "{marks}"',
               "CGatewayRequestTimeout 800ms", name="b.example")
    site("CGatewayRequestTimeout 1h", *limit("stuck_in_sleep-one", "500ms"),
         '<LocationMatch "^/stuck_in_sleep-[0-9]+$">', "CGatewayRequestTimeout 600ms",
         "</LocationMatch>", "<If \"%{QUERY_STRING} == 'if'\">",
         "CGatewayRequestTimeout 700ms", "</If>",
         *limit("stuck_in_sleep-one/more", "900ms"))
    for path, time in asked.items():
        assert httpd.get(path).status == 504
        assert f"CGatewayRequestTimeout is {time} s" in httpd.log(), path
    assert httpd.get("/stuck_in_sleep", host="b.example").status == 504
    assert "CGatewayRequestTimeout is 0.8 s" in httpd.log("b.example")
    (marks / "release").touch()


def test_all_threads_of_all_processes_may_be_stuck_at_once(httpd, site, marks):
    """Each client has its answer, each stack is told, and what waits is served."""
    path = "/stuck_in_sleep"
    site(*limit("stuck_in_sleep", "2s"), processes=2, threads=3)
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(httpd.raw()) for _ in range(6)]
        for raw in raws:
            send(raw, path)
        old = set(await_run(marks, "stuck_in_sleep", 6))
        assert len(old) == 2
        assert int(httpd.get("/").text) not in old, "served by a successor"
        for raw in raws:
            assert raw.receive_all()[0].startswith(b"HTTP/1.1 504 ")
    until(lambda: len(set(httpd.workers("a.example")) - old) == 2, "two successors")
    assert httpd.log().count("in stuck_in_sleep") == 6
    (marks / "release").touch()


def test_many_groups_with_stuck_requests(httpd, site, marks):
    hosts = [f"group-{n}.example" for n in range(soak(50, 5))]
    httpd.expect_log(r"group-\d+\.example: ")
    for host in hosts:
        httpd.wsgi("stuck.wsgi", "CGatewayProcesses 1", f'CGatewayEnv MARKS "{marks}"',
                   *limit("stuck_in_sleep", "1s"), name=host)
    site()
    first = {host: httpd.get("/", host=host).text for host in hosts}
    with Load(httpd, "/", clients=2) as load:
        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            answers = list(pool.map(lambda host: httpd.get("/stuck_in_sleep", host=host),
                                    hosts))
        for host in hosts:
            until(lambda h=host: httpd.get("/", host=h).text != first[h], "the successor")
    assert {answer.status for answer in answers} == {504}
    assert load.failures == [] and len(set(load.answers)) == 1
    (marks / "release").touch()


def test_a_client_that_still_sends_its_body_gets_the_answer(httpd, site, marks):
    site(*limit("stuck_in_sleep", "1s"), "CGatewayBodyBuffer 0")
    with httpd.raw() as raw:
        raw.send(b"POST /stuck_in_sleep HTTP/1.1\r\nHost: a.example\r\n"
                 b"Content-Length: 50000000\r\n\r\n" + b"b" * 100000)
        answer, was_reset = raw.receive_all()
    assert answer.startswith(b"HTTP/1.1 504 ") and b"</html>" in answer
    assert b"\r\nConnection: close\r\n" in answer and not was_reset
    (marks / "release").touch()


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_other_streams_of_an_http2_connection_go_on(httpd, site, marks):
    httpd.expect_log("CGW0123")
    httpd.load("http2")
    site("Protocols h2c http/1.1", *limit("stuck_in_sleep", "1s"),
         *limit("streamed", "1s"), *limit("steady", "0"), "CGatewayBodyBuffer 0", threads=6)
    with Http2(httpd.port) as client:
        steady = client.ask("/steady")
        streams = [client.ask("/stuck_in_sleep"), client.ask("/streamed"),
                   client.ask("/stuck_in_sleep", "POST", body=b"body"),
                   client.ask("/stuck_in_sleep", "POST", body="")]
        stuck, streamed, posted, posting = client.finish(*streams)
        assert stuck.status == posted.status == 504 and stuck.ended and posted.ended
        assert posting.status == 504 and b"</html>" in posting.body
        assert streamed.body == b"first" * 100 and streamed.reset is not None
        assert not steady.is_over
        (marks / "release").touch()
        assert client.finish(steady).ended


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_a_stream_that_goes_on_sending_its_body_gets_the_answer(httpd, site, marks):
    """It never pauses."""
    httpd.load("http2")
    site("Protocols h2c http/1.1", *limit("stuck_in_sleep", "1s"), "CGatewayBodyBuffer 0")
    with Http2(httpd.port) as client:
        stream = client.ask("/stuck_in_sleep", "POST", body="")

        def has_ended():
            client.send_body(stream, b"b" * 100, end=False)
            if select.select([client.socket], [], [], 0)[0]:
                client.receive()
            return stream.is_over
        until(has_ended, "the answer")
        assert stream.head[":status"] == "504" and b"</html>" in stream.body
        assert stream.ended
    (marks / "release").touch()


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
def test_a_curl_that_goes_on_sending_its_body_over_http2_gets_the_answer(
        httpd, site, marks):
    """Before it has sent all, and as an answer, not as a reset."""
    httpd.load("http2")
    site("Protocols h2c http/1.1", *limit("stuck_in_sleep", "1s"), "CGatewayBodyBuffer 0")
    body = httpd.write("body", "b" * 10_000_000)
    done = httpd.curl("/stuck_in_sleep", "--http2-prior-knowledge", "--limit-rate", "100k",
                      "-X", "POST", "-T", body, "-w", "%{http_code} %{size_upload}")
    assert done.returncode == 0, done.stderr
    status, sent = done.stdout.split(b"</html>")[1].split()
    assert status == b"504" and int(sent) < 10_000_000
    (marks / "release").touch()


@pytest.mark.parametrize("path", ["streamed", "steady"])
def test_a_response_that_has_begun_breaks_off(httpd, site, marks, path):
    httpd.expect_log("CGW0123")
    old = site(*limit(path, "1s"))
    done = httpd.curl(f"/{path}")
    assert done.returncode != 0 and done.stdout
    httpd.wait_log(rf'CGW0121.*"GET /{path} HTTP/1.1"')
    until(lambda: int(httpd.get("/").text) != old, "the successor")
    (marks / "release").touch()


def test_the_application_finds_out(httpd, site, marks):
    httpd.expect_log("CGW0123", "CGW0403")
    site(*limit("until_gone", "500ms"), *limit("until_raises", "500ms"))
    assert httpd.get("/until_gone").status == 504
    until((marks / "noticed").exists, "client_disconnected() to be true")
    assert httpd.curl("/until_raises").returncode != 0
    until((marks / "raised-ClientDisconnected").exists, "write() to raise")


def test_a_slow_reader_is_not_the_application_s_fault(httpd, site, marks):
    old = site("CGatewayRequestTimeout 3s", "CGatewayResponseBuffer 64K 0")
    with httpd.raw() as raw:
        raw.socket.setsockopt(6, 10, 4096)  # TCP_WINDOW_CLAMP
        send(raw, "/large")
        await_run(marks, "large")
        time.sleep(6)       # the time is what this is about
        answer, was_reset = raw.receive_all()
    assert len(answer) > 8 << 20 and not was_reset
    assert int(httpd.get("/").text) == old


def test_a_slow_sender_is_not_the_application_s_fault(httpd, site, marks):
    old = site("CGatewayRequestTimeout 3s", "CGatewayBodyBuffer 0")
    with httpd.raw() as raw:
        raw.send(b"POST /read HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
                 b"Content-Length: 200000\r\n\r\n" + b"r" * 100000)
        await_run(marks, "read")
        time.sleep(6)       # the time is what this is about
        raw.send(b"r" * 100000)
        assert raw.receive_all()[0].endswith(b"200000")
    assert int(httpd.get("/").text) == old


def test_waiting_for_a_worker_does_not_count(httpd, site, marks):
    old = site("CGatewayRequestTimeout 3s", *limit("steady", "0"), threads=1)
    with httpd.raw() as first, httpd.raw() as second:
        send(first, "/steady")
        await_run(marks, "steady")
        send(second, "/")
        until(lambda: httpd.connections() == 2, "it to wait")
        time.sleep(5)       # the time is what this is about
        (marks / "release").touch()
        first.receive_all()
        assert second.receive_all()[0].endswith(b"%d" % old)


def test_a_worker_that_is_stopped_cannot_answer_so_httpd_does(httpd, site, marks):
    """That it is replaced, where it stays so, is in test_faults.py."""
    httpd.expect_log("CGW0163", "CGW0262")
    old = site(*limit("stuck_in_sleep", "1s"))
    with httpd.raw() as raw:
        send(raw, "/stuck_in_sleep")
        await_run(marks, "stuck_in_sleep")
        os.kill(old, signal.SIGSTOP)
        began = time.monotonic()
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 504 ")
        assert 1 < seconds(began) < 30
        (marks / "release").touch()
        os.kill(old, signal.SIGCONT)
    until(lambda: httpd.get("/").text, "an answer")


@pytest.mark.parametrize("body", [None, b"small", b"x" * 300000],
                         ids=["get", "small", "large"])
def test_what_waits_for_the_lock_in_vain_runs_in_another_process(httpd, site, marks, body):
    """Once, also where it could not be repeated after it had run."""
    httpd.expect_log("CGW0132", "CGW0133")
    site("CGatewayRequestTimeout 0", processes=2)
    with httpd.raw() as raw:
        send(raw, "/stuck_in_c_wait", "POST")
        stuck, = await_run(marks, "stuck_in_c_wait")
        await_kept("stuck_in_c_wait", stuck)
        # the stuck process accepts one more of these
        for number in range(6):
            method = "GET" if body is None else "POST"
            answer = httpd.request(f"/once-{number}", method, body)
            assert answer.status == 200 and int(answer.text) != stuck
            assert len(runs(marks, f"once-{number}")) == 1
        os.kill(stuck, signal.SIGKILL)
        httpd.expect_log("CGW0213")
        raw.receive_all()


def test_a_returned_request_waits_until_there_is_a_worker_for_it(httpd, site, marks):
    """However many there are whose lock is kept."""
    processes = 10
    site(*limit("patient", "1s"), processes=processes)
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(httpd.raw()) for _ in range(processes)]
        for number, raw in enumerate(raws):
            send(raw, "/stuck_in_c_wait")
            where = await_run(marks, "stuck_in_c_wait", number + 1)
            await_kept("stuck_in_c_wait", where[-1])
        assert len(set(where)) == processes
        patient = stack.enter_context(httpd.raw())
        patient.ask("/patient", b"body")
        until(lambda: httpd.log().count("returned the request") >= processes,
              "each of them to return it")
        fcntl.lockf(httpd.locked, fcntl.LOCK_UN)
        for raw in raws:
            assert raw.receive_all()[0].startswith(b"HTTP/1.1 200 ")
        assert patient.receive_all()[0].startswith(b"HTTP/1.1 200 ")
    assert len(runs(marks, "patient")) == 1


def test_what_cannot_be_returned_is_answered_when_its_time_is_over(httpd, site, marks):
    """A body that is streamed is not at hand again."""
    worker = site(*limit("late", "1s"), *limit("background", "1s"),
                  "CGatewayBodyBuffer 0")
    httpd.get("/background")
    await_kept("background", worker)
    assert httpd.request("/late", "POST", b"body").status == 504
    assert "keeps the interpreter lock" in httpd.log()
    fcntl.lockf(httpd.locked, fcntl.LOCK_UN)
    until(lambda: worker not in httpd.workers("a.example"), "its worker to end")
    assert runs(marks, "late") == [], "nor afterwards"


# ---- CGatewayDeadlockTimeout -----------------------------------------------------------

@pytest.mark.parametrize("path", ["stuck_in_c_loop", "stuck_in_c_wait", "background"])
def test_a_process_whose_lock_nobody_gets_is_replaced(httpd, site, marks, path):
    # the other request may be given to the process once more just when it is killed
    httpd.expect_log("CGW0261", "CGW0441", "CGW0132",
                     r"a\.example: no thread of its process")
    old = site("CGatewayDeadlockTimeout 2s", "CGatewayDrainTimeout 1h")
    with httpd.raw() as raw:
        send(raw, f"/{path}")
        await_run(marks, path)
        await_kept(path, old)
        answer = httpd.get("/other")
        assert answer.status == 200 and int(answer.text) != old, "it was returned"
        httpd.wait_log(rf"CGW0441: group 'a\.example'")
        httpd.wait_log(rf"CGW0261: a\.example: pid {old}")
        assert "in stuck_in" in httpd.log()
        answer = raw.receive_all()[0]
        assert answer.startswith(b"HTTP/1.1 504 ") or path == "background"
    assert runs(marks, path) == [old], "it does not take another process with it"
    until(lambda: old not in httpd.processes(), "the old process to be killed")
    assert "_process.py" not in httpd.log()


def test_the_other_process_serves_while_one_is_deadlocked(httpd, site, marks):
    httpd.expect_log("CGW0261", "CGW0441", r"a\.example: no thread of its process")
    site("CGatewayDeadlockTimeout 2s", processes=2)
    with httpd.raw() as raw:
        send(raw, "/stuck_in_c_wait")
        stuck, = await_run(marks, "stuck_in_c_wait")
        await_kept("stuck_in_c_wait", stuck)
        with Load(httpd, "/", clients=2) as load:
            httpd.wait_log("CGW0261")
            seen = len(load.answers)
            until(lambda: len(load.answers) > seen + 20, "the load")
        assert load.failures == [] and stuck not in load.answers
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 504 ")


def test_an_idle_and_a_busy_interpreter_are_not_deadlocked(httpd, site, marks):
    old = site("CGatewayDeadlockTimeout 1s", "CGatewayRequestTimeout 0")
    time.sleep(3)           # the time is what this is about
    raws = [httpd.raw() for _ in range(3)]
    for raw in raws:
        send(raw, "/stuck_in_python")
    await_run(marks, "stuck_in_python", 3)
    time.sleep(3)
    (marks / "release").touch()
    for raw in raws:
        with raw:
            assert raw.receive_all()[0].endswith(b"%d" % old)
    assert httpd.workers("a.example") == [old]


def test_what_was_suspended_as_a_whole_goes_on(httpd, site, marks):
    """As a container by docker pause: time has passed in which nobody ran, more than the
    request had left by any clock."""
    old = site("CGatewayDeadlockTimeout 2s", *limit("steady", "5s"))
    supervisor, others = httpd.supervisor(), httpd.group_processes("a.example")
    with httpd.raw() as raw:
        send(raw, "/steady")
        while len(raw.received) < 3000:         # half a second: the watchdog has looked
            raw.received += raw.socket.recv(65536)
        for pid in (supervisor, *others):       # the kernel tells a parent that runs
            os.kill(pid, signal.SIGSTOP)
        os.killpg(httpd.process.pid, signal.SIGSTOP)
        time.sleep(6)       # the time is what this is about
        (marks / "release").touch()
        os.killpg(httpd.process.pid, signal.SIGCONT)
        for pid in (*others, supervisor):
            os.kill(pid, signal.SIGCONT)
        answer, was_reset = raw.receive_all()
    assert answer.endswith(b"0\r\n\r\n") and not was_reset
    assert int(httpd.get("/").text) == old


@pytest.mark.parametrize("path", ["/", "/steady"])
def test_a_process_that_was_stopped_is_not_deadlocked(httpd, site, marks, path):
    """Not even where it was stopped for longer than the time altogether."""
    old = site("CGatewayDeadlockTimeout 6s", "CGatewayRequestTimeout 0")
    with httpd.raw() as raw:
        send(raw, path)
        await_run(marks, path.strip("/"))
        for _ in range(4):
            os.kill(old, signal.SIGSTOP)
            time.sleep(2)   # the time is what this is about
            os.kill(old, signal.SIGCONT)
            time.sleep(0.3)
        (marks / "release").touch()
        raw.receive_all()
    assert int(httpd.get("/").text) == old
