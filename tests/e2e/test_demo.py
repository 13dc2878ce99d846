# SPDX-License-Identifier: Apache-2.0
"""`make -f Makefile.apxs demo` in a fresh copy of the project."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import private_httpd
import pytest

from harness.httpd import until
from harness.paths import AS_ROOT, BUILD, PATIENCE, PRELOAD, ROOT

pytestmark = pytest.mark.skipif(bool(PRELOAD), reason="the demo serves a plain build")
SOURCES = ["Makefile.apxs", "mod_cgateway.c", "module", "daemon", "worker", "common",
           "include", "tools", "examples"]
TOLD = re.compile(r"^  (\w+)\.localhost: DJANGO_SETTINGS_MODULE=(\S+) pid=(\d+) "
                  r"user=(\S+)", re.M)


@pytest.fixture
def clone(request):
    """The project in a folder with a space in its name, owned by the user that the
    test is about, built already: the build is not what is tested here."""
    user = request.param
    top = tempfile.mkdtemp(prefix="cgwdemo")
    os.chmod(top, 0o711)
    path = os.path.join(top, "my clone")
    os.mkdir(path)
    for name in SOURCES:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, os.path.join(path, name))
    shutil.copytree(BUILD, os.path.join(path, "build"), ignore=shutil.ignore_patterns(
        "venvs", "unit", "fuzz", "asan", "worker-check"))
    if user:
        subprocess.run(["chown", "-R", f"{user}:", top], check=True)
    # What root has there is closed to others, as /root is.
    os.chmod(path, 0o700)
    yield path, user
    shutil.rmtree(top)


class Demo:
    def __init__(self, path, user):
        account = pwd.getpwnam(user) if user else None
        switch = dict(user=account.pw_uid, group=account.pw_gid,
                      extra_groups=[]) if account else {}
        self.path = os.path.join(path, "output")
        self.output = open(self.path, "a", encoding="utf-8")
        self.process = subprocess.Popen(
            ["make", "-s", "-f", "Makefile.apxs", "demo"], cwd=path,
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": path}, start_new_session=True,
            **switch)

    def text(self):
        """Not by self.output: its offset is where the programs write next."""
        with open(self.path, encoding="utf-8") as output:
            return output.read()

    def wait_for(self, text):
        until(lambda: text in self.text() or self.process.poll() is not None, text,
              3 * PATIENCE)
        assert text in self.text(), self.text()

    def end(self, number):
        os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE)
        self.output.close()


def users():
    """Root, and an ordinary user; or whoever runs the tests."""
    return [None, "nobody"] if AS_ROOT else [None]


@pytest.mark.parametrize("clone", users(), indirect=True,
                         ids=lambda user: user or "invoking-user")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM],
                         ids=["ctrl-c", "sigterm"])
def test_the_demo_serves_two_sites_and_leaves_nothing(clone, number):
    path, user = clone
    demo = Demo(path, user)
    try:
        demo.wait_for("Ctrl-C ends it")
        output = demo.text()
        told = {site: rest for site, *rest in TOLD.findall(output)}
        root = re.search(r"Configuration and logs: (\S+)", output)[1]
        port = re.search(r"http://shop\.localhost:(\d+)/", output)[1]
        page = fetch(port, "shop.localhost", "/")
        css = fetch(port, "blog.localhost", "/static/admin/css/base.css")
        running = private_httpd.processes(root)
    finally:
        demo.end(number)
    left = private_httpd.processes(root)
    private_httpd.end_processes(left)
    assert told["shop"][0] == "shop.settings" and told["blog"][0] == "blog.settings"
    assert told["shop"][1] != told["blog"][1], "a process for each"
    if AS_ROOT and not user:
        assert told["shop"][2] != told["blog"][2], "a user for each"
    else:
        assert told["shop"][2] == told["blog"][2] == (user or told["shop"][2])
    assert "Teapot" in page and "{" in css
    assert running and not left and not os.path.exists(root)


def fetch(port, host, path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     headers={"Host": f"{host}:{port}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return response.read().decode()
