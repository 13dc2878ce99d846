# SPDX-License-Identifier: Apache-2.0
"""What libraries do to the process they are imported in, and what a request does to its
thread."""

import concurrent.futures

import pytest

from harness import interpreters
from harness.httpd import until

GEVENT = "gevent==24.11.1"

# /meet waits until four requests are in it: they have four threads of one process.
PATCHED = """\
from gevent import monkey
monkey.patch_all()
import os, time
import gevent
gevent.sleep(0)     # a hub of the import's own, too
met = []


def application(environ, start_response):
    if environ["PATH_INFO"] == "/meet":
        met.append(1)
        while len(met) < 4:
            time.sleep(0.001)
    jobs = [gevent.spawn(time.sleep, 0.01) for _ in range(10)]
    gevent.joinall(jobs)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), sum(job.successful() for job in jobs))]
"""


def test_gevents_monkey_patching_leaves_the_threads_alone(httpd):
    environment = interpreters.venv_for(httpd, GEVENT)
    app = httpd.app("patched.wsgi", PATCHED)
    httpd.vhost("a.example", f'CGatewayApplication "{app}"', "CGatewayProcesses 1",
                f'CGatewayPython "{environment}"', "CGatewayThreads 4")
    httpd.start()
    pid, successful = httpd.get("/").text.split()
    assert successful == "10"
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(httpd.get, ["/meet"] * 4))
    assert {answer.text for answer in answers} == {f"{pid} 10"}
    app.touch()
    until(lambda: httpd.get("/").text != f"{pid} 10", "the new generation")
    httpd.wait_log(f"a.example/1 pid {pid} exited with code 0")


# glibc takes groups within groups by calling itself, for each of them.
DEEP = """\
import ctypes


def application(environ, start_response):
    if environ["PATH_INFO"] == "/c":
        ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(512), b"(" * 10**6, 1)
    return application(environ, start_response)
"""


STREAMS = {"without flush": "Writer()", "None": "None", "closed": "Closed()"}


@pytest.mark.parametrize("stream", STREAMS)
def test_an_application_that_replaces_its_standard_streams_is_served(httpd, stream):
    """As many do that were written for mod_wsgi."""
    httpd.wsgi(httpd.app("streams.wsgi", f"""
import io
import sys


class Writer:
    def write(self, text):
        pass


def Closed():
    file = io.StringIO()
    file.close()
    return file


sys.stdout = sys.stderr = {STREAMS[stream]}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""), "CGatewayProcesses 4")
    httpd.start()
    assert httpd.get().text == "served"
    until(lambda: len(httpd.workers("a.example")) == 4, "all workers")
    httpd.graceful()
    assert httpd.get().text == "served"


def test_recursion_in_python_is_an_exception(httpd):
    httpd.wsgi(httpd.app("deep.wsgi", DEEP), "CGatewayProcesses 1")
    httpd.start()
    httpd.expect_log("CGW0121")
    assert httpd.get("/").status == 500
    httpd.wait_log("RecursionError")
    assert "CGW0213" not in httpd.log()


def test_recursion_in_c_is_a_crash_that_tells_where_python_was(httpd):
    httpd.wsgi(httpd.app("deep.wsgi", DEEP), "CGatewayProcesses 1")
    httpd.start()
    httpd.expect_log("CGW0133", "CGW0213", "Fatal Python error")
    assert httpd.request("/c", "POST", b"").status == 502
    httpd.wait_log("Fatal Python error: Segmentation fault")
    httpd.wait_log(r'deep.wsgi", line 6 in application')
    assert "(none)" not in httpd.wait_log("CGW0213.*")[0]     # a sanitizer adds its own


# As Django reads a body: what CONTENT_LENGTH says.
BY_LENGTH = """\
STATUS = {"/refuses": "403 Forbidden"}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/reads":
        body = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(STATUS.get(environ["PATH_INFO"], "200 OK"), [])
    return [b"%d" % len(body)]
"""


def test_a_long_chunked_body_that_is_not_read_is_told_of(httpd):
    """It looks like an empty one to many an application."""
    httpd.wsgi(httpd.app("length.wsgi", BY_LENGTH), "CGatewayBodyBuffer 1K 64K")
    httpd.expect_log("CGW0141")
    httpd.start()

    def upload(path, size=20_000_000, **options):
        return httpd.request(path, "POST", (b"x" * 100_000 for _ in range(size // 100_000)),
                             **options).text

    chunked = dict(chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert upload("/reads", **chunked) == "20000000"
    assert upload("/", headers={"Content-Length": "20000000"}) == "20000000"
    assert httpd.request("/", "POST", [b"x" * 10_000], **chunked).text == "10000"
    upload("/refuses", **chunked)
    assert "CGW0141" not in httpd.log()
    assert upload("/", **chunked) == "0"
    httpd.wait_log("CGW0141.*CGatewayBodyBuffer")
