# SPDX-License-Identifier: Apache-2.0
"""Responses that are wrong, and the second request behind them on the connection: what
the client takes for its answer must be that, or nothing."""

import pytest

from harness.client import answers
from harness.httpd import until

APP = '''
import io

FAULTY = {
    "value-crlf": [("X-A", "1\\r\\nX-Evil: 2")],
    "value-lf": [("X-A", "1\\nX-Evil: 2")],
    "value-cr": [("X-A", "1\\rX-Evil: 2")],
    "value-fold": [("X-A", "1\\r\\n X-Evil: 2")],
    "value-body": [("X-A", "1\\r\\n\\r\\nHTTP/1.1 200 Evil\\r\\n\\r\\n")],
    "value-nul": [("X-A", "1\\0X-Evil: 2")],
    "value-del": [("X-A", "1\\x7fX-Evil")],
    "cookie": [("Set-Cookie", "a=1\\r\\nX-Evil: 2")],
    "location": [("Location", "/\\r\\n\\r\\n<script>Evil")],
    "type": [("Content-Type", "text/plain\\r\\nX-Evil: 2")],
    "name-crlf": [("X-A: 1\\r\\nX-Evil", "2")],
    "name-space": [("X-Evil ", "2")],
    "name-colon": [("X-Evil:", "2")],
    "name-empty": [("", "Evil")],
    "name-wide": [("X-\\u0416", "Evil")],
    "encoding": [("Transfer-Encoding", "chunked")],
    "encoding-case": [("tRANSFER-eNCODING", "identity")],
    "connection": [("Connection", "close, X-Evil")],
    "upgrade": [("Upgrade", "evil")],
    "huge-value": [("X-A", "x" * (2 << 20))],
    "huge-name": [("X" * 70000, "1")],
    "many": [("X-A-%d" % n, "x" * 100) for n in range(20000)],
}
LENGTHS = ["-1", "-0", "+9", "9.0", "0x9", "9, 9", "9 9", "", " 9", "9 ", "nine",
           "\\u0669", "9" * 30, str(1 << 63), "1e1"]
FAULTY.update(("length-%d" % n, [("Content-Length", value)])
              for n, value in enumerate(LENGTHS))
FAULTY["length-twice"] = [("Content-Length", "9"), ("Content-Length", "10")]
STATUS = {"status-crlf": "200 OK\\r\\nX-Evil: 2", "status-lf": "200 OK\\nX-Evil: 2",
          "status-nul": "200 \\0Evil", "status-huge": "200 " + "Evil" * 20000}
EVIL = b"HTTP/1.1 200 Evil\\r\\nContent-Length: 0\\r\\n\\r\\n"


def parts(size):
    yield b"x" * size
    yield EVIL


def faulty_body(kind, start_response):
    """Bodies that do not agree with the length: of 10 bytes."""
    given, _, way = kind.partition("-")
    headers = [("Content-Type", "text/plain"), ("Content-Length", "10")]
    write = start_response("200 OK", headers)
    body = {"longer": [b"x" * 10, EVIL], "equal": [b"x" * 10], "shorter": [b"x" * 4],
            "none": []}[given]
    if way == "list":
        return body
    if way == "joined":
        return [b"".join(body)]
    if way == "generator":
        return (part for part in body)
    if way == "write":
        for part in body:
            write(part)
        return []
    raise LookupError(kind)


def application(environ, start_response):
    kind = environ["PATH_INFO"][1:]
    if kind == "second":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"the second"]
    if kind in STATUS:
        start_response(STATUS[kind], [("Content-Type", "text/plain")])
        return [b"Evil"]
    if kind in FAULTY:
        start_response("200 OK", FAULTY[kind])
        return [b"Evil body"]
    return faulty_body(kind, start_response)
'''
GET = b"GET /%s HTTP/1.1\r\nHost: a.example\r\n%s\r\n"
SECOND = (200, b"the second")
AFTER_500 = ([], [SECOND])      # httpd ends the connection behind a 500 of its own
HEADS = ["value-crlf", "value-lf", "value-cr", "value-fold", "value-body", "value-nul",
         "value-del", "cookie", "location", "type", "name-crlf", "name-space",
         "name-colon", "name-empty", "name-wide", "encoding", "encoding-case",
         "connection", "upgrade", "huge-value", "huge-name", "many", "length-twice",
         "status-crlf", "status-lf", "status-nul", "status-huge",
         *(f"length-{n}" for n in range(15))]


