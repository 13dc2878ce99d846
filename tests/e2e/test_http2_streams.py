# SPDX-License-Identifier: Apache-2.0
"""Many HTTP/2 streams at a time, of which some are given up at any moment: every answer
has its own bytes, and nothing is left of the others."""

import concurrent.futures
import contextlib
import hashlib
import os
import random

import h2.exceptions
import pytest

from harness.http2 import Closed, Http2
from harness.httpd import until
from harness.paths import HTTPD_USER, MPM, PATIENCE, PRELOAD
from harness.usage import httpd_children, open_files, resident

pytestmark = pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")

APP = '''
import hashlib
import json
import os
import random
import threading

LOCK = threading.Lock()
RUNNING = [0]


class Body:
    """Counts itself until it is closed."""

    def __init__(self, parts):
        self.parts = iter(parts)
        with LOCK:
            RUNNING[0] += 1

    def __iter__(self):
        return self.parts

    def close(self):
        with LOCK:
            RUNNING[0] -= 1


def pieces(data, seed):
    at, sizes = 0, random.Random(seed)
    while at < len(data):
        size = sizes.choice([1, 100, 5000, 70000])
        yield data[at:at + size]
        at += size


def application(environ, start_response):
    _, kind, *rest = environ["PATH_INFO"].split("/")
    headers = [("Content-Type", "application/octet-stream")]
    if kind == "state":
        start_response("200 OK", [])
        return [json.dumps({"running": RUNNING[0], "pid": os.getpid(),
                            "open": len(os.listdir("/proc/self/fd"))}).encode()]
    if kind == "upload":
        body = environ["wsgi.input"].read()
        start_response("200 OK", headers)
        return Body([hashlib.sha1(body).hexdigest().encode()])
    size, seed = map(int, rest)
    data = random.Random(seed).randbytes(size)
    if kind == "file":
        path = os.path.join(os.environ["FILES"], f"{os.getpid()}-{threading.get_ident()}")
        with open(path, "wb") as out:
            out.write(data)
        file = open(path, "rb")
        os.unlink(path)
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file)
    write = start_response("200 OK", headers)
    if kind == "write":
        for part in pieces(data, seed):
            write(part)
        return Body([])
    return Body([data] if kind == "list" else pieces(data, seed))
'''
KINDS = ["list", "generator", "write", "file"]
SIZES = [0, 1, 1000, 16384, 65536, 300_000, 1_000_000]
CLIENTS, STREAMS = 4, 24


def configure(httpd):
    files = httpd.mkdir("files", owner=HTTPD_USER)
    httpd.load("http2")
    # for was_dropped
    httpd.main("LogLevel http2:debug", "debug")
    httpd.wsgi(httpd.app("streams.wsgi", APP), "Protocols h2c http/1.1",
               "CGatewayProcesses 1", f"CGatewayEnv FILES {files}",
               "CGatewayBodyBuffer 64K 100K", "CGatewayResponseBuffer 64K 4M")
    # what the application makes of a client that leaves is logged as an error
    httpd.expect_log("CGW0121", "CGW0123", "ClientDisconnected", "a.example: ")


@pytest.fixture
def site(httpd):
    configure(httpd)
    return httpd.start()


