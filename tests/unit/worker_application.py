# SPDX-License-Identifier: Apache-2.0
"""An application with a path for each thing that PEP 3333 says."""

import gc
import io
import json
import os
import sys
import tempfile
import threading
import time
import wsgiref.validate

import cgateway

EVENTS = []
KEPT = {}
PLAIN = [("Content-Type", "text/plain")]


class Closing:
    """An iterable that counts its close()."""

    def __init__(self, parts, error=None, sized=False):
        self.parts, self.error = iter(parts), error
        self.size = len(parts)
        if sized:
            self.__class__ = SizedClosing

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        EVENTS.append("close")
        if self.error:
            raise self.error


class SizedClosing(Closing):
    def __len__(self):
        return self.size


def ok(start, headers=(), status="200 OK"):
    return start(status, PLAIN + list(headers))


def environ(env, start):
    ok(start)
    shown = {k: v if isinstance(v, (str, bool, tuple)) else type(v).__name__
             for k, v in env.items()}
    return [json.dumps(shown).encode()]


def process(env, start):
    ok(start)
    return [json.dumps({
        "argv": sys.argv, "pid": os.getpid(), "ppid": os.getppid(),
        "path": sys.path, "thread": threading.current_thread().name,
        "group": cgateway.group, "gone": cgateway.client_disconnected(env),
        "sid": os.getsid(0), "comm": open("/proc/self/comm").read().strip(),
        "fds": sorted(int(n) for n in os.listdir("/proc/self/fd"))}).encode()]


def events(env, start):
    ok(start)
    seen, EVENTS[:] = list(EVENTS), []
    return [json.dumps(seen).encode()]


def blocks(env, start):
    ok(start)
    gc.collect()
    return [b"%d" % sys.getallocatedblocks()]


def echo(env, start):
    ok(start)
    size = env["QUERY_STRING"]
    body = env["wsgi.input"].read(int(size)) if size else \
        env["wsgi.input"].read()
    return [body]


def reads(env, start):
    stream = env["wsgi.input"]
    got = [stream.read(0), stream.read(3), stream.readline(), stream.readline(2),
           stream.readline(None), stream.readlines(1), next(stream),
           stream.readlines(), stream.read(), stream.read(5),
           stream.readline(), list(stream)]
    ok(start)
    return [repr(got).encode()]


def slow_read(env, start):
    total = 0
    for piece in iter(lambda: env["wsgi.input"].read(100000), b""):
        total += len(piece)
    ok(start)
    return [b"%d" % total]


def lines(env, start):
    ok(start)
    return [b"%d" % sum(len(line) for line in env["wsgi.input"])]


def read_broken(env, start):
    print("started", file=env["wsgi.errors"])
    try:
        env["wsgi.input"].read()
    except cgateway.ClientDisconnected as error:
        EVENTS.append("broken %s" % isinstance(error, OSError))
        raise


def errors(env, start):
    log = env["wsgi.errors"]
    log.write("one\ntwo")
    log.flush()
    log.writelines([" and\n", "gr\u00fc\u00df \udc80\n", "rest"])
    ok(start)
    KEPT["errors"] = log
    return [b"ok"]


def errors_type(env, start):
    env["wsgi.errors"].write(b"bytes")


def late(env, start):
    KEPT["errors"].write("a late line\n")
    try:
        KEPT["input"].read()
    except ValueError as error:
        ok(start)
        return [str(error).encode()]


def keep_input(env, start):
    KEPT["input"], KEPT["write"] = env["wsgi.input"], ok(start)
    return []


def late_write(env, start):
    ok(start)
    try:
        KEPT["write"](b"x")
    except ValueError as error:
        return [str(error).encode()]


def write(env, start):
    send = ok(start)
    send(b"")
    send(b"one ")
    send(b"two ")
    return [b"three"]


def generator(env, start):
    ok(start)
    yield b""
    yield b"a"
    yield b"b"
    EVENTS.append("after the last yield")


def lazy(env, start):
    yield b""
    ok(start)
    yield b"lazy"


def empty(env, start):
    ok(start)
    return []


def no_start(env, start):
    return [b"x"]


def twice(env, start):
    ok(start)
    ok(start)


def replace(env, start):
    ok(start, [("X-Old", "1")])
    try:
        raise KeyError("replaced")
    except KeyError:
        start("500 Oops", PLAIN, sys.exc_info())
    return [b"oops"]


def too_late(env, start):
    ok(start)(b"part")
    try:
        raise KeyError("too late")
    except KeyError:
        start("500 Oops", PLAIN, exc_info=sys.exc_info())


def status(env, start):
    start(env["QUERY_STRING"].replace("+", " "), PLAIN)
    return [b"body"]


