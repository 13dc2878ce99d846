# SPDX-License-Identifier: Apache-2.0
"""What ends a request, what the client sees of it, and what the log says."""

import concurrent.futures
import contextlib
import os
import re
import signal

import pytest

from harness.httpd import is_stopped, until
from harness.starters import with_marks

TRACEBACK = r"Traceback \(most recent call last\)"


site = with_marks("failing.wsgi")


def failed_on_purpose(httpd):
    httpd.expect_log(r"CGW0121")


def died_on_purpose(httpd):
    """The supervisor's obituary, and the module's word on the request."""
    httpd.expect_log(r"CGW0213", r"CGW0132", r"CGW0133", r"CGW0123")


# ---- the application raises ---------------------------------------------------------

@pytest.mark.parametrize("path, words", [
    ("/raise", "RuntimeError: boom before headers"),
    ("/raise-started", "RuntimeError: boom, started but not sent"),
    ("/exit", "SystemExit: 3")])
def test_an_exception_before_the_headers_is_a_500_with_traceback(
        httpd, site, path, words):
    site()
    failed_on_purpose(httpd)
    answer = httpd.get(path)
    assert answer.status == 500
    assert "boom" not in answer.text, "the client is not told"
    httpd.wait_log(rf"\[client .*CGW0121.*GET {path} HTTP/1.1")
    httpd.wait_log(TRACEBACK)
    httpd.wait_log(words)
    assert httpd.get("/ok").status == 200


LATE = ["/raise-late", "/raise-late-length"]


