# SPDX-License-Identifier: Apache-2.0
"""Plays supervisor and httpd to a worker: the control channel on descriptor 3,
the group's socket on 4, requests as frames (include/cgw_wire.h)."""

import array
import contextlib
import glob
import os
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time

import scoreboard

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("CGW_TEST_BUILD",
                                       os.path.join(ROOT, "build")))
LIBRARY = os.path.join(BUILD, "cgateway")
PATIENCE = 120      # a machine may have much else to do

READY, FAILED, SERVING, DRAINED, HELLO, CLOSED = 16, 17, 18, 19, 20, 22
OVERDUE, DEADLOCKED = 26, 28
FORK, SERVE, DRAIN = 32, 33, 34
STACKS = struct.pack("=H", 27)
MAGIC, VERSION = 0x31574743, 11
(REQUEST, BODY, BODY_END, HEAD, FILE, END, INTERIM, LOG,
 FAIL, TAKEN, SERVED) = 1, 2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
LAST = 1
HAS_BODY, HTTPS, HEAD_ONLY, SENDFILE, TELL = 1, 2, 4, 8, 32
UNKNOWN = (1 << 64) - 1


# The interpreter of the tests that need any one.
PYTHON = os.environ.get("CGW_TEST_PYTHON", "/usr/bin/python3")
DESCRIBE = ("import sys, sysconfig; print(sys.version_info[1], "
            "sysconfig.get_config_var('Py_GIL_DISABLED') or 0)")


def is_wanted(python, minor):
    """It runs, is of one of these minor versions, and has the stable ABI."""
    done = subprocess.run([python, "-Sc", DESCRIBE], stdout=subprocess.PIPE)
    words = done.stdout.split()
    return bool(words) and int(words[0]) in minor and int(words[1]) == 0


def interpreters(minor=range(9, 99)):
    """Every CPython 3 of these minor versions that this machine has."""
    patterns = ["/usr/bin/python3*", "/usr/local/bin/python3*",
                os.path.expanduser("~/.pyenv/versions/3.*/bin/python")]
    found = {os.path.realpath(path) for pattern in patterns
             for path in glob.glob(pattern) if not path.endswith("config")}
    return sorted(path for path in found if is_wanted(path, minor))


def contract():
    """Version of the wire and ids of the environ keys."""
    with open(os.path.join(ROOT, "include", "cgw_wire.h")) as file:
        text = file.read()
    table = text.split("#define CGW_KEY_TABLE(X)")[1].split("enum cgw_key")[0]
    return (int(re.search(r"#define CGW_WIRE_VERSION (\d+)", text).group(1)),
            {name: number for number, name
             in enumerate(re.findall(r"X\((\w+)\)", table), 1)})


WIRE_VERSION, KEYS = contract()


def frame(kind, payload=b"", last=False):
    return struct.pack("<BBHI", kind, LAST if last else 0, 0,
                       len(payload)) + payload


def pair(name, value):
    number = KEYS.get(name, 0)
    literal = b"" if number else struct.pack("<H", len(name)) + name.encode()
    value = value.encode("latin-1")
    return bytes([number]) + literal + struct.pack("<I", len(value)) + value


def request_frame(environ, flags=0, last=True, version=WIRE_VERSION,
                  deadline_ms=0, sent_us=0, queue_ms=0):
    fixed = struct.pack("<HHIQQI", version, flags, deadline_ms, 42, sent_us,
                        queue_ms)
    return frame(REQUEST, fixed + b"".join(pair(k, v) for k, v
                                           in environ.items()), last)


ENVIRON = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/",
           "QUERY_STRING": "", "SERVER_NAME": "localhost",
           "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
           "HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"}