def bad(env, start):
    call = {
        "status_type": lambda: start(b"200 OK", []),
        "status_wide": lambda: start("200 \u0416", []),
        "status_1xx": lambda: start("100 Continue", []),
        "status_short": lambda: start("20", []),
        "status_crlf": lambda: start("200 OK\r\nX: y", []),
        "headers_tuple": lambda: start("200 OK", ()),
        "header_list": lambda: start("200 OK", [["A", "b"]]),
        "header_three": lambda: start("200 OK", [("A", "b", "c")]),
        "name_type": lambda: start("200 OK", [(b"A", "b")]),
        "name_space": lambda: start("200 OK", [("A b", "c")]),
        "name_empty": lambda: start("200 OK", [("", "c")]),
        "value_type": lambda: start("200 OK", [("A", 1)]),
        "value_crlf": lambda: start("200 OK", [("A", "b\r\nSet-Cookie: x")]),
        "value_nul": lambda: start("200 OK", [("A", "b\0")]),
        "value_wide": lambda: start("200 OK", [("A", "\u0416")]),
        "hop": lambda: start("200 OK", [("Transfer-Encoding", "chunked")]),
        "length": lambda: start("200 OK", [("Content-Length", "-1")]),
        "lengths": lambda: start("200 OK", [("Content-Length", "1"),
                                            ("content-length", "2")]),
        "exc_info": lambda: start("200 OK", [], "x"),
    }[env["QUERY_STRING"]]
    call()
    return [b"accepted"]


def length(env, start):
    ok(start, [("Content-Length", env["QUERY_STRING"])])
    return Closing([b"01234", b"56789"])


def result(env, start):
    ok(start)
    return {"none": None, "str": "text", "bytes": b"text", "int": [1],
            "late_int": iter([b"part", 1])}[env["QUERY_STRING"]]


def single(env, start):
    ok(start)
    return Closing([b"just one"], sized=True)


def close_error(env, start):
    ok(start)
    return Closing([b"x"], ValueError("in close"))


def crash(env, start):
    raise RuntimeError("deliberate gr\u00fc\u00df")


def crash_late(env, start):
    ok(start)

    def parts():
        yield b"part"
        raise RuntimeError("deliberate")
    return parts()


def exits(env, start):
    sys.exit(3)


def big(env, start):
    ok(start)
    return [b"x" * (5 << 20), b"y" * 100, b"z" * 20000]


def stream(env, start):
    ok(start)

    def parts():
        try:
            while True:
                yield b"x" * 65536
        finally:
            EVENTS.append("stopped")
    return parts()


def file(env, start):
    kind = env["QUERY_STRING"]
    if kind == "plain":
        f = tempfile.TemporaryFile()
    elif kind == "memory":
        f = io.BytesIO()
    else:
        f = tempfile.NamedTemporaryFile()
    f.write(b"0123456789" * 1000)
    f.seek(10)
    ok(start, [("Content-Length", "20")] if kind == "short" else [])
    return env["wsgi.file_wrapper"](f, 4096)


def gone(env, start):
    print("started", file=env["wsgi.errors"])
    ask = env["cgateway.client_disconnected"]
    while not ask():
        os.sched_yield()
    EVENTS.append("noticed")
    ok(start)
    return [b"nobody reads this"]


def hold(env, start):
    print("started", file=env["wsgi.errors"])
    body = env["wsgi.input"].read()
    ok(start)
    return [body]


def mark(env, start):
    EVENTS.append("mark")
    return empty(env, start)


def forked(env, start):
    ok(start)
    pid = os.fork()
    if pid == 0:
        open_now = os.listdir("/proc/self/fd")
        sockets = [n for n in open_now
                   if os.path.exists("/proc/self/fd/" + n)
                   and "socket:" in os.readlink("/proc/self/fd/" + n)]
        os._exit(len(sockets))
    return [b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


def hang(env, start):
    """Until it is told that nobody waits."""
    while not env["cgateway.client_disconnected"]():
        time.sleep(0.01)
    ok(start)
    return []


def fork_and_return(env, start):
    ok(start)
    pid = os.fork()
    if pid == 0:
        return [b"child"]
    os.waitpid(pid, 0)
    return [b"parent"]


@wsgiref.validate.validator
def valid(env, start):
    stream = env["wsgi.input"]
    got = [stream.read(1), stream.readline(), stream.readlines(1),
           b"".join(stream)]
    env["wsgi.errors"].write("checked\n")
    env["wsgi.errors"].writelines(["checked\n"])
    env["wsgi.errors"].flush()
    start("200 OK", PLAIN)(b"written ")
    return [b"".join(map(lambda g: g if isinstance(g, bytes) else b"".join(g),
                         got))]


def application(env, start):
    return globals()[env["PATH_INFO"].strip("/") or "environ"](env, start)
