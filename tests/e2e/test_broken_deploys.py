# SPDX-License-Identifier: Apache-2.0
"""Deploys that go wrong in other ways than those of test_deploys.py: none of them is
noticed, each leaves one message that says why, and the next deploy mends it."""

import re

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import PYTHON, soak

GOOD = """\
import os
import time


def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{version} %d" % os.getpid()]
"""
GOES_ON = GOOD.format(version="broken")
# What the log says, of each a line, or a file that says it by its first line.
ENDED_BY_US = r"CGW0213.*signal 9 \(Killed\), by this supervisor: its application had closed"
BREAKAGES = {
    "does not compile": ("def application(:\n", "SyntaxError"),
    "raises what is no Exception": (
        "class Strange(BaseException):\n    def __str__(self):\n"
        "        raise SystemExit(0)\nraise Strange\n", "Strange: <.*failed>"),
    "exits as if all were well": ("raise SystemExit(None)\n", "SystemExit: None"),
    "ends its process as if all were well": (
        "import os\nos._exit(0)\n", r"CGW0213.*exited with code 0 while starting"),
    "becomes another program": (
        "import os\nos.execv('/bin/sleep', ['sleep', '100'])\n", ENDED_BY_US),
    "closes every descriptor": ("import os\nos.closerange(0, 1000)\n" + GOES_ON,
                                ENDED_BY_US),
    "has no stderr": ("import sys\nsys.stdout = sys.stderr = None\n"
                      "raise ValueError('unheard')\n", "ValueError: unheard"),
    "is no callable": ("application = 5\n", "CGW0411.*defines no callable"),
    "comes back twice": ("import os\nif os.fork():\n    os.wait()\n"
                         "raise ValueError('both')\n", "CGW0210"),
    "ends each forked process": (
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(0))\n" + GOES_ON,
        "CGW0211"),
}
MORE = {
    "is no text": ("x = '\udcff'\n" + GOES_ON, "SyntaxError"),
    "is interrupted": ("raise KeyboardInterrupt\n", "^.*: KeyboardInterrupt$"),
    "leaves a thread behind": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "raise ValueError('beside it')\n", "ValueError: beside it"),
    "finds the disk full": ("open('/dev/full', 'w').write('x' * 100000)\n",
                            r"OSError: \[Errno 28\]"),
    "has lost stderr": ("import sys\ndel sys.stdout, sys.stderr\n"
                        "raise ValueError('unheard')\n", "ValueError: unheard"),
    "hangs at its exit": ("import atexit, time\natexit.register(time.sleep, 1000)\n"
                          "raise ValueError('at last')\n", "ValueError: at last"),
    "is empty": ("", "CGW0411"),
    "has bytes of 0": ("x = 1\0\n", "ValueError|SyntaxError"),
    "calls itself": ("def f():\n    return f()\nf()\n", "RecursionError"),
    "wants all memory": ("x = 'a' * (1 << 46)\n", "MemoryError"),
    "aborts": ("import os\nos.abort()\n", "Fatal Python error: Aborted"),
    "is terminated": ("import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(9)\n",
                      "CGW0213.*signal 15"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)\n",
                     "CGW0213.*signal 9"),
    "is ended by its thread": (
        "import os, threading, time\nthreading.Timer(0.1, os._exit, (7,)).start()\n"
        "time.sleep(60)\n", "CGW0213.*exited with code 7"),
    "has no room for descriptors": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n" + GOES_ON,
        r"OSError: \[Errno 24\]"),
    "leaves no memory": (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1, 1))\n" + GOES_ON,
        "CGW0413|CGW0211|Cannot allocate memory"),
    "writes where messages go": ("import os\nos.write(3, b'x' * 300)\n" + GOES_ON,
                                 "CGW0210.*malformed"),
    "crashes each forked process": (
        "import ctypes, os\nos.register_at_fork(after_in_child=lambda: ctypes.string_at(0))\n"
        + GOES_ON, "CGW0211"),
    "ends its template": ("import os\nos.register_at_fork(before=lambda: os._exit(0))\n"
                          + GOES_ON, "CGW0211"),
    "causes itself": ("a, b = ValueError('a'), ValueError('b')\na.__cause__ = b\n"
                      "b.__cause__ = a\nraise a\n", "ValueError: a"),
    "prints 10 MB": ("import sys\nsys.stderr.write('x' * (10 << 20))\n"
                     "raise ValueError('much')\n", "ValueError: much"),
}
HANGS = {
    "hangs, with signals blocked": (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK,\n"
        "                       signal.valid_signals())\ntime.sleep(1000)\n", "CGW0220"),
    "hangs in C": ("import ctypes\nwhile True:\n    ctypes.PyDLL(None).sleep(1000)\n", "CGW0220"),
    "stops itself": ("import os\nos.kill(os.getpid(), 19)\n", "CGW0220"),
    "prints for ever": ("import time\nwhile True:\n    print('on and on', flush=True)\n"
                        "    time.sleep(0.01)\n", "CGW0220"),
    "hangs in each forked process": (
        "import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(1000))\n"
        + GOES_ON, "CGW0276"),
}


