# SPDX-License-Identifier: Apache-2.0
"""CGatewayResponseBuffer under a load of slow clients, and what must not wait in it."""

import contextlib
import hashlib
import random
import selectors
import socket
import statistics
import time
import zlib

import pytest

from harness.httpd import until
from harness.http2 import Http2
from harness.paths import MPM, PATIENCE

APP = '''
import random
import threading
import time

BLOCK = bytes(range(256)) * 256
NOISE = random.Random(3).randbytes(65536)   # no filter makes it shorter
GO_ON = threading.Semaphore(0)
PRODUCED = []


def endless():
    while True:
        PRODUCED.append(1)
        yield BLOCK


def steps():
    """Pauses again and again, and goes on for two seconds."""
    for number in range(40):
        yield b"%02d" % number
        yield NOISE
        time.sleep(0.05)


def events(count):
    for number in range(count):
        yield b"data: %d\\n\\n" % number
        GO_ON.acquire(timeout=120)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    kind, body = "text/plain", [b"small"]
    if path == "/page":
        kind, body = "application/octet-stream", (BLOCK for _ in range(80))
    elif path == "/events":
        kind, body = "text/event-stream", events(5)
    elif path == "/endless":
        body = endless()
    elif path == "/steps":
        body = steps()
    elif path == "/produced":
        body = [b"%d" % len(PRODUCED)]
    elif path == "/go-on":
        GO_ON.release()
    start_response("200 OK", [("Content-Type", kind)])
    return body
'''
PAGE = bytes(range(256)) * 256 * 80         # 5 MB
CLIENTS = 50 if MPM == "prefork" else 100   # each costs httpd a thread or process
RATE = 20_000                               # bytes a second of each client
TICK = 0.1
MEASURED = 1.5                              # seconds
SLACK = 0.5                                 # of a noisy machine, in seconds; a request
                                            # behind one of the clients waits for minutes


# ---- many clients, each of them slow ------------------------------------------

class Reader:
    """Reads one chunked response, at a rate or as fast as it comes."""

    def __init__(self, raw):
        self.raw = raw
        self.received = 0
        self.digest = hashlib.sha1()
        self.allowance = 0

    def read(self, limit):
        data = self.raw.socket.recv(limit)
        self.received += len(data)
        self.digest.update(data)
        return len(data)


class Crowd:
    """Clients of one page; the caller's thread reads for all of them."""

    def __init__(self, stack, httpd, count):
        self.readers = []
        self.selector = selectors.DefaultSelector()
        self.ticked = time.monotonic()
        for _ in range(count):
            reader = Reader(stack.enter_context(httpd.raw()))
            reader.raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            # HTTP/1.0: the body is all that follows the head, as it is
            reader.raw.send(b"GET /page HTTP/1.0\r\nHost: a.example\r\n\r\n")
            self.readers.append(reader)
            self.selector.register(reader.raw.socket, selectors.EVENT_READ, reader)
        stack.callback(self.selector.close)

    def tick(self):
        """Every reader takes what its rate allows since the last tick."""
        now = time.monotonic()
        if now - self.ticked < TICK:
            return
        share = int((now - self.ticked) * RATE)
        self.ticked = now
        for key, _ in self.selector.select(0):
            key.data.read(share)

    def finish(self):
        """Reads the rest at full speed; [(bytes, digest)] of everything."""
        while self.selector.get_map():
            ready = self.selector.select(PATIENCE)
            assert ready, "a response stalls"
            for key, _ in ready:
                if not key.data.read(1 << 20):
                    self.selector.unregister(key.fileobj)
        return [(r.received, r.digest.hexdigest()) for r in self.readers]


def median_latency(httpd, between=lambda: None):
    """A connection each, since httpd ends idle ones when its threads get few."""
    times, end = [], time.monotonic() + MEASURED
    while time.monotonic() < end or len(times) < 50:
        between()
        began = time.monotonic()
        assert httpd.get("/small").text == "small"
        times.append(time.monotonic() - began)
    return statistics.median(times)


