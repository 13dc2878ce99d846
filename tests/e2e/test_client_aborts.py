# SPDX-License-Identifier: Apache-2.0
"""Clients that go away: while their request waits, while it runs, while its response
is on the way. And clients that only end their direction, which are served."""

import contextlib
import socket
import struct

import pytest

from harness.httpd import until
from harness.paths import HTTPD_USER

# Tells by files in MARKS what it does, and waits for files there.
APP = '''
import os
import pathlib
import time

import cgateway

MARKS = pathlib.Path(os.environ["MARKS"])


def mark(name):
    (MARKS / name).touch()


def await_mark(name):
    while not (MARKS / name).exists():
        time.sleep(0.005)


def endless():
    try:
        while True:
            yield b"x" * 65536
    except GeneratorExit:
        mark("generator-exit")
        raise


def one_more_after(name):
    """What it yields then is the first that the client cannot get."""
    try:
        yield b"first"
        mark("yielded")
        await_mark(name)
        while True:
            yield b"more"
    except GeneratorExit:
        mark("generator-exit")
        raise


def write_until_it_raises(write):
    try:
        while True:
            write(b"x" * 65536)
    except cgateway.ClientDisconnected:
        mark("write-raised")
        raise


def application(environ, start_response):
    path = environ["PATH_INFO"]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/until-gone":
        mark("running")
        while not environ["cgateway.client_disconnected"]():
            time.sleep(0.005)
        mark("noticed")
    elif path == "/hold":
        mark("holding")
        await_mark("release")
    elif path == "/endless":
        return endless()
    elif path == "/one-more":
        return one_more_after("gone")
    elif path == "/write":
        mark("running")
        write_until_it_raises(write)
    elif path != "/ok":
        mark("ran-" + path[1:])
    return [path[1:].encode()]
'''


@pytest.fixture
def marks(httpd):
    return httpd.mkdir("marks", owner=HTTPD_USER)


@pytest.fixture
def site(httpd, marks):
    """Starts the application, by default with one thread that runs requests."""
    def start(*lines, threads=1):
        httpd.wsgi(httpd.app("aborts.wsgi", APP), "CGatewayProcesses 1",
                   f"CGatewayThreads {threads}", f'CGatewayEnv MARKS "{marks}"',
                   "LogLevel cgateway:debug", *lines)
        return httpd.start()
    return start


@pytest.fixture
def marked(marks):
    """Waits for a mark of the application."""
    return lambda name: until((marks / name).exists, f"the mark {name}")


def half_close(raw):
    raw.socket.shutdown(socket.SHUT_WR)


def close(raw):
    raw.close()


def reset(raw):
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


DEPARTURES = [half_close, close, reset]
LARGE = b"b" * 150000


# ---- while the application runs ------------------------------------------------------

@pytest.mark.parametrize("body", [None, b"", b"small", LARGE],
                         ids=["get", "empty", "small", "large"])
@pytest.mark.parametrize("leave", DEPARTURES)
def test_an_application_notices_that_its_client_leaves(httpd, site, marked, leave, body):
    """Whether or not it has read the body."""
    site()
    with httpd.raw() as raw:
        raw.ask("/until-gone", body)
        marked("running")
        leave(raw)
        marked("noticed")
    assert httpd.get("/ok").status == 200


def test_a_client_that_ended_its_direction_gets_what_the_application_still_says(
        httpd, site, marked):
    site()
    with httpd.raw() as raw:
        raw.ask("/until-gone")
        marked("running")
        half_close(raw)
        received, was_reset = raw.receive_all()
    assert received.endswith(b"until-gone") and not was_reset


@pytest.mark.parametrize("body", [None, b"small", LARGE], ids=["get", "small", "large"])
def test_a_client_that_ends_its_direction_at_once_is_served(httpd, site, body):
    site(threads=2)
    httpd.get("/ok")

    def is_served():
        with httpd.raw() as raw:
            raw.ask("/served", body, close=False)
            half_close(raw)
            received, was_reset = raw.receive_all()
        assert not was_reset
        return received.startswith(b"HTTP/1.1 200 ") and received.endswith(b"served")
    until(is_served, "an answer within the grace of a waiting request")


def test_pipelined_requests_are_served_after_the_end_of_the_client_s_direction(
        httpd, site):
    site()
    httpd.get("/ok")

    def are_served():
        with httpd.raw() as raw:
            for number in range(10):
                raw.ask(f"/request-{number}", close=False)
            half_close(raw)
            received, _ = raw.receive_all()
        return [received.count(b"request-%d" % n) for n in range(10)] == [1] * 10
    until(are_served, "answers within the grace of a waiting request")


# ---- before a worker takes it --------------------------------------------------------

@contextlib.contextmanager
def occupied(httpd, marks, marked):
    """The one thread is busy; at the end it is free again."""
    with httpd.raw() as raw:
        raw.ask("/hold")
        marked("holding")
        yield
        (marks / "release").touch()
        assert raw.receive_all()[0].endswith(b"hold")


NOTICED = {half_close: r"went away before a worker took|ended its direction before",
           close: r"went away before a worker took|ended its direction before",
           reset: r"the client reset its connection"}