@pytest.fixture
def site(httpd):
    """A function that starts version 1, and returns cgatewayctl."""
    def start(*lines):
        httpd.expect_log("CGW02[123]", "CGW0276", "CGW04", r"\] a\.example: ")
        put(httpd, GOOD.format(version=1))
        httpd.wsgi(httpd.root / "apps/version.wsgi", "CGatewayWatch Off", *lines)
        httpd.start()
        ctl = Ctl(httpd)
        until(lambda: ctl.group("a.example")["state"] == "serving", "all workers")
        return ctl
    return start


def put(httpd, source):
    """As it is: what is no text, too."""
    new = httpd.root / "apps/version.new"
    new.write_bytes(source.encode("utf-8", "surrogateescape"))
    new.chmod(0o644)
    return new.rename(httpd.root / "apps/version.wsgi")


def load(httpd):
    return (OpenLoop(httpd.port, [("a.example", "/")], 50),
            OpenLoop(httpd.port, [("a.example", "/?0.1")], 20, method="POST", body=b"x"))


def fails(httpd, ctl, name, words):
    """One reload that does, and says so once."""
    seen = len(httpd.log())
    run = ctl("reload", "a.example")
    log = httpd.log()[seen:]
    assert run.returncode == 1 and "could not be started" in run.stderr, name
    assert re.search(words, log, re.M), f"{name}: no {words!r} in\n{log[-4000:]}"
    assert (log.count("CGW0221"), log.count("CGW0230")) == (1, 1), f"{name}\n{log[-4000:]}"
    assert "neither by this supervisor" not in log or "kills itself" == name, log
    group = ctl.group("a.example")
    assert (group["state"], group["generation"]) == ("serving", 1), name
    assert group["last_failure"]["generation"] > 1, name


def is_not_noticed(httpd, ctl, breakages):
    workers = set(httpd.workers("a.example"))
    with load(httpd)[0] as gets, load(httpd)[1] as posts:
        for name, (source, words) in breakages.items():
            put(httpd, source)
            fails(httpd, ctl, name, words)
        assert set(httpd.workers("a.example")) == workers
        served = {o.body.split()[0] for o in gets.outcomes}
        put(httpd, GOOD.format(version=2))
        assert ctl("reload", "a.example").returncode == 0
        assert httpd.get().text.startswith("2 ")
    assert served == {b"1"}
    assert gets.failures() == posts.failures() == []


def test_an_import_that_goes_wrong_is_not_noticed(httpd, site):
    is_not_noticed(httpd, site(), {**BREAKAGES, **soak(MORE, {})})


def test_an_import_that_does_not_end_is_not_noticed(httpd, site):
    ctl = site(f"CGatewayStartTimeout {soak(4, 2)}s")
    names = soak(list(HANGS), ["hangs, with signals blocked"])
    is_not_noticed(httpd, ctl, {name: HANGS[name] for name in names})


FILES = {"cannot be read": lambda path: path.chmod(0),
         "is a directory": lambda path: (path.unlink(), path.mkdir()),
         "is gone": lambda path: path.unlink(),
         "leads to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
         "leads nowhere": lambda path: (path.unlink(), path.symlink_to("nothing")),
         "cannot be reached": lambda path: path.parent.chmod(0o700)}


