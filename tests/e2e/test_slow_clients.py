# SPDX-License-Identifier: Apache-2.0
"""A slow client costs httpd a thread, and a worker nothing: with one process of
one thread, whoever else asks is answered while the slow one still reads."""

import hashlib
import re
import statistics
import subprocess
import threading
import time

import pytest

from harness.httpd import until
from harness.paths import MPM, PRELOAD

APP = '''
import time

BLOCK = bytes(range(256)) * 256


def blocks(count, then=None):
    for number in range(count):
        yield BLOCK
    if then:
        raise then


def ticks(environ):
    # The client lets go, tick by tick: a tick that stays in a buffer is seen.
    yield b"first\\n"
    environ["wsgi.input"].readline()
    yield b"second\\n"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/small":
        body = [b"small"]
    elif path == "/echo":
        body = [environ["wsgi.input"].read()]
    elif path == "/ticks":
        body = ticks(environ)
    elif path == "/broken":
        body = blocks(160, RuntimeError("half way"))
    else:
        count = int(path[1:])
        headers.append(("Content-Length", str(count * len(BLOCK))))
        body = blocks(count)
    start_response("200 OK", headers)
    return body
'''
BLOCK = bytes(range(256)) * 256


@pytest.fixture
def one_thread(httpd):
    """A group that can run one request at a time."""
    def start(*lines):
        httpd.wsgi(httpd.app("slow.wsgi", APP), "CGatewayProcesses 1",
                   "CGatewayThreads 1", *lines)
        return httpd.start()
    return start


def ask(raw, path):
    raw.send(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n"
             "Connection: close\r\n\r\n".encode())


def body_of(received):
    return received.split(b"\r\n\r\n", 1)[1]


def test_client_that_does_not_read_holds_no_worker(one_thread):
    httpd = one_thread()
    with httpd.raw() as stalled:
        ask(stalled, "/800")  # 50 MB: beyond what sockets and memory take
        stalled.receive_until(b"\r\n\r\n")
        assert httpd.get("/small").text == "small"
        received, was_reset = stalled.receive_all()
    assert not was_reset
    assert hashlib.sha1(body_of(received)).digest() == \
        hashlib.sha1(BLOCK * 800).digest()


def test_many_clients_that_do_not_read(one_thread):
    httpd = one_thread()
    stalled = [httpd.raw() for _ in range(30)]
    try:
        for raw in stalled:
            ask(raw, "/80")
        for raw in stalled:
            raw.receive_until(b"\r\n\r\n")
        assert httpd.get("/small").text == "small"
        for raw in stalled:
            assert len(body_of(raw.receive_all()[0])) == 80 * len(BLOCK)
    finally:
        for raw in stalled:
            raw.close()


def test_response_that_breaks_off_while_it_is_kept_is_truncated(one_thread):
    httpd = one_thread()
    httpd.expect_log("CGW0121", "CGW0123")
    with httpd.raw() as stalled:
        ask(stalled, "/broken")
        stalled.receive_until(b"\r\n\r\n")
        assert httpd.get("/small").text == "small"
        received, _ = stalled.receive_all()
    assert not received.endswith(b"0\r\n\r\n")


def test_bounds_of_zero_let_the_worker_wait_and_lose_nothing(one_thread):
    httpd = one_thread("CGatewayResponseBuffer 0 0")
    assert httpd.get("/300").body == BLOCK * 300


def test_client_that_trickles_its_body_holds_no_worker(one_thread):
    httpd = one_thread()
    with httpd.raw() as slow:
        slow.send(b"POST /echo HTTP/1.1\r\nHost: a.example\r\n"
                  b"Connection: close\r\nContent-Length: 10\r\n\r\n12345")
        assert httpd.get("/small").text == "small"
        slow.send(b"67890")
        assert body_of(slow.receive_all()[0]) == b"1234567890"


@pytest.mark.parametrize("size, chunked", [(3_000_000, False), (3_000_000, True),
                                           (16 << 20, False), (17_000_000, True)])
def test_upload_is_whole_whether_kept_or_streamed(one_thread, size, chunked):
    """In memory and the file up to the bounds, streamed beyond them."""
    httpd = one_thread()
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    with httpd.connection() as connection:
        for _ in range(2):
            if chunked:
                answer = connection.request("/echo", "POST", iter([body[:9], body[9:]]),
                                            {"Transfer-Encoding": "chunked"}, True)
            else:
                answer = connection.request("/echo", "POST", body)
            assert answer.status == 200
            assert hashlib.sha1(answer.body).digest() == hashlib.sha1(body).digest()


