# SPDX-License-Identifier: Apache-2.0
"""Applications that others wrote, with the clients that people use them with."""

import random
import subprocess

from harness import interpreters
from harness.paths import PATIENCE

MERCURIAL = "mercurial==6.9.5"

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