def test_many_slow_readers_of_a_large_page_slow_nobody_down(httpd):
    httpd.wsgi(httpd.app("page.wsgi", APP), "CGatewayProcesses 2", "CGatewayThreads 4")
    # or the kernel would keep most of it; and threads for all of them
    httpd.main("SendBufferSize 65536\nServerLimit 16\nMaxRequestWorkers 512\n"
               "MaxSpareThreads 512" if MPM != "prefork" else "SendBufferSize 65536")
    httpd.start()
    with contextlib.ExitStack() as stack:
        unloaded = median_latency(httpd)
        crowd = Crowd(stack, httpd, CLIENTS)

        def all_have_begun():
            crowd.tick()
            return all(reader.received for reader in crowd.readers)
        until(all_have_begun, "every slow client to get its first bytes")
        until(lambda: (crowd.tick(), httpd.connections())[1] == 0,
              "the workers to be rid of every response")
        loaded = median_latency(httpd, crowd.tick)
        assert loaded < 2 * unloaded + SLACK, (loaded, unloaded)
        assert any(r.received < len(PAGE) / 2 for r in crowd.readers), \
            "the clients were slow all the while"
        ends = crowd.finish()
    head = ends[0][0] - len(PAGE)
    assert 0 < head < 2000
    assert {received for received, _ in ends} == {ends[0][0]}


def test_a_page_that_waited_in_the_buffer_is_whole(httpd):
    httpd.wsgi(httpd.app("page.wsgi", APP), "CGatewayResponseBuffer 64K 1M")
    httpd.start()
    answer = httpd.get("/page")
    assert hashlib.sha1(answer.body).digest() == hashlib.sha1(PAGE).digest()


def test_beyond_both_bounds_the_worker_waits_for_the_client(httpd):
    httpd.wsgi(httpd.app("page.wsgi", APP), "CGatewayResponseBuffer 64K 1M",
               "CGatewayProcesses 1")
    httpd.start()
    with httpd.raw() as stalled:
        stalled.send(b"GET /endless HTTP/1.1\r\nHost: a.example\r\n\r\n")
        stalled.receive_until(b"\r\n\r\n")
        until(lambda: int(httpd.get("/produced").text) > 16, "the bounds to be reached")
        for _ in range(200):
            # 1 MB is kept, some more is in sockets
            assert int(httpd.get("/produced").text) < 500


# ---- HTTP/2 -------------------------------------------------------------------------

needs_http2 = pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")
NOISE = random.Random(3).randbytes(65536)
STEPS = b"".join(b"%02d" % number + NOISE for number in range(40))


@pytest.fixture
def http2(httpd):
    """Starts the application; the other lines are for its virtual host."""
    def start(*lines, main=""):
        httpd.load("http2", "filter", "deflate")
        httpd.main(main)
        httpd.wsgi(httpd.app("page.wsgi", APP), "Protocols h2c http/1.1",
                   "CGatewayProcesses 1", *lines)
        return httpd.start()
    return start


def ask_without_reading(client, path, count, headers=()):
    client.reads = False
    streams = [client.ask(path, headers=headers) for _ in range(count)]
    client.receive_until(lambda: all(stream.body for stream in streams))
    return streams


