# SPDX-License-Identifier: Apache-2.0
"""An open-loop HTTP client: requests leave at a fixed rate, whatever became of those
before them, and a request's latency counts from when it was to be sent. So a stall
of the server shows in every request that it delayed, not in one alone."""

import asyncio
import collections
import dataclasses
import itertools
import threading
import time

from harness.paths import PATIENCE

# A connection without a response so long is given up; longer than any test's patience
# with a single request.
TIMEOUT = 2 * PATIENCE


@dataclasses.dataclass
class Outcome:
    """One request. Times are of time.monotonic(), in seconds."""

    intended: float         # when it was to be sent
    latency: float          # from then until its response was complete, or failed
    host: str
    path: str
    fresh: bool             # on a connection of its own
    late: float = 0.0       # of the latency: this client itself had no processor
    status: int = 0         # 0: none came
    error: str = ""         # see Connection.lost()
    body: bytes = b""

    @property
    def failed(self):
        return bool(self.error) or self.status >= 500


class Parser:
    """One response, from bytes as they come."""

    def __init__(self):
        self.data = bytearray()
        self.head_end = self.status = 0
        self.length = None          # of the body; None: chunked, or until the end
        self.chunked = self.close = False

    def feed(self, data):
        """Whether the response is complete."""
        self.data += data
        while not self.head_end:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.take_head(bytes(self.data[:end]).split(b"\r\n"))
            if 100 <= self.status < 200:
                del self.data[:end + 4]     # interim
            else:
                self.head_end = end + 4
        if self.chunked:
            return self.data.endswith(b"0\r\n\r\n") and self.dechunk() is not None
        return self.length is not None and len(self.data) >= self.head_end + self.length

    def take_head(self, lines):
        self.status = int(lines[0].split(b" ", 2)[1])
        if self.status in (204, 304):
            self.length = 0
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip().lower()
            if name == b"content-length":
                self.length = int(value)
            elif name == b"transfer-encoding":
                self.chunked = value == b"chunked"
            elif name == b"connection":
                self.close = value == b"close"

    def dechunk(self):
        """The body, or None where the last chunk is missing."""
        body, at = bytearray(), self.head_end
        while (end := self.data.find(b"\r\n", at)) >= 0:
            size = int(self.data[at:end].split(b";")[0], 16)
            if size == 0:
                return bytes(body)
            body += self.data[end + 2:end + 2 + size]
            at = end + 2 + size + 2
        return None

    def body(self):
        if self.chunked:
            return self.dechunk() or b""
        return bytes(self.data[self.head_end:])

    def ends_with_connection(self):
        """Whether the end of the connection completes it."""
        return bool(self.head_end) and self.length is None and not self.chunked


class Connection(asyncio.Protocol):
    """A connection, and the request that is on it."""

    def __init__(self, client):
        self.client = client
        self.transport = self.outcome = self.parser = self.timer = None
        self.is_used = False

    def connection_made(self, transport):
        self.transport = transport

    def send(self, outcome):
        fields = "Connection: close\r\n" if outcome.fresh else ""
        self.outcome, self.parser = outcome, Parser()
        self.timer = self.client.loop.call_later(TIMEOUT, self.lost, "timeout")
        self.transport.write(self.client.head(outcome, fields))

    def data_received(self, data):
        if not self.outcome:
            self.transport.abort()      # unasked
        elif self.parser.feed(data):
            self.is_used = True
            self.complete(reusable=not (self.outcome.fresh or self.parser.close))

    def eof_received(self):
        if self.outcome and self.parser.ends_with_connection():
            self.complete(reusable=False)

    def connection_lost(self, exc):
        if self.outcome:
            self.lost("reset" if isinstance(exc, ConnectionResetError) else "closed")
        self.client.forget(self)

    def complete(self, reusable):
        outcome, self.outcome = self.outcome, None
        self.timer.cancel()
        outcome.status, outcome.body = self.parser.status, self.parser.body()
        if reusable:
            self.client.idle.append(self)
        else:
            self.transport.close()
        self.client.finish(outcome)

    def lost(self, what):
        """timeout; truncated: in the middle of a response; stale: the server let go of
        a kept connection just when it was used; else reset, or closed without a word."""
        outcome, self.outcome = self.outcome, None
        self.timer.cancel()
        if what != "timeout":
            what = ("truncated" if self.parser.data else "stale" if self.is_used else what)
        outcome.status, outcome.error = self.parser.status, what
        self.transport.abort()
        self.client.finish(outcome)