@pytest.mark.parametrize("buffer", ["0", "64K"])
@pytest.mark.parametrize("body", [None, b"small", LARGE], ids=["get", "small", "large"])
@pytest.mark.parametrize("leave", DEPARTURES)
def test_a_request_whose_client_left_while_it_waited_is_never_run(
        httpd, site, marks, marked, leave, body, buffer):
    site(f"CGatewayBodyBuffer {buffer}")
    with httpd.raw() as raw, occupied(httpd, marks, marked):
        raw.ask("/left", body)
        until(lambda: httpd.connections() == 2, "the request to wait")
        leave(raw)
        httpd.wait_log(NOTICED[leave])
    assert httpd.get("/ok").status == 200
    assert not (marks / "ran-left").exists()
    access = until(lambda: httpd.access_line("/left"), "the request in the access log")
    assert access.split()[-3] == "499"


def test_withdrawn_requests_do_not_hold_back_those_behind_them(
        httpd, site, marks, marked):
    site()
    left = [httpd.raw() for _ in range(10)]
    with httpd.raw() as patient:
        with occupied(httpd, marks, marked):
            for raw in left:
                raw.ask("/left")
            patient.ask("/patient")
            until(lambda: httpd.connections() == 12, "the requests to wait")
            for raw in left:
                raw.close()
            until(lambda: httpd.log().count("went away before a worker took") == 10,
                  "httpd to withdraw them")
        assert patient.receive_all()[0].endswith(b"patient")
    assert not (marks / "ran-left").exists()


def test_of_pipelined_requests_whose_client_left_none_is_run(httpd, site, marks, marked):
    site()
    with httpd.raw() as raw, occupied(httpd, marks, marked):
        for number in range(5):
            raw.ask(f"/left-{number}", close=False)
        until(lambda: httpd.connections() == 2, "the first of them to wait")
        raw.close()
        httpd.wait_log(NOTICED[close])
    assert httpd.get("/ok").status == 200
    assert not list(marks.glob("ran-left*"))


# ---- while the response is on the way ------------------------------------------------

@pytest.mark.parametrize("leave", [close, reset])
def test_the_next_yield_raises(httpd, site, marks, marked, leave):
    site()
    with httpd.raw() as raw:
        raw.ask("/one-more")
        raw.receive_until(b"first")
        marked("yielded")
        leave(raw)
        (marks / "gone").touch()
        marked("generator-exit")
    assert httpd.get("/ok").status == 200


@pytest.mark.parametrize("path, mark", [("/endless", "generator-exit"),
                                        ("/write", "write-raised")])
@pytest.mark.parametrize("leave", [close, reset])
def test_a_stream_ends_when_its_client_leaves(httpd, site, marked, leave, path, mark):
    site()
    with httpd.raw() as raw:
        raw.ask(path)
        raw.receive_until(b"x" * 65536)
        leave(raw)
        marked(mark)
    assert httpd.get("/ok").status == 200


# ---- while the client sends its body ---------------------------------------------------

UPLOAD = '''
import os
import pathlib

import cgateway

MARKS = pathlib.Path(os.environ["MARKS"])
WAYS = {"read": lambda body: body.read(),
        "pieces": lambda body: list(iter(lambda: body.read(1000), b"")),
        "more": lambda body: body.read(1 << 30),
        "readline": lambda body: list(iter(body.readline, b"")),
        "readlines": lambda body: body.readlines(),
        "iteration": lambda body: list(body)}


def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    (MARKS / "running").touch()
    try:
        WAYS[name](environ["wsgi.input"])
        told = "complete"
    except Exception as error:
        told = " ".join([type(error).__module__, type(error).__name__,
                         str(isinstance(error, OSError)), str(error)])
        try:
            environ["wsgi.input"].read()
            told += " and then complete"
        except cgateway.ClientDisconnected:
            pass
    (MARKS / "new").write_text(told)
    (MARKS / "new").rename(MARKS / "told")
    start_response("200 OK", [])
    return []
'''


@pytest.mark.parametrize("leave", DEPARTURES)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("way", ["read", "pieces", "more", "readline", "readlines",
                                 "iteration"])
def test_a_body_that_breaks_off_raises_however_it_is_read(httpd, marks, marked, way,
                                                          chunked, leave):
    """And goes on to raise: never an end that looks like one."""
    httpd.wsgi(httpd.app("upload.wsgi", UPLOAD), f'CGatewayEnv MARKS "{marks}"',
               "CGatewayBodyBuffer 1K 1K")
    httpd.start()
    framing = b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" if chunked else \
        b"Content-Length: 9000\r\n\r\n"
    raw = httpd.raw()
    raw.send(b"POST /%s HTTP/1.1\r\nHost: a.example\r\n" % way.encode() + framing
             + b"a line of text\n" * 200)
    marked("running")
    leave(raw)
    marked("told")
    told = (marks / "told").read_text()
    assert told.startswith("cgateway ClientDisconnected True the client disconnected")
    assert "complete" not in told.replace("before the request body was complete", "")
    raw.close()


@pytest.mark.parametrize("leave", DEPARTURES)
def test_a_body_that_breaks_off_while_it_is_buffered_runs_nothing(httpd, site, marks,
                                                                  leave):
    site()
    with httpd.raw() as raw:
        raw.send(b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n"
                 b"\r\nhalf")
        leave(raw)
    assert httpd.get("/ok").text == "ok"
    until(lambda: httpd.access_line("/upload"), "the line of the access log")
    assert not list(marks.iterdir())
