"""Work of other shapes, by path: what real applications do between requests."""

import json
import time

CHUNK = b"x" * 65536


def echo(environ):
    data = json.load(environ["wsgi.input"])
    return [json.dumps(data).encode()]


def upload(environ):
    body, total = environ["wsgi.input"], 0
    while True:
        data = body.read(1 << 16)
        if not data:
            return [b"%d\n" % total]
        total += len(data)


def generate(environ):
    return (CHUNK for _ in range(16 * 100))


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return [b"burnt\n"]


def sleep(seconds):
    time.sleep(seconds)
    return [b"slept\n"]


ROUTES = {
    "/echo": echo,
    "/upload": upload,
    "/generate": generate,
    "/sleep1": lambda environ: sleep(0.001),
    "/sleep10": lambda environ: sleep(0.010),
    "/burn50": lambda environ: burn(0.050),
    "/short": lambda environ: [b"short\n"],
}


def application(environ, start_response):
    result = ROUTES[environ["PATH_INFO"]](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return result
