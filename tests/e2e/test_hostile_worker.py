# SPDX-License-Identifier: Apache-2.0
"""A worker is not trusted: whatever it says costs its own request, nothing else.

The real module talks to tests/fakes/cgatewayd.py, which answers with bytes
that no real worker would send.
"""

import os
import shutil
from http.client import HTTPException
from unittest.mock import ANY

import pytest

from harness.httpd import arguments, until
from harness.paths import ROOT
from harness.usage import httpd_children

APP = "application = None\n"


@pytest.fixture
def hostile(httpd):
    fake = httpd.root / "modules" / "cgateway" / "cgatewayd"
    fake.unlink()
    shutil.copy(ROOT / "tests" / "fakes" / "cgatewayd.py", fake)
    fake.chmod(0o755)
    httpd.wsgi(httpd.app("never_run.wsgi", APP))
    return httpd.start()


def still_serves(httpd):
    return httpd.get("/ok").text == "ok\n"


MALFORMED = ["unframed", "body-first", "end-first", "status-99", "status-101",
             "status-1000", "chunked-header", "huge-length", "wrong-type",
             "unknown-type", "unknown-flag", "length-bomb", "bad-pairs",
             "bad-reason", "log-bad-level", "log-empty", "interim-200",
             "fail-empty", "taken-long"]
INJECTIONS = ["split-value", "split-name", "split-reason", "nul", "empty-name"]


def test_malformed_response_is_502_and_nothing_else_suffers(hostile):
    hostile.expect_log("CGW0120", "CGW0121")
    for path in MALFORMED:
        assert hostile.get(f"/{path}").status == 502, path
        assert still_serves(hostile), path


def test_header_injection_never_reaches_the_client(hostile):
    hostile.expect_log("CGW0120")
    for path in INJECTIONS:
        with hostile.raw() as raw:
            raw.send(f"GET /{path} HTTP/1.1\r\nHost: a.example\r\n"
                     "Connection: close\r\n\r\n".encode())
            answer, _ = raw.receive_all()
        assert answer.startswith(b"HTTP/1.1 502 "), path
        assert b"Evil" not in answer, path


def test_worker_that_hangs_up_before_the_head(hostile):
    hostile.expect_log("CGW0132", "CGW0133")
    for path in ("/die", "/half-frame"):
        assert hostile.get(path).status == 502
    assert hostile.get("/die-once").text == "ok\n"
    assert hostile.request("/die-once", "POST", b"x").status == 502
    assert still_serves(hostile)


@pytest.mark.parametrize("path", ["half-body", "chunked-half", "short", "long",
                                  "two-heads", "file-beyond", "no-descriptor"])
def test_truncated_response_is_visible(hostile, path):
    hostile.expect_log("CGW0123", "CGW0122", "CGW0120")
    for options in ([], ["--http1.0"]):
        assert hostile.curl(f"/{path}", *options).returncode != 0, options
    assert still_serves(hostile)


def outcome(httpd, path):
    """(status, body) of what a client takes for a whole response, or None."""
    try:
        answer = httpd.get(path)
    except (OSError, HTTPException):
        return None
    return answer.status, answer.body


def length_of_mixed(httpd):
    """Of the response that /cut and /flip damage: the first that is whole."""
    whole = (200, b"all of it\n")
    return next(n for n in range(50, 500) if outcome(httpd, f"/cut/{n}") == whole)


def test_a_response_that_is_cut_anywhere_is_never_taken_for_a_whole_one(hostile):
    hostile.expect_log("CGW0120", "CGW0123", "CGW0132", "CGW0133", "a line")
    for n in range(length_of_mixed(hostile)):
        assert outcome(hostile, f"/cut/{n}") in (None, (502, ANY)), n
    assert still_serves(hostile)


def test_a_response_with_any_bit_turned_over_harms_nobody_else(hostile):
    """Its own client may get anything, since a text may be another one; but that ends,
    and httpd's children and the connections of others live on."""
    hostile.expect_log("CGW01", "a line")
    children = until(lambda: len(c := httpd_children(hostile)) >= 2 and c, "children")
    length = length_of_mixed(hostile)
    with hostile.connection() as other:
        for bit in range(8 * length):
            outcome(hostile, f"/flip/{bit}")
            assert other.get("/ok").text == "ok\n", bit
    assert set(children) <= set(httpd_children(hostile))


