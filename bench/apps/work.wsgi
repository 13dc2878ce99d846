"""Work of other shapes, by path: what real applications do between requests."""

import json
import os
import time

CHUNK = b"x" * 65536
# The run's own data, beside the directory of the server.
BIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "big")


def plain(body):
    return [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))], [body]


def echo(environ):
    data = json.load(environ["wsgi.input"])
    return plain(json.dumps(data).encode())


def upload(environ):
    body, total = environ["wsgi.input"], 0
    while data := body.read(1 << 16):
        total += len(data)
    return plain(b"%d\n" % total)


def generate(environ):
    """100 MB."""
    return [("Content-Type", "application/octet-stream")], (CHUNK for _ in range(1600))


def download(environ):
    headers = [("Content-Type", "application/octet-stream"),
               ("Content-Length", str(os.stat(BIG).st_size))]
    return headers, environ["wsgi.file_wrapper"](open(BIG, "rb"), 65536)


def burn(environ):
    """50 ms of CPU time, in Python."""
    end = time.thread_time() + 0.050
    while time.thread_time() < end:
        sum(range(1000))
    return plain(b"burnt\n")


def sleep(seconds):
    time.sleep(seconds)
    return plain(b"slept\n")


ROUTES = {
    "/echo": echo,
    "/upload": upload,
    "/generate": generate,
    "/download": download,
    "/burn": burn,
    "/sleep1": lambda environ: sleep(0.001),
    "/sleep10": lambda environ: sleep(0.010),
    "/": lambda environ: plain(b"short\n"),
}


def application(environ, start_response):
    headers, body = ROUTES[environ["PATH_INFO"]](environ)
    start_response("200 OK", headers)
    return body
