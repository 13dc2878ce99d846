# SPDX-License-Identifier: Apache-2.0
"""Applications that others wrote, with the clients that people use them with."""

import hashlib
import json
import random
import subprocess

from harness import interpreters
from harness.paths import PATIENCE

MERCURIAL = "mercurial==6.9.5"
FLASK = "flask==3.0.3"

HGWEB = """\
from mercurial.hgweb import hgweb
application = hgweb({repository!r})
"""
HGRC = """\
[web]
allow-push = *
push_ssl = false
"""


class Hg:
    """The hg of a virtual environment, without this machine's configuration."""

    def __init__(self, environment):
        # Not by its first line, which names where the environment was made.
        self.program = [environment / "bin" / "python3", environment / "bin" / "hg"]

    def __call__(self, *arguments, **options):
        run = subprocess.run(
            [*self.program, "--noninteractive", *arguments], capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, cwd="/",
            env={"PATH": "/usr/bin:/bin", "HGRCPATH": "", "HGPLAIN": "1",
                 "HGUSER": "tester"}, **options)
        assert run.returncode == 0, f"hg {arguments}: {run.stdout}{run.stderr}"
        return run.stdout


def serve_repository(httpd, hg, environment):
    """An empty repository of httpd's user, who runs hgweb; returns its URL."""
    repository = httpd.mkdir("repository", owner=interpreters.HTTPD_USER)
    hg("init", repository, **interpreters.switch_user())
    hgrc = httpd.write("apps/hgrc", HGRC)
    app = httpd.app("hgweb.wsgi", HGWEB.format(repository=str(repository).encode()))
    httpd.vhost("a.example", f'CGatewayApplication "{app}"',
                f'CGatewayPython "{environment}"', f'CGatewayEnv HGRCPATH "{hgrc}"')
    httpd.start()
    return f"http://127.0.0.1:{httpd.port}/"


def test_mercurial_clones_and_pushes_through_hgweb(httpd):
    environment = interpreters.venv_for(httpd, MERCURIAL)
    hg = Hg(environment)
    url = serve_repository(httpd, hg, environment)
    first, second = httpd.root / "first", httpd.root / "second"
    content = random.Random(1).randbytes(500_000)
    hg("clone", url, first)
    (first / "data.bin").write_bytes(content)
    hg("-R", first, "commit", "--addremove", "-m", "a changeset to push")
    hg("-R", first, "push")
    hg("clone", url, second)
    assert (second / "data.bin").read_bytes() == content
    pushed, arrived = (hg("-R", clone, "log", "-r", "tip", "-T", "{node} {desc}")
                       for clone in (first, second))
    assert arrived == pushed
    assert "a changeset to push" in httpd.get("/rev/tip").text
    hg("-R", second, "verify")


FLASK_APP = """\
import hashlib
from flask import Flask, request
application = Flask(__name__)


def digest(chunks):
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


@application.put("/stream")
def stream():
    return digest(iter(lambda: request.stream.read(8192), b""))


@application.put("/data")
def data():
    return digest([request.get_data()])


@application.post("/form")
def form():
    file = request.files["file"]
    return {"title": request.form["title"], "name": file.filename,
            "type": file.mimetype, "digest": digest(file.stream)}
"""


def serve_flask(httpd):
    environment = interpreters.venv_for(httpd, FLASK)
    httpd.vhost("a.example",
                f'CGatewayApplication "{httpd.app("upload.wsgi", FLASK_APP)}"',
                f'CGatewayPython "{environment}"')
    httpd.start()


def a_file(httpd, size=700_001):
    """A file to send, and its digest."""
    content = random.Random(size).randbytes(size)
    path = httpd.root / "upload.bin"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def test_flask_reads_a_chunked_upload_of_curl(httpd):
    serve_flask(httpd)
    path, digest = a_file(httpd)
    for way in ("/stream", "/data"):
        run = httpd.curl(way, "--fail", "--verbose", "--upload-file", path,
                         "--header", "Transfer-Encoding: chunked")
        assert (run.returncode, run.stdout.decode()) == (0, digest), (way, run.stderr)
        sent = run.stderr.lower()
        assert b"> transfer-encoding: chunked" in sent and b"> content-length" not in sent


def test_flask_reads_a_multipart_upload_of_curl(httpd):
    serve_flask(httpd)
    path, digest = a_file(httpd)
    run = httpd.curl("/form", "--fail", "--form", "title=Grüße",
                     "--form", f"file=@{path};type=application/x-test")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"title": "Grüße", "name": "upload.bin",
                                      "type": "application/x-test", "digest": digest}