@pytest.fixture
def site(httpd):
    httpd.wsgi(httpd.app("faults.wsgi", APP), "CGatewayProcesses 1")
    return httpd.start()


def pipelined(httpd, kind):
    """Everything that comes for a faulty request and a second one behind it."""
    with httpd.raw() as raw:
        raw.send(GET % (kind.encode(), b"") + GET % (b"second", b"Connection: close\r\n"))
        return raw.receive_all()[0]


def test_a_head_that_must_not_be_sent_is_a_500_and_the_second_answer_its_own(site):
    site.expect_log("CGW0121")
    for kind in HEADS:
        received = pipelined(site, kind)
        assert b"Evil" not in received, kind
        first, *second = answers(received, "GET", "GET")
        assert first[0] == 500 and second in AFTER_500, kind
    until(lambda: site.log().count("CGW0121") >= len(HEADS), "each to say why")
    assert site.log().count("CGW0121") == len(HEADS)


def test_a_large_head_that_may_be_sent_arrives_whole(httpd):
    httpd.wsgi(httpd.app("large.wsgi", """\
def application(environ, start_response):
    start_response("200 OK", [("X-%d" % n, "v" * 500) for n in range(90)])
    return [b"body"]
"""))
    httpd.start()
    answer = httpd.get("/")
    assert [answer.headers[f"X-{n}"] for n in range(90)] == ["v" * 500] * 90


@pytest.mark.parametrize("way", ["list", "joined", "generator", "write"])
def test_a_body_longer_than_its_length_is_cut(site, way):
    site.expect_log("CGW0404")
    received = pipelined(site, f"longer-{way}")
    assert b"Evil" not in received
    assert answers(received, "GET", "GET") == [(200, b"x" * 10), SECOND]
    site.wait_log("CGW0404")


@pytest.mark.parametrize("way", ["list", "joined", "generator", "write"])
def test_a_body_of_its_length_is_what_it_is(site, way):
    assert answers(pipelined(site, f"equal-{way}"), "GET", "GET") == \
        [(200, b"x" * 10), SECOND]


@pytest.mark.parametrize("kind", ["shorter", "none"])
@pytest.mark.parametrize("way", ["list", "joined", "generator", "write"])
def test_a_body_shorter_than_its_length_is_visibly_so(site, kind, way):
    """A 500 as long as nothing has left, else a broken connection."""
    site.expect_log("CGW0121", "CGW0123", "CGW0122")
    told = answers(pipelined(site, f"{kind}-{way}"), "GET", "GET")
    if told[0][0] == 500:
        assert told[1:] in AFTER_500
    else:
        assert told == [(200, None)], "nothing may follow it"
    site.wait_log("CGW0121")


def test_a_client_keeps_what_came_of_a_body_that_is_shorter_than_its_length(httpd):
    """The end of the connection tells it; a reset would take back what is under way."""
    httpd.wsgi(httpd.app("short.wsgi", """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2000001")])
    return (b"x" * 100000 for _ in range(20))
"""))
    httpd.start()
    httpd.expect_log("CGW0121", "CGW0123", "CGW0122")
    for version in (b"1.0", b"1.1"):
        with httpd.raw() as raw:
            raw.send(b"GET / HTTP/%s\r\nHost: a.example\r\n\r\n" % version)
            raw.receive_until(b"\r\n\r\n")
            httpd.wait_log("CGW0123")
            received, was_reset = raw.receive_all()
        assert received.endswith(b"\r\n\r\n" + b"x" * 2_000_000) and not was_reset