@pytest.mark.parametrize("where", ["file", "ten", "behind"])
def test_httpd_does_not_wait_for_a_socket_that_lingers(hostile, where):
    """Each request would have kept a thread of httpd, which serves other sites, for an
    hour."""
    hostile.expect_log("CGW0120", "CGW0123", "CGW0132", "CGW0133")
    for _ in range(2):
        with hostile.raw() as raw:
            raw.send(f"GET /lingers/{where} HTTP/1.1\r\nHost: a.example\r\n"
                     "Connection: close\r\n\r\n".encode())
            raw.receive_all()   # to its end
    assert still_serves(hostile)


def test_truncated_response_does_not_desynchronise_a_connection(hostile):
    hostile.expect_log("CGW0123", "CGW0122", "CGW0120")
    for path in ("short", "long", "half-body", "chunked-half", "two-heads"):
        with hostile.raw() as raw:
            raw.send(f"GET /{path} HTTP/1.1\r\nHost: a.example\r\n\r\n"
                     "GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            answer, _ = raw.receive_all()
        assert answer.count(b"HTTP/1.1 200") <= 1, path


def test_statuses_without_a_body(hostile):
    for path, status in (("no-content", 204), ("no-content-body", 204),
                         ("not-modified", 304)):
        with hostile.connection() as connection:
            answer = connection.get(f"/{path}")
            assert (answer.status, answer.body) == (status, b"")
            assert connection.get("/ok").text == "ok\n"


def test_frames_in_any_cut_make_the_same_response(hostile):
    assert hostile.get("/bytewise").text == "ok\n"
    assert hostile.get("/empty-body-frames").text == "ok\n"
    assert hostile.get("/bulk").body == bytes(range(256)) * 4096 * 20
    assert hostile.get("/trailing").text == "ok\n"
    assert hostile.get("/taken").text == "ok\n"


def test_own_content_length_wins_over_a_second_one(hostile):
    answer = hostile.get("/length-header")
    assert answer.headers.get_all("Content-Length") == ["3"]
    assert answer.text == "ok\n"


def test_repeated_headers_stay_apart(hostile):
    assert hostile.get("/cookies").headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_response_before_the_body_was_read(hostile):
    upload = hostile.write("upload", "x" * (20 << 20))
    done = hostile.curl("/early", "--upload-file", upload)
    assert (done.returncode, len(done.stdout)) == (0, 4 << 20), done.stderr


def test_bodies_of_every_size_and_framing_arrive_whole(hostile):
    for size in (0, 1, 65535, 65536, 65537, 300000, 1 << 20):
        body = bytes(i % 251 for i in range(size))
        for chunked in (False, True):
            answer = hostile.request("/echo", "POST", body, chunked=chunked)
            assert answer.body == body, (size, chunked)
    answer = hostile.request("/echo", "POST", b"x" * (5 << 20), chunked=True)
    assert answer.text == str(5 << 20)


def test_file_descriptors_are_sent_and_none_is_kept(hostile):
    content = (b"0123456789" * 1000)[5:5005]
    for path in ("/file", "/file-many"):
        assert hostile.get(path).body == content
    for path in ("/file", "/file-many"):
        for _ in range(300):
            assert hostile.get(path).body == content
    for pid in hostile.processes():
        if "cgatewayd" not in " ".join(arguments(pid)):
            assert len(os.listdir(f"/proc/{pid}/fd")) < 100


def test_unavailable_group_is_503_with_retry_after(hostile):
    hostile.expect_log("CGW0121")
    answer = hostile.get("/unavailable")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_failure_text_reaches_the_error_log_line_by_line(hostile):
    hostile.expect_log("CGW0121", "a.example: one", "a.example: two")
    assert hostile.get("/fail").status == 500
    assert hostile.get("/log").text == "ok\n"
    hostile.wait_log(r'\[client 127.0.0.1:\d+\] CGW0121: .*GET /fail HTTP')
    hostile.wait_log(r"\[client 127.0.0.1:\d+\] a.example:   boom$")
    hostile.wait_log(r"\[client 127.0.0.1:\d+\] a.example: two$")


def test_early_hints_are_forwarded(hostile):
    with hostile.raw() as raw:
        raw.send(b"GET /interim HTTP/1.1\r\nHost: a.example\r\n"
                 b"Connection: close\r\n\r\n")
        answer, _ = raw.receive_all()
    hints, final = answer.split(b"\r\n\r\n", 1)
    assert hints.startswith(b"HTTP/1.1 103 ")
    assert b"Link: </s.css>; rel=preload" in hints
    assert final.startswith(b"HTTP/1.1 200 ")
    assert b"Link" not in final
