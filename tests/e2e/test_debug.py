# SPDX-License-Identifier: Apache-2.0
"""CGatewayDebug: exceptions in the browser, for developers alone."""

import html
import re

import pytest

from harness.httpd import until

RAISING = """\
import sys


class Evil(Exception):
    def __str__(self):
        return "<script>alert('x')</script> & \\0 \\udc80 \\u20ac"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/ok":
        start_response("200 OK", [])
        return [b"fine"]
    if path == "/started":
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Own", "1")])
    if path == "/header":
        start_response("200 OK", [("X-A", "1\\r\\nX-Evil: 2")])
    if path == "/no-start":
        return [b"x"]
    raise Evil
"""
BROKEN = "import sys\nraise RuntimeError('broken <b>import</b>')\n"


@pytest.fixture
def site(httpd):
    def start(source, *lines):
        httpd.expect_log("CGW0121", "CGW0411", "CGW0221", "CGW0231",
                         "Traceback", "a.example: ")
        httpd.wsgi(httpd.app("debug.wsgi", source), *lines)
        return httpd.start()
    return start


def texts(answer):
    """What the page shows in its blocks."""
    return [html.unescape(block) for block in
            re.findall(r"<pre>(.*?)</pre>", answer.text, re.S)]


@pytest.mark.parametrize("path", ["/", "/started"])
def test_an_exception_of_a_request_is_shown(httpd, site, path):
    site(RAISING, "CGatewayDebug On")
    with httpd.connection() as connection:
        answer = connection.get(path)
        assert answer.status == 500
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "X-Own" not in answer.headers
        trace, around = texts(answer)
        assert trace.startswith("Traceback (most recent call last):")
        assert 'apps/debug.wsgi", line ' in trace and "raise Evil" in trace
        assert "<script>alert('x')</script> & \\x00 \\udc80 €" in trace
        assert "<script" not in answer.text
        assert re.search(r"^group: a\.example\npid: \d+\nPython: 3\.\d+.*\n", around)
        assert re.search(r"^sys\.path:\n    /", around, re.M)
        assert connection.get("/ok").text == "fine"
    assert "sys.path" not in httpd.log(), "the log has the traceback alone"


def test_what_is_wrong_with_a_response_is_shown(httpd, site):
    site(RAISING, "CGatewayDebug On")
    for path, why in (("/header", "ValueError"), ("/no-start", "start_response")):
        trace, around = texts(httpd.get(path))
        assert why in trace and "pid: " in around


def test_an_import_exception_is_shown(httpd, site):
    site(BROKEN, "CGatewayDebug On")
    answer = until(lambda: httpd.get("/"), "an answer")
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
    _, printed = texts(answer)
    assert "RuntimeError: broken <b>import</b>" in printed
    assert "<b>import" not in answer.text
    assert re.search(r"pid \d+, Python 3\.\d+\S* \(/\S+\), sys\.path: /", printed)


def test_off_is_the_default_and_shows_nothing(httpd, site):
    site(RAISING, "<Location /ok>", "CGatewayDebug On", "</Location>")
    for path in ("/", "/header"):
        answer = httpd.get(path)
        assert answer.status == 500
        assert "Evil" not in answer.text and "Traceback" not in answer.text
        assert "Internal Server Error" in answer.text


def test_an_import_exception_is_not_shown_by_default(httpd, site):
    site(BROKEN)
    answer = httpd.get("/")
    assert answer.status == 503 and "RuntimeError" not in answer.text


def test_locations_turn_it_on_and_off(httpd, site):
    site(RAISING, "CGatewayDebug On", "<Location /public>", "CGatewayDebug Off",
         "</Location>", 'ErrorDocument 500 "sorry"')
    assert "Traceback" in httpd.get("/").text
    assert httpd.get("/public").text == "sorry"


def test_head_has_no_body_and_the_connection_stays_in_step(httpd, site):
    site(RAISING, "CGatewayDebug On")
    with httpd.connection() as connection:
        answer = connection.request("/", "HEAD")
        assert (answer.status, answer.body) == (500, b"")
        assert connection.request("/", "POST", b"x" * 100_000).status == 500
        assert connection.get("/ok").text == "fine"