class OpenLoop:
    """A load of `rate` requests a second, in turn for each of `targets`, (host, path).
    The share `fresh` of them use a connection of their own, the others kept ones. A
    context manager: at its end every request has its outcome."""

    def __init__(self, port, targets, rate, fresh=0.5, method="GET", body=b""):
        self.port, self.targets, self.rate, self.fresh = port, targets, rate, fresh
        self.method, self.sent_body = method, body
        self.outcomes = []          # in the order of their ends
        self.idle, self.connecting = collections.deque(), set()
        self.running = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.loop = self.all_done = None

    # ---- for tests --------------------------------------------------------------------

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def failures(self):
        return [o for o in list(self.outcomes) if o.failed]

    def resets(self, fresh=None):
        """Requests without a complete response."""
        return [o for o in list(self.outcomes)
                if o.error and (fresh is None or o.fresh == fresh)]

    def server_errors(self):
        return [o for o in list(self.outcomes) if o.status >= 500]

    def latency(self, quantile=1.0, since=0.0, until=float("inf"), host=None):
        """Of complete responses that were to be sent in that time: seconds."""
        found = sorted(o.latency for o in list(self.outcomes)
                       if not o.error and since <= o.intended < until
                       and host in (None, o.host))
        assert found, "no request in that time"
        return found[min(int(quantile * len(found)), len(found) - 1)]

    def summary(self):
        kinds = collections.Counter(
            f"{o.error or o.status}{' fresh' if o.fresh else ' kept'}"
            for o in list(self.outcomes))
        return ", ".join(f"{kind}: {n}" for kind, n in sorted(kinds.items()))

    # ---- the loop ---------------------------------------------------------------------

    async def run(self):
        self.loop = asyncio.get_running_loop()
        self.all_done = asyncio.Event()
        start = time.monotonic()
        for number in itertools.count():
            intended = start + number / self.rate
            while (early := intended - time.monotonic()) > 0 \
                    and not self.stopped.is_set():
                await asyncio.sleep(min(early, 0.1))
            if self.stopped.is_set():
                break
            self.issue(number, intended)
            if early < 0:
                await asyncio.sleep(0)  # behind: answers must be read all the same
        while self.running:
            self.all_done.clear()
            await self.all_done.wait()
        for connection in list(self.idle):
            connection.transport.abort()

    def issue(self, number, intended):
        late = time.monotonic() - intended
        host, path = self.targets[number % len(self.targets)]
        # evenly spread: the whole part of number * fresh grows at every fresh one
        fresh = int((number + 1) * self.fresh) > int(number * self.fresh)
        outcome = Outcome(intended, 0.0, host, path, fresh, late)
        self.running += 1
        if self.idle and not fresh:
            self.idle.pop().send(outcome)
        else:
            task = self.loop.create_task(self.connect(outcome))
            self.connecting.add(task)   # the loop itself keeps weak references alone
            task.add_done_callback(self.connecting.discard)

    async def connect(self, outcome):
        try:
            _, connection = await self.loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self.port)
        except OSError as error:
            outcome.error = type(error).__name__
            self.finish(outcome)
            return
        connection.send(outcome)

    def head(self, outcome, fields):
        length = f"Content-Length: {len(self.sent_body)}\r\n" if self.sent_body else ""
        return (f"{self.method} {outcome.path} HTTP/1.1\r\nHost: {outcome.host}\r\n"
                f"{fields}{length}\r\n").encode() + self.sent_body

    def finish(self, outcome):
        outcome.latency = time.monotonic() - outcome.intended
        self.outcomes.append(outcome)
        self.running -= 1
        self.all_done.set()

    def forget(self, connection):
        if connection in self.idle:
            self.idle.remove(connection)
