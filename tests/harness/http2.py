# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client of which a test decides what it reads, and when it gives up."""

import dataclasses
import socket

import h2.config
import h2.connection
import h2.events
import h2.settings

CODES = h2.settings.SettingCodes


@dataclasses.dataclass
class Stream:
    number: int
    head: dict = None
    body: bytearray = dataclasses.field(default_factory=bytearray)
    ended: bool = False
    reset: int = None           # the error code

    @property
    def status(self):
        return self.head and int(self.head[":status"])

    @property
    def is_over(self):
        return self.ended or self.reset is not None


class Closed(AssertionError):
    """The server closed the connection, and something was still to come."""


class Http2:
    """One connection without TLS. window: how much a stream may send before the
    client says that it has taken something, which it does where `reads` is set."""

    def __init__(self, port, window=65535, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.reads = True
        self.unread = {}        # stream number: bytes that it has not taken
        self.streams = {}
        self.is_closed = False
        self.goodbye = None     # the server's GOAWAY
        self.unparsed = b""     # the begin of a frame
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_inbound_headers=True))
        self.http.local_settings = h2.settings.Settings(client=True, initial_values={
            CODES.ENABLE_PUSH: 0, CODES.INITIAL_WINDOW_SIZE: window})
        self.http.initiate_connection()
        self.http.increment_flow_control_window(1 << 30)
        self.send()

    def send(self):
        self.socket.sendall(self.http.data_to_send())

    def ask(self, path, method="GET", headers=(), body=None, host="a.example"):
        """Begins a request, whose body is to follow where it is an empty text, and
        returns its stream."""
        stream = Stream(self.http.get_next_available_stream_id())
        self.streams[stream.number] = stream
        self.http.send_headers(stream.number, [
            (":method", method), (":path", path), (":scheme", "http"),
            (":authority", host), *headers], end_stream=body is None)
        self.send()
        if body:
            self.send_body(stream, body)
        return stream

    def send_body(self, stream, data, end=True):
        """As the server's window lets it."""
        data = memoryview(data)
        while data and not stream.is_over:
            room = min(self.http.local_flow_control_window(stream.number),
                       self.http.max_outbound_frame_size, len(data))
            if not room:
                self.receive()
                continue
            self.http.send_data(stream.number, bytes(data[:room]))
            data = data[room:]
            self.send()
        if end and not stream.is_over:
            self.http.end_stream(stream.number)
            self.send()

    def give_up(self, stream, code=8):
        """RST_STREAM; 8 is CANCEL."""
        if not stream.is_over:
            stream.reset = code
            self.http.reset_stream(stream.number, code)
            self.send()

    def receive(self):
        """Takes what has come, waiting for something."""
        if self.is_closed:
            raise Closed(self.goodbye)
        data = self.socket.recv(1 << 16)
        self.is_closed = not data
        for frame in self.frames(data):
            for event in self.http.receive_data(frame):
                stream = self.streams.get(getattr(event, "stream_id", None))
                if stream:
                    self.take(stream, event)
                if isinstance(event, h2.events.ConnectionTerminated):
                    self.is_closed, self.goodbye = True, event
            if self.is_closed:
                return          # h2 knows nothing of what may follow a GOAWAY
        self.send()

    def frames(self, data):
        """One by one, those that are complete (RFC 9113, 4.1)."""
        self.unparsed += data
        while len(self.unparsed) >= (end := 9 + int.from_bytes(self.unparsed[:3], "big")):
            frame, self.unparsed = self.unparsed[:end], self.unparsed[end:]
            yield frame

    def take(self, stream, event):
        if isinstance(event, h2.events.ResponseReceived):
            stream.head = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            self.unread[stream.number] = (self.unread.get(stream.number, 0)
                                          + event.flow_controlled_length)
            if self.reads:
                self.read(stream)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset) and stream.reset is None:
            stream.reset = event.error_code

    def read(self, stream):
        """Tells the server that the client has taken what came."""
        count = self.unread.pop(stream.number, 0)
        if count and not stream.is_over:
            self.http.acknowledge_received_data(count, stream.number)

    def read_on(self):
        """A client that did not read begins to."""
        self.reads = True
        for stream in self.streams.values():
            self.read(stream)
        self.send()

    def receive_until(self, condition):
        while not condition():
            self.receive()

    def finish(self, *streams):
        """Receives until they are over."""
        self.receive_until(lambda: all(stream.is_over for stream in streams))
        return streams[0] if len(streams) == 1 else streams

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
