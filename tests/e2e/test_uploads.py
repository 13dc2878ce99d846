# SPDX-License-Identifier: Apache-2.0
"""Large bodies arrive as they were sent, however they come and however they are read."""

import hashlib
import random

import pytest

from harness import tls

APP = '''
import hashlib


def pieces(body, how):
    if how == "all":
        yield body.read()
    elif how == "lines":
        yield from body
    elif how == "mixed":
        yield body.readline()
        while piece := body.read(100):
            yield piece
            yield body.read(70000)
            yield body.readline(5000)
    else:
        while piece := body.read(int(how)):
            yield piece


def application(environ, start_response):
    digest = hashlib.sha256()
    for piece in pieces(environ["wsgi.input"], environ["PATH_INFO"][1:]):
        digest.update(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [digest.hexdigest().encode()]
'''
READS = ["all", "lines", "mixed", "65536", "1000", "300000"]


@pytest.fixture(name="body", scope="module")
def random_body():
    return random.Random(1).randbytes(3_000_000)


def chunks(body, size):
    return (body[start:start + size] for start in range(0, len(body), size))


@pytest.mark.parametrize("buffer", ["0", "64K 1M", "64K 16M"])
@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_a_large_body_arrives_unchanged(httpd, body, transport, buffer):
    port, context = httpd.listen(), None
    lines = [f'CGatewayApplication "{httpd.app("digest.wsgi", APP)}"',
             f"CGatewayBodyBuffer {buffer}"]
    if transport == "tls":
        lines += tls.server_certificate(httpd)
    httpd.vhost("a.example", *lines, port=port)
    httpd.start()
    if transport == "tls":
        context = tls.trust(httpd)
    want = hashlib.sha256(body).hexdigest()
    for how in READS:
        for sent in (body, chunks(body, 64_000), chunks(body, 999)):
            answer = httpd.request(f"/{how}", "POST", sent, port=port, tls=context)
            assert answer.text == want, how