class Response:
    """What came back on a connection."""

    def __init__(self):
        self.status = self.reason = self.length = self.fail = None
        self.headers, self.logs, self.frames = [], [], []
        self.body, self.complete, self.files = b"", False, []

    def header(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def take_head(self, payload):
        self.status, size, length = struct.unpack_from("<HHQ", payload)
        self.length = None if length == UNKNOWN else length
        self.reason = payload[12:12 + size].decode("latin-1")
        at = 12 + size
        while at < len(payload):
            assert payload[at] == 0
            n, = struct.unpack_from("<H", payload, at + 1)
            name = payload[at + 3:at + 3 + n].decode("latin-1")
            at += 3 + n
            n, = struct.unpack_from("<I", payload, at)
            self.headers.append((name, payload[at + 4:at + 4 + n]
                                 .decode("latin-1")))
            at += 4 + n

    def take(self, kind, last, payload, files):
        self.frames.append((kind, last))
        assert not self.complete, "frame %#x after the end" % kind
        if kind == HEAD:
            assert self.status is None
            self.take_head(payload)
        elif kind == BODY:
            self.body += payload
        elif kind == FILE:
            offset, length = struct.unpack("<QQ", payload)
            self.files.append((offset, length))
            descriptor = files.pop(0)
            self.body += os.pread(descriptor, length, offset)
            os.close(descriptor)
        elif kind == LOG:
            self.logs.append((payload[0], payload[1:].decode()))
        elif kind == FAIL:
            self.fail = (payload[0], payload[1:].decode())
        self.complete = bool(last) or kind == END


class Exchange:
    """One connection to the group."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.received, self.descriptors = b"", []
        self.response = Response()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.socket.recvmsg(1 << 16, space)
        except ConnectionResetError:
            return False
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self.descriptors += list(array.array("i", content))
        self.received += data
        return bool(data)

    def _need(self, size):
        while len(self.received) < size:
            if not self._more():
                return False
        return True

    def next_frame(self):
        """Take one frame into the response; its type, None at the end."""
        if not self._need(8):
            return None
        kind, flags, _, length = struct.unpack_from("<BBHI", self.received)
        assert self._need(8 + length), "frame cut short"
        payload = self.received[8:8 + length]
        self.received = self.received[8 + length:]
        if kind == SERVED:
            self.served = struct.unpack("<IIQ", payload)
            return self.next_frame()
        self.response.take(kind, flags & LAST, payload, self.descriptors)
        return kind

    def finish(self):
        while self.next_frame() is not None:
            pass
        self.close()
        return self.response

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class Group:
    """A template or solo worker with its channel."""

    def __init__(self, application, path, python=PYTHON, threads=2,
                 processes=1, fork=True, environ=None, preload="auto"):
        self.directory = tempfile.mkdtemp(prefix="cgw-")
        self.address = os.path.join(self.directory, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(128)
        self.control, self.output = None, tempfile.TemporaryFile()
        self.board = scoreboard.Board(threads)
        self.application, self.path, self.python = application, path, python
        self.threads, self.processes, self.fork = threads, processes, fork
        self.preload = preload
        self.environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self.environ.update(environ or {})
        if os.environ.get("CGW_TEST_PRELOAD"):
            self.environ["LD_PRELOAD"] = os.environ["CGW_TEST_PRELOAD"]
            self.environ["ASAN_OPTIONS"] = "detect_leaks=0"
            self.environ["TSAN_OPTIONS"] = os.environ.get("TSAN_OPTIONS", "")
        self.worker_control = self.worker_pid = None

    def _exec(self, child):
        listen = os.dup(self.listener.fileno())
        channel = os.dup(child.fileno())
        high = [os.dup2(listen, 101), os.dup2(channel, 100)]
        code = ("import os, sys; os.dup2(100, 3); os.dup2(101, 4); "
                "os.closerange(5, 256); os.execv(sys.argv[1], sys.argv[1:])")
        command = ["/usr/bin/python3", "-Sc", code, self.python,
                   os.path.join(LIBRARY, "bootstrap.py"), "shop",
                   self.application, str(self.threads), str(self.processes),
                   "--preload=" + self.preload]
        self.process = subprocess.Popen(
            command + self.path, pass_fds=high, env=self.environ,
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            start_new_session=True)
        for descriptor in high + [listen, channel]:
            os.close(descriptor)

    def launch(self):
        self.control, child = socket.socketpair(socket.AF_UNIX,
                                                socket.SOCK_SEQPACKET)
        self.control.settimeout(PATIENCE)
        self._exec(child)
        child.close()
        return self.hear(self.control)

    @staticmethod
    def hear(channel):
        """(type, arg) of the next message, None at end of file."""
        data = channel.recv(64)
        if data[6:8] == STACKS:
            return Group.hear(channel)
        if not data:
            return None
        magic, version, kind, arg = struct.unpack("=IHHQ", data)
        assert (magic, version) == (MAGIC, VERSION)
        return kind, arg & 0xffffffff if kind == READY else arg

    @staticmethod
    def tell(channel, kind, descriptors=()):
        message = struct.pack("=IHHQ", MAGIC, VERSION, kind, 0)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                   array.array("i", descriptors))] if descriptors else []
        channel.sendmsg([message], rights)

    def add_worker(self):
        """Fork one from the template; its channel."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.tell(self.control, FORK, [theirs.fileno(), self.output.fileno(),
                                       self.board.fileno()])
        theirs.close()
        data, ancillary, _, _ = ours.recvmsg(64, 256)
        assert struct.unpack("=IHHQ", data)[2] == HELLO
        self.worker_pid = struct.unpack("iii", ancillary[0][2])[0]
        assert self.hear(ours)[0] == SERVING
        return ours

    def start(self):
        kind, _ = self.launch()
        assert kind == READY, self.log()
        if self.fork:
            self.worker_control = self.add_worker()
        else:
            self.worker_control = self.control
            self.worker_pid = self.process.pid
            self.tell(self.control, SERVE, [self.board.fileno()])
            assert self.hear(self.control)[0] == SERVING
        return self

    def log(self):
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode()

    def await_log(self, text):
        """The log, once it holds the text."""
        end = time.monotonic() + PATIENCE
        while text not in self.log():
            assert time.monotonic() < end, "%r not in:\n%s" % (text, self.log())
            select.select([], [], [], 0.01)
        return self.log()

    def exchange(self):
        return Exchange(self.address)

    def ask(self, path="/", body=None, flags=0, raw=None, **environ):
        """One request with its whole body; the response."""
        exchange = self.exchange()
        fields = dict(ENVIRON, PATH_INFO=path, **environ)
        if body is None:
            exchange.send(request_frame(fields, flags))
        else:
            fields.setdefault("CONTENT_LENGTH", str(len(body)))
            fields["REQUEST_METHOD"] = "POST"
            exchange.send(request_frame(fields, flags | HAS_BODY, False)
                          + frame(BODY, body) + frame(BODY_END))
        if raw:
            exchange.send(raw)
        return exchange.finish()

    def drain(self):
        """End the worker as the supervisor does; its process has gone then."""
        self.tell(self.worker_control, DRAIN)
        assert self.hear(self.worker_control)[0] == CLOSED
        assert self.hear(self.worker_control)[0] == DRAINED
        assert self.hear(self.worker_control) is None

    def stop(self):
        for channel in {self.worker_control, self.control} - {None}:
            channel.close()
        try:
            code = self.process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.listener.close()
            self.board.close()
            os.unlink(self.address)
            os.rmdir(self.directory)
        return code