def begin(client, chance):
    """A request of any kind: (its stream, what its body must be)."""
    size, seed = chance.choice(SIZES), chance.randrange(1 << 20)
    data = random.Random(seed).randbytes(size)
    kind = chance.choice([*KINDS, "upload"])
    if kind == "upload":
        stream = client.ask("/upload", "POST", body=b"")
        client.send_body(stream, data[:size // 2], end=False)
        if chance.random() < 0.3:
            client.give_up(stream)
        else:
            client.send_body(stream, data[size // 2:])
        return stream, hashlib.sha1(data).hexdigest().encode()
    stream = client.ask(f"/{kind}/{size}/{seed}")
    return stream, data


def was_dropped(httpd, client):
    """mod_http2 (2.0.42) closes the connection where a stream is given up while the head
    of its answer waits to be sent: it takes the frame that it cannot send any more for a
    fault of its own."""
    port = client.socket.getsockname()[1]
    return any("AH10509" in line and f"[client 127.0.0.1:{port}]" in line
               for line in httpd.log().splitlines())


def run_client(httpd, seed):
    """One connection from its begin to its end; how many answers were whole."""
    chance = random.Random(seed)
    with Http2(httpd.port, window=chance.choice([1000, 65535, 1 << 20]),
               timeout=PATIENCE) as client:
        try:
            return use(client, chance)
        except (Closed, OSError, h2.exceptions.ProtocolError):
            if not was_dropped(httpd, client):
                raise
            return 0


def use(client, chance):
    """The same of a connection that the server keeps."""
    asked = [begin(client, chance) for _ in range(STREAMS)]
    for stream, _ in chance.sample(asked, STREAMS // 6):
        client.give_up(stream)
    doomed = [stream for stream, _ in chance.sample(asked, STREAMS // 6)]
    client.receive_until(lambda: all(s.body or s.is_over for s in doomed))
    for stream in doomed:
        client.give_up(stream)
    if chance.random() < 0.2:
        return 0            # and leaves with the others under way
    client.finish(*(stream for stream, _ in asked))
    whole = [(stream, data) for stream, data in asked if stream.ended]
    assert all(s.status == 200 and s.body == data for s, data in whole)
    given_up = [stream for stream, _ in asked if not stream.ended]
    assert all(stream.reset == 8 for stream in given_up), "the server gave none up"
    return len(whole)


def run_round(httpd, seed):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        whole = list(pool.map(run_client, [httpd] * CLIENTS,
                              range(seed * CLIENTS, (seed + 1) * CLIENTS)))
    until(lambda: httpd.connections() == 0, "the workers to be free")
    until(lambda: httpd.get("/state").json()["running"] == 0, "close() of every body")
    return sum(whole)


def test_streams_that_are_given_up_disturb_no_other_and_leave_nothing(httpd, site):
    def files():
        return {pid: open_files(pid) for pid in httpd_children(httpd)}

    def is_empty():
        return (httpd.get("/state").json()["open"] <= before["open"]
                and all(count <= most for count in files().values()))
    before = httpd.get("/state").json()
    whole = run_round(httpd, 0)
    most = max(files().values()) + 8
    for number in range(1, 3):
        whole += run_round(httpd, number)
    memory = {pid: resident(pid) for pid in [*httpd_children(httpd), before["pid"]]}
    for number in range(3, 8):
        whole += run_round(httpd, number)
    assert whole > 4 * STREAMS
    until(is_empty, "the descriptors to be closed")
    if not PRELOAD:         # a sanitizer keeps what was freed for a while
        for pid, size in memory.items():
            assert resident(pid) - size < 32 << 20, (pid, size, resident(pid))
    assert httpd.get("/state").json()["pid"] == before["pid"], "the worker lives"


@pytest.fixture
def threads(httpd):
    """Starts httpd with one child, whose mod_http2 makes a thread where it has none to
    spare; a function that counts the child's threads."""
    configure(httpd)
    httpd.main("StartServers 1\nServerLimit 1\nMaxRequestWorkers 32\nMinSpareThreads 1\n"
               "MaxSpareThreads 32\nH2MinWorkers 1\nH2MaxWorkers 32")
    httpd.start()
    return lambda: sum(len(os.listdir(f"/proc/{pid}/task")) for pid in
                       httpd_children(httpd))


def test_clients_that_do_not_read_hold_no_thread_of_mod_http2(httpd, threads):
    """It has a thread wait for each client that is given other data than files."""
    with contextlib.ExitStack() as clients:
        asked = []
        for seed, kind in enumerate(KINDS * 4):
            size = 70_000 if seed < 4 else 1_000_000
            before = threads() if seed <= 4 else before
            client = clients.enter_context(Http2(httpd.port, 1000, PATIENCE))
            client.reads = False
            stream = client.ask(f"/{kind}/{size}/{seed}")
            client.receive_until(lambda s=stream: s.body)
            until(lambda: httpd.connections() == 0, "the worker to be done")
            asked.append((client, stream, random.Random(seed).randbytes(size)))
        assert threads() - before < 6, "of twelve"
        for client, stream, data in asked:
            client.read_on()
            client.finish(stream)
            assert stream.ended and stream.body == data