@needs_http2
@pytest.mark.parametrize("filtered", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("path", ["/page", "/steps"])
def test_a_stream_that_is_not_read_holds_no_worker(http2, path, filtered):
    """Also of an application that pauses, or goes on for long, and behind a filter."""
    httpd = http2("CGatewayThreads 3", "SetOutputFilter DEFLATE" if filtered else "")
    with Http2(httpd.port, window=1000) as client:
        streams = ask_without_reading(client, path, 3, [("accept-encoding", "gzip")])
        until(lambda: httpd.connections() == 0, "the workers to be rid of the responses")
        assert httpd.get("/small").text == "small"
        assert not any(len(stream.body) > 1000 for stream in streams)
        client.read_on()
        for stream in client.finish(*streams):
            body = bytes(stream.body)
            assert (stream.status, stream.ended) == (200, True)
            assert (zlib.decompress(body, 31) if filtered else body) \
                == {"/page": PAGE, "/steps": STEPS}[path]


@needs_http2
def test_slow_streams_slow_nobody_down(http2):
    # the streams are not read for as long as the measuring takes
    httpd = http2("CGatewayProcesses 2", "CGatewayThreads 4", main="Timeout 600")
    with contextlib.ExitStack() as stack:
        unloaded = median_latency(httpd)
        clients = [stack.enter_context(Http2(httpd.port, window=1000)) for _ in range(4)]
        streams = [ask_without_reading(client, "/steps", 6) for client in clients]
        loaded = median_latency(httpd)
        assert loaded < 2 * unloaded + SLACK, (loaded, unloaded)
        until(lambda: httpd.connections() == 0, "the workers to be rid of the responses")
        for client, its in zip(clients, streams):
            client.read_on()
            assert all(stream.body == STEPS for stream in client.finish(*its))


@needs_http2
@pytest.mark.parametrize("buffer", ["64K 1M", "64K 0", "0 0"])
def test_beyond_the_bounds_the_worker_waits_for_the_stream(http2, buffer):
    httpd = http2(f"CGatewayResponseBuffer {buffer}", "CGatewayThreads 2")
    with Http2(httpd.port, window=1000) as client:
        stalled, = ask_without_reading(client, "/endless", 1)
        for _ in range(200):
            assert int(httpd.get("/produced").text) < 500
        client.read_on()
        client.receive_until(lambda: len(stalled.body) > 100 * len(NOISE))
        assert stalled.body[:1 << 20] == bytes(range(256)) * (1 << 12)
        client.give_up(stalled)
        until(lambda: httpd.connections() == 0, "the response to be given up")


@needs_http2
def test_a_stream_that_is_not_read_for_timeout_is_given_up(http2):
    httpd = http2("CGatewayResponseBuffer 64K 1M", "CGatewayThreads 2", main="Timeout 2")
    with Http2(httpd.port, window=1000) as client:
        ask_without_reading(client, "/endless", 1)
        until(lambda: httpd.connections() == 0, "the response to be given up")


# ---- what must not wait -----------------------------------------------------------

def read_events(receive_until, go_on):
    """Each event is there before the application makes the next one."""
    for number in range(5):
        mark = b"data: %d\n\n" % number
        received = receive_until(mark)
        assert mark in received and b"data: %d" % (number + 1) not in received
        go_on()


def test_server_sent_events_arrive_one_by_one(httpd):
    httpd.wsgi(httpd.app("page.wsgi", APP), "CGatewayProcesses 1")
    httpd.start()
    with httpd.raw() as raw:
        raw.send(b"GET /events HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        read_events(raw.receive_until, lambda: httpd.get("/go-on"))
        assert raw.receive_all()[0].endswith(b"0\r\n\r\n")


@needs_http2
def test_server_sent_events_arrive_one_by_one_by_http_2(http2):
    httpd = http2()
    with Http2(httpd.port) as client:
        stream = client.ask("/events")

        def receive_until(mark):
            client.receive_until(lambda: mark in stream.body)
            return stream.body
        read_events(receive_until, lambda: httpd.get("/go-on"))
        assert client.finish(stream).ended


def test_server_sent_events_arrive_one_by_one_through_mod_deflate(httpd):
    httpd.load("filter", "deflate")
    httpd.wsgi(httpd.app("page.wsgi", APP), "CGatewayProcesses 1",
               "SetOutputFilter DEFLATE")
    httpd.start()
    inflater, plain = zlib.decompressobj(31), [b""]
    with httpd.raw() as raw:
        raw.send(b"GET /events HTTP/1.0\r\nHost: a.example\r\n"
                 b"Accept-Encoding: gzip\r\n\r\n")
        head = raw.receive_until(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        fresh = [head.split(b"\r\n\r\n", 1)[1]]

        def receive_until(mark):
            while mark not in plain[0]:
                plain[0] += inflater.decompress(fresh.pop() if fresh
                                                else raw.socket.recv(65536))
            return plain[0]
        read_events(receive_until, lambda: httpd.get("/go-on"))