def test_an_application_whose_file_goes_wrong_is_not_noticed(httpd, site, as_root):
    """Root's supervisor could read all of them; the group's user cannot."""
    ctl = site()
    path = httpd.root / "apps/version.wsgi"
    with load(httpd)[0] as gets, load(httpd)[1] as posts:
        for what, go_wrong in FILES.items():
            go_wrong(path)
            fails(httpd, ctl, what, "CGW0411")
            path.parent.chmod(0o755)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            put(httpd, GOOD.format(version=1))
        assert ctl("reload", "a.example").returncode == 0
        until(lambda: len(httpd.group_processes("a.example")) == 3, "the old ones to end")
    assert gets.failures() == posts.failures() == []


# ---- a deploy that goes wrong for some of its workers -------------------------------

ONE_ALONE = """\
import fcntl
import os
import time

lock = open("{marks}/lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    while not os.path.exists("{marks}/runs"):
        time.sleep(0.01)
    raise


def application(environ, start_response):
    open("{marks}/runs", "w").close()
    time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"broken"]
"""


def test_what_some_workers_of_a_broken_deploy_serve_already_they_finish(
        httpd, site, marks):
    """The first one of the new generation gets what there is but one of, and serves; while
    it has a request the other one fails, and so the generation does."""
    ctl = site("CGatewayPreload off", "CGatewayProcesses 2", "CGatewayThreads 8")
    with OpenLoop(httpd.port, [("a.example", "/?0.5")], 20, method="POST",
                  body=b"x") as posts:
        until(lambda: len(posts.outcomes) > 5, "the load before")
        put(httpd, ONE_ALONE.format(marks=marks))
        assert ctl("reload", "a.example").returncode == 1
        httpd.wait_log("CGW0230")
        until(lambda: len(httpd.group_processes("a.example")) == 2, "the new ones to end")
        seen = len(posts.outcomes)
        until(lambda: len(posts.outcomes) > seen + 20, "the load behind")
    assert posts.failures() == []
    assert "a.example/2: ready -> failed" in httpd.log()
    assert {o.body.split()[0] for o in posts.outcomes} == {b"1", b"broken"}


# ---- graceful while something of one site is missing ----------------------------------

def own_files(httpd):
    """All that a site's owner may take away, in one directory: the directives."""
    httpd.mkdir("site/venv/bin")
    httpd.mkdir("site/lib")
    httpd.mkdir("site/work")
    (httpd.root / "site/venv/bin/python3").symlink_to(PYTHON)
    httpd.write("site/own.wsgi", GOOD.format(version=1))
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.root}/site/own.wsgi"',
                f'CGatewayPython "{httpd.root}/site/venv"',
                f'CGatewayPath "{httpd.root}/site/lib"',
                f'CGatewayWorkingDirectory "{httpd.root}/site/work"',
                f'CGatewayWatch "{httpd.root}/site/lib/reload"')


MISSING = {"own.wsgi": "CGW0046", "venv/bin/python3": "CGW0043", "venv": "CGW0040",
           "lib": "CGW0181", "work": "CGW0044", ".": "CGW0046"}


@pytest.mark.parametrize("how", ["graceful", "restart"])
def test_what_one_site_has_lost_ends_neither_httpd_nor_another_site(httpd, how):
    """configtest refuses it, and so does a start. But httpd runs, and a rotation of logs
    may be all that its signal was sent for."""
    httpd.expect_log("CGW02[123]", "CGW00", "CGW0181", "CGW0411", r"\] a\.example: ",
                     "CGW0121")
    own_files(httpd)
    httpd.wsgi(httpd.app("other.wsgi", GOOD.format(version="other")), name="b.example")
    httpd.start()
    names = soak(list(MISSING), ["venv", "."] if how == "graceful" else ["."])
    for name in names:
        assert httpd.get().text.startswith("1 ")
        (httpd.root / "site" / name).rename(httpd.root / "kept")
        seen = len(httpd.log())
        assert httpd.configtest().returncode != 0
        getattr(httpd, how)()
        assert httpd.process.poll() is None, "httpd ended"
        httpd.wait_log(MISSING[name], "main")
        assert httpd.get(host="b.example").text.startswith("other ")
        if how == "graceful" and name != "lib":
            until(lambda n=seen: "CGW0230" in httpd.log()[n:], "its new generation")
            assert httpd.get().text.startswith("1 "), "the old one serves"
        (httpd.root / "kept").rename(httpd.root / "site" / name)
        assert httpd.configtest().returncode == 0
        httpd.graceful()
        until(lambda: httpd.get().status == 200, "the repaired site")
        until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "all of it")