@pytest.mark.parametrize("protocol", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize("path", LATE)
def test_an_exception_after_the_headers_is_seen_by_the_client(
        httpd, site, path, protocol):
    site()
    httpd.expect_log(r"CGW0121", r"CGW0123")
    run = httpd.curl(path, protocol)
    assert run.returncode != 0, "curl took a truncated response for complete"
    httpd.wait_log(r"CGW0123.*truncated response")
    httpd.wait_log("RuntimeError: boom in the middle")


# ---- the worker dies ------------------------------------------------------------------

def test_a_get_is_repeated_once_on_another_worker(httpd, site):
    site()
    died_on_purpose(httpd)
    answer = httpd.get("/die-once")
    assert (answer.status, answer.text) == (200, "survived")
    httpd.wait_log("CGW0132")
    httpd.wait_log(r"CGW0213.*signal 9|CGW0213.*SIGKILL")


def test_a_get_that_kills_every_worker_is_repeated_only_once(httpd, site, marks):
    site("CGatewayProcesses 3")
    died_on_purpose(httpd)
    httpd.expect_log(r"CGW02\d\d")
    assert httpd.get("/die").status == 502
    httpd.wait_log(r"CGW0133.*GET /die ")
    assert len(list(marks.glob("died-*"))) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_is_not_safe_to_repeat_is_a_502(httpd, site, marks, method):
    site("CGatewayProcesses 3")
    died_on_purpose(httpd)
    assert httpd.request("/die", method, b"x=1").status == 502
    assert len(list(marks.glob("died-*"))) == 1
    assert httpd.get("/ok").status == 200


def test_a_get_with_a_streamed_body_is_not_repeated(httpd, site, marks):
    site("CGatewayBodyBuffer 0")
    died_on_purpose(httpd)
    assert httpd.request("/die", "GET", b"x" * 100).status == 502
    assert len(list(marks.glob("died-*"))) == 1


@pytest.mark.parametrize("protocol", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize("path", ["/die-late", "/die-late-length"])
def test_a_death_after_the_headers_is_seen_by_the_client(httpd, site, path, protocol):
    site()
    died_on_purpose(httpd)
    assert httpd.curl(path, protocol).returncode != 0
    httpd.wait_log(r"CGW0123.*truncated response")
    httpd.wait_log(r"CGW0213")


def test_a_killed_worker_is_replaced(httpd, site):
    site()
    died_on_purpose(httpd)
    httpd.get("/ok")
    before = until(lambda: len(w := set(httpd.workers("a.example"))) == 2 and w,
                   "two workers")
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in httpd.processes()
          and len(httpd.workers("a.example")) == 2, "the worker's replacement")
    assert httpd.get("/ok").status == 200
    httpd.wait_log(rf"CGW0213.*{victim}")


# ---- the application does not load -----------------------------------------------

def import_failed_on_purpose(httpd, name):
    httpd.expect_log(r"CGW0231", r"CGW0221", r"CGW0230", r"CGW04\d\d",
                     r"CGW0121.*no worker could be started",
                     rf"\] {name}: ")


@pytest.mark.parametrize("source, words", [
    ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("def application(:\n", "SyntaxError"),
    ("raise SystemExit('gave up')\n", "gave up"),
    ("app = 1\n", "application")])
def test_an_import_failure_is_a_503_and_a_traceback(httpd, source, words):
    httpd.wsgi(httpd.app("broken.wsgi", source), name="broken.example")
    httpd.wsgi("failing.wsgi", f'CGatewayEnv MARKS "{httpd.root}"')
    httpd.start()
    import_failed_on_purpose(httpd, "broken.example")
    answer = httpd.get(host="broken.example")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    httpd.wait_log(words, "broken.example")
    assert httpd.get("/ok").status == 200, "the other site is not touched"


def test_a_file_that_hides_a_package_of_its_name_is_told_of(httpd):
    """As flask.py does for an application that uses Flask."""
    app = httpd.app("wsgiref.py", "import wsgiref.simple_server\n")
    import_failed_on_purpose(httpd, "a.example")
    httpd.wsgi(app)
    httpd.start()
    assert httpd.get("/").status == 503
    httpd.wait_log(rf"CGW0411: .*module 'wsgiref' is {app}, which is no package.*rename")


def test_a_repaired_application_serves_without_a_restart(httpd):
    app = httpd.app("broken.wsgi", "raise RuntimeError('not yet')\n")
    httpd.wsgi(app)
    httpd.start()
    import_failed_on_purpose(httpd, "a.example")
    assert httpd.get().status == 503
    httpd.app("broken.wsgi", httpd.app("info.wsgi").read_text())
    until(lambda: httpd.get().status == 200, "the next attempt to start")


def test_an_import_failure_at_graceful_leaves_the_old_processes(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    import_failed_on_purpose(httpd, "a.example")
    pid = httpd.get().json()["pid"]
    httpd.app("info.wsgi", "raise RuntimeError('bad deploy')\n")
    httpd.graceful()
    httpd.wait_log(r"bad deploy")
    httpd.wait_log(r"CGW0230")
    told = httpd.get()
    assert told.status == 200
    assert pid in httpd.processes()


def test_an_import_that_takes_too_long_names_the_directive(httpd):
    httpd.wsgi(httpd.app("slow.wsgi", "import time\ntime.sleep(600)\n"),
               "CGatewayStartTimeout 1s")
    httpd.start()
    import_failed_on_purpose(httpd, "a.example")
    httpd.expect_log(r"CGW0220")
    httpd.wait_log(r"CGW0220.*CGatewayStartTimeout")
    assert httpd.get().status == 503


# ---- bodies that are not what they say -----------------------------------------------

def test_a_response_shorter_than_its_length_is_seen_by_the_client(httpd, site):
    site()
    httpd.expect_log(r"CGW0121", r"CGW0122", r"CGW0123")
    assert httpd.curl("/too-short").returncode != 0


def test_a_response_longer_than_its_length_is_cut_and_said(httpd, site):
    site()
    httpd.expect_log(r"CGW0404")
    with httpd.connection() as connection:
        assert connection.get("/too-long").body == b"x" * 10
        assert connection.get("/ok").status == 200
    httpd.wait_log("CGW0404")


@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_a_request_shorter_than_its_length_is_no_end_of_file(
        httpd, site, marks, buffer):
    site(f"CGatewayBodyBuffer {buffer}")
    httpd.expect_log(r"CGW\d+: .*", r"AH\d+: ")
    with httpd.raw() as raw:
        raw.send(b"POST /read-body HTTP/1.1\r\nHost: a.example\r\n"
                 b"Content-Length: 1000\r\n\r\n" + b"x" * 500)
        if buffer == "0":
            until((marks / "reading").exists, "the application to read")
        raw.socket.shutdown(1)
        raw.receive_all()
    assert httpd.get("/ok").status == 200
    if buffer == "0":
        until(lambda: (marks / "read-error").exists()
              and (marks / "read-error").read_text(), "the application's error")
    assert not (marks / "read-complete").exists()


def test_an_application_that_ignores_20_megabytes_answers_4_at_once(httpd, site):
    """curl receives while it sends."""
    site()
    upload = httpd.root / "upload"
    upload.write_bytes(b"b" * (20 << 20))
    run = httpd.curl("/ignore-body", "--data-binary", f"@{upload}", "-H", "Expect:")
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout == b"z" * (4 << 20)
    assert httpd.get("/ok").status == 200


def test_a_client_that_sends_all_before_it_receives_is_no_deadlock(httpd, site):
    """As most HTTP libraries do."""
    site()
    answer = httpd.request("/ignore-body", "POST", b"b" * (20 << 20))
    assert answer.status == 200
    assert answer.body == b"z" * (4 << 20)


def test_a_chunked_body_that_is_malformed_is_a_400(httpd, site):
    site()
    httpd.expect_log(r"AH\d+: ", r"CGW\d+: ")
    with httpd.raw() as raw:
        raw.send(b"POST /read-body HTTP/1.1\r\nHost: a.example\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 400 ")
    assert httpd.get("/ok").status == 200


# ---- httpd and the supervisor die -------------------------------------------------

def test_kill_of_httpd_s_parent_leaves_nothing(httpd, site):
    site()
    httpd.get("/ok")
    run = httpd.root / "run"
    assert httpd.socket().exists() and httpd.supervisor()
    httpd.kill_parent()
    until(lambda: not httpd.processes(), "every process to end")
    assert not run.exists() or not list(run.iterdir())


def test_kill_of_httpd_s_parent_in_the_middle_of_a_request(httpd, site, marks):
    site("CGatewayDrainTimeout 1s")
    httpd.expect_log(r"CGW0222", r"CGW\d+: ")
    with httpd.raw() as raw:
        raw.send(b"GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until(lambda: list(marks.glob("slow-*")), "the request to run")
        httpd.kill_parent()
        until(lambda: not httpd.processes(), "every process to end")


def test_stopping_while_applications_load_is_quiet(httpd):
    """Whatever a template says in that moment, nothing is forked, nothing has
    failed; the check after the test reads the logs."""
    app = httpd.app("soon.wsgi", "import time\ntime.sleep(0.05)\n"
                    "def application(environ, start_response): return []\n")
    for number in range(12):
        httpd.wsgi(app, name=f"s{number}.example")
    httpd.start()
    httpd.wait_log("starting -> (ready|template)", "s0.example")
    httpd.stop()
    assert not re.search("CGW02", "".join(p.read_text() for p in httpd.error_logs()))


def test_httpd_starts_again_in_the_same_directory_after_kill(httpd, site):
    site()
    httpd.get("/ok")
    httpd.kill_parent()
    until(lambda: not httpd.processes(), "every process to end")
    (httpd.root / "httpd.pid").unlink()
    httpd.start()
    assert httpd.get("/ok").status == 200


@contextlib.contextmanager
def frozen(*pids):
    """Processes stopped by SIGSTOP, all of their threads, until the end."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(is_stopped(pid) for pid in pids), "processes to stop")
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_killed_supervisor_is_replaced_and_waiting_requests_are_served(httpd, site):
    """Frozen workers accept nothing, so the requests wait in the socket while the
    supervisor dies and another starts workers."""
    site()
    httpd.expect_log(r"CGW0104", r"CGW0213", r"CGW013[23]")
    httpd.get("/ok")
    until(lambda: len(httpd.workers("a.example")) == 2, "two workers")
    first = httpd.supervisor()
    old = httpd.group_processes("a.example")
    with frozen(*old), concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(httpd.get, "/ok") for _ in range(8)]
        until(lambda: httpd.connections() >= 8, "requests to wait")
        os.kill(first, signal.SIGKILL)
        answers = [f.result() for f in waiting]
    assert {a.status for a in answers} == {200}
    assert not {int(a.text) for a in answers} & set(old)
    assert httpd.supervisor() not in (None, first)
    assert f"(pid {first}) ended with signal 9;" in httpd.log("main")
    until(lambda: not set(old) & set(httpd.processes()), "the old workers to end")


def test_a_frozen_worker_attracts_no_requests(httpd, site):
    site()
    httpd.get("/ok")
    httpd.wait_log("ready -> serving")
    workers = httpd.workers("a.example")
    with frozen(workers[0]):
        answers = [httpd.get("/ok") for _ in range(20)]
    assert {int(a.text) for a in answers} == {workers[1]}


def test_a_supervisor_told_to_end_leaves_the_sockets_to_the_next_one(httpd):
    """SIGTERM once made it remove them, which only a graceful restart mended."""
    httpd.expect_log("CGW0104")
    httpd.wsgi("info.wsgi")
    httpd.start()
    former = httpd.get().json()["pid"]
    supervisor = httpd.supervisor()
    os.kill(supervisor, signal.SIGTERM)
    until(lambda: httpd.supervisor() not in (None, supervisor), "another supervisor")
    assert f"(pid {supervisor}) ended with exit code 0;" in httpd.log("main")
    assert httpd.get().json()["pid"] != former


def test_a_supervisor_that_ends_while_a_worker_is_forked_forgets_it(httpd):
    """Its pid is not known yet, since the template is stopped: the sanitizer build once
    found it left in memory."""
    httpd.expect_log("CGW0104", "CGW0213")
    httpd.wsgi("info.wsgi", "CGatewayProcesses 2", "CGatewayPreload on")
    httpd.start()
    httpd.wait_log("ready -> serving")
    worker, _ = httpd.workers("a.example")
    supervisor = httpd.supervisor()
    with frozen(*set(httpd.group_processes("a.example")) - set(httpd.workers("a.example"))):
        os.kill(worker, signal.SIGKILL)
        httpd.wait_log("CGW0213")
        os.kill(supervisor, signal.SIGTERM)
        until(lambda: httpd.supervisor() not in (None, supervisor), "another supervisor")
    assert httpd.get().status == 200


def test_workers_keep_httpds_limit_of_descriptors(httpd):
    """The supervisor raises its own, and workers once inherited that."""
    httpd.wsgi(httpd.app("limit.wsgi", """
import resource


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]).encode()]
"""))
    httpd.start()
    with open(f"/proc/{httpd.process.pid}/limits", encoding="ascii") as limits:
        soft = next(line.split()[3] for line in limits if line.startswith("Max open files"))
    assert httpd.get().text == soft