def test_upload_beyond_memory_that_stalls_holds_no_worker(one_thread):
    httpd = one_thread()
    body = BLOCK * 30
    with httpd.raw() as slow:
        slow.send(b"POST /echo HTTP/1.1\r\nHost: a.example\r\n"
                  b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        slow.send(body[:-1])
        assert httpd.get("/small").text == "small"
        slow.send(body[-1:])
        assert body_of(slow.receive_all()[0]) == body


def test_many_uploads_that_stall_hold_no_worker(one_thread):
    httpd = one_thread()
    stalled = [httpd.raw() for _ in range(30)]
    try:
        for raw in stalled:
            raw.send(b"POST /echo HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n10000\r\n" + BLOCK)
        assert httpd.get("/small").text == "small"
        for raw in stalled:
            raw.send(b"\r\n0\r\n\r\n")
        for raw in stalled:
            assert BLOCK in raw.receive_all()[0]
    finally:
        for raw in stalled:
            raw.close()


@pytest.fixture
def small_disk(httpd, as_root):
    """httpd's directory for temporary files is full with less than a megabyte."""
    path = httpd.mkdir("small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=1777", "tmpfs", path],
                   check=True)
    httpd.environment["TMPDIR"] = str(path)
    yield path
    httpd.stop()
    subprocess.run(["umount", path], check=True)


def test_full_disk_streams_an_upload_and_loses_nothing(one_thread, small_disk):
    httpd = one_thread()
    httpd.expect_log("CGW0135")
    body = BLOCK * 60
    answer = httpd.request("/echo", "POST", body)
    assert (answer.status, answer.body) == (200, body)
    assert httpd.wait_log("No space left on device: .*CGW0135")


def test_what_precedes_a_pause_arrives_before_it(one_thread):
    httpd = one_thread("CGatewayBodyBuffer 0")
    with httpd.raw() as raw:
        raw.send(b"POST /ticks HTTP/1.1\r\nHost: a.example\r\n"
                 b"Connection: close\r\nContent-Length: 3\r\n\r\n")
        assert b"first\n" in raw.receive_until(b"first\n")
        raw.send(b"go\n")
        assert b"second\n" in raw.receive_all()[0]


# ---- two hundred slow uploads ---------------------------------------------------------

UPLOADERS = 200


class Trickle:
    """Clients that each send a kilobyte of their upload every second."""

    def __init__(self, httpd, count):
        self.stopped = threading.Event()
        self.clients = [httpd.raw() for _ in range(count)]
        for client in self.clients:
            client.send(b"POST /echo HTTP/1.1\r\nHost: a.example\r\n"
                        b"Connection: close\r\nContent-Length: 1000000\r\n\r\n")
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped.wait(1):
            for client in self.clients:
                client.send(b"x" * 1024)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for client in self.clients:
            client.close()


def median_latency(httpd, count=200):
    """A connection each: a child of httpd without an idle thread ends the kept ones."""
    times = []
    for _ in range(count):
        begun = time.monotonic()
        assert httpd.get("/small").text == "small"
        times.append(time.monotonic() - begun)
    return statistics.median(times)


@pytest.mark.skipif(MPM == "prefork", reason="httpd needs a process for each client")
def test_two_hundred_trickling_uploads_do_not_delay_others(httpd):
    """Two processes of four threads: eight uploads would hold them all, and a request
    would wait for as long as they take."""
    httpd.main("ServerLimit 16\nMaxRequestWorkers 512\nMaxSpareThreads 512")
    httpd.wsgi(httpd.app("slow.wsgi", APP), "CGatewayProcesses 2", "CGatewayThreads 4")
    httpd.start()
    median_latency(httpd, 20)
    unloaded = median_latency(httpd)
    with Trickle(httpd, UPLOADERS):
        until(lambda: httpd.clients_read() >= UPLOADERS, "httpd to read all uploads")
        loaded = median_latency(httpd)
        assert httpd.connections() <= 8, "no upload has a worker"
    print("median", loaded, "s beside the uploads,", unloaded, "s without")
    assert loaded < 10 * unloaded + 1


def anonymous_kb(pids):
    text = "".join(open(f"/proc/{pid}/status", encoding="utf-8").read() for pid in pids)
    return sum(int(kb) for kb in re.findall(r"RssAnon:\s+(\d+) kB", text))


@pytest.mark.skipif(bool(PRELOAD), reason="sanitizers keep memory that was freed")
def test_client_that_sends_byte_by_byte_fills_no_memory(one_thread):
    """httpd reads each byte into a buffer of 8,000; 1,000 of them would be 8 MB."""
    count = 1000
    httpd = one_thread()
    children = httpd.children()
    with httpd.raw() as raw:
        raw.send(b"POST /echo HTTP/1.1\r\nHost: a.example\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n\r\n" % count)
        until(httpd.clients_read, "httpd to read the head")
        before = anonymous_kb(children)
        for _ in range(count - 1):
            raw.send(b"x")
            while not httpd.clients_read():
                pass
        assert anonymous_kb(children) - before < 4 << 10
        raw.send(b"x")
        assert body_of(raw.receive_all()[0]) == b"x" * count
