# SPDX-License-Identifier: Apache-2.0
"""The open-loop client: it sees stalls, and tells the ways apart in which a connection
ends."""

import socket
import struct
import threading
import time

import pytest

from harness.openloop import OpenLoop

ANSWERS = {
    "/length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\no\r\n\r\n2;x=y\r\nk!\r\n0\r\n\r\n",
    "/interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                b"HTTP/1.1 503 No\r\nContent-Length: 1\r\n\r\nn",
    "/until-close": b"HTTP/1.1 200 OK\r\n\r\nall"}


class Server:
    """Answers as the path says; one thread per connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = threading.Event()       # it answers
        self.open.set()
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        served = 0
        with connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                while lines.readline() not in (b"\r\n", b""):
                    pass
                self.open.wait()
                path = request.split()[1].decode()
                if not self.answer(connection, path, served):
                    return
                served += 1

    def answer(self, connection, path, served):
        """Whether the connection goes on."""
        if path == "/reset" or (path == "/stale" and served):
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        if path == "/half":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            return False
        for byte in ANSWERS.get(path, ANSWERS["/length"]):
            connection.sendall(bytes([byte]))
        return path != "/until-close"


@pytest.fixture
def server():
    with (server := Server()).listener:
        yield server


def load(server, path, until, rate=200, **options):
    """Runs a load until it has so many outcomes."""
    with OpenLoop(server.port, [("a.example", path)], rate, **options) as client:
        deadline = time.monotonic() + 60
        while len(client.outcomes) < until:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert client.running == 0
    return client


@pytest.mark.parametrize("path, status, body", [
    ("/length", 200, b"ok"), ("/chunked", 200, b"o\r\nk!"),
    ("/interim", 503, b"n"), ("/until-close", 200, b"all")])
def test_responses_of_every_framing_are_complete(server, path, status, body):
    client = load(server, path, 20)
    assert {(o.status, o.error, o.body) for o in client.outcomes} == {(status, "", body)}
    assert bool(client.failures()) == (status >= 500)


@pytest.mark.parametrize("path, error", [("/reset", "reset"), ("/half", "truncated")])
def test_the_ends_of_connections_are_told_apart(server, path, error):
    client = load(server, path, 10)
    assert {o.error for o in client.outcomes} == {error}
    assert len(client.failures()) == len(client.outcomes)


def test_a_kept_connection_that_has_gone_is_stale(server):
    client = load(server, "/stale", 40, rate=50, fresh=0)
    assert {o.error for o in client.outcomes} == {"", "stale"}


def test_the_share_of_fresh_connections(server):
    client = load(server, "/length", 100, rate=100, fresh=0.25)
    fresh = [o for o in client.outcomes if o.fresh]
    assert abs(len(fresh) - len(client.outcomes) / 4) <= 1
    assert len(fresh) <= server.connections <= len(client.outcomes)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with OpenLoop(port, [("a.example", "/")], 50) as client:
        while not client.outcomes:
            time.sleep(0.01)
    assert {o.error for o in client.outcomes} == {"ConnectionRefusedError"}


def test_a_stall_counts_for_each_request_that_it_delays(server):
    """A client that waits for each answer would see one slow request."""
    with OpenLoop(server.port, [("a.example", "/length")], 100) as client:
        while len(client.outcomes) < 20:
            time.sleep(0.01)
        server.open.clear()
        began = time.monotonic()
        time.sleep(1)       # the stall itself
        ended = time.monotonic()
        server.open.set()
        while client.outcomes[-1].intended < ended:
            time.sleep(0.01)
    delayed = [o for o in client.outcomes if began + 0.1 < o.intended < ended - 0.1]
    assert len(delayed) >= 50
    assert all(o.latency >= ended - o.intended for o in delayed)
