# SPDX-License-Identifier: Apache-2.0
"""Files that a site's user owns, or may exchange: they keep no other site from starting,
and lead root to no other file."""

import os
import re
import shutil
import subprocess

import pytest

from harness.hostile import run
from harness.httpd import until
from harness.paths import AS_ROOT, PATIENCE, PYTHON

A, B = "a.example", "b.example"
SAYS = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""
# What a site's user takes away: the message, and who answers then.
LOST = {"own.wsgi": "CGW0046", "venv": "CGW0040", "venv/bin/python3": "CGW0043",
        "work": "CGW0044", "env": "CGW0050", "allowed": "CGW0075"}
KEEPS_ON = {"lib": "CGW0044", "watched": "CGW0181", "logs": "CGW0196"}


def site(httpd, name):
    """A virtual host, everything of which is in one directory."""
    at = httpd.mkdir(name)
    for directory in ("venv/bin", "lib", "work", "allowed", "watched", "logs"):
        httpd.mkdir(f"{name}/{directory}")
    (at / "venv/bin/python3").symlink_to(PYTHON)
    httpd.write(f"{name}/own.wsgi", SAYS)
    httpd.write(f"{name}/env", "A=1\n")
    httpd.vhost(name, f'CGatewayApplication "{at}/own.wsgi"', f'CGatewayPython "{at}/venv"',
                f'CGatewayWorkingDirectory "{at}/work"', f'CGatewayPath "{at}/lib" "{at}"',
                f'CGatewayEnvFile "{at}/env"', f'CGatewayWatch "{at}/watched/x"', "CGatewayWatch On",
                f'CGatewayAllowRead "{at}"', f'CGatewayAllowRead "{at}/allowed"',
                "CGatewayAllowRead /", f'CGatewayErrorLog "{at}/logs/log"',
                "CGatewayProcesses 1")
    return at


def name_of(what):
    return what.replace("/", "-").replace(".", "-") + ".example"


def command(httpd, *words):
    return subprocess.run(**httpd.command(*words), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)


@pytest.fixture(name="robbed")
def sites_without_something(httpd):
    """A site for each thing that may be missing, and B, which has all."""
    httpd.expect_log("CGW0", "CGW02[0-9][0-9]", "CGW0411", r"-example: |example\] ")
    httpd.vhost(B, f'CGatewayApplication "{httpd.write("b.wsgi", SAYS)}"')
    for what in {**LOST, **KEEPS_ON}:
        at = site(httpd, name_of(what))
        (at / what).rename(at / "gone")
    return httpd


def test_httpd_starts_for_the_others_whatever_a_site_has_lost(robbed):
    """And each site comes back by itself when it has its file again."""
    refusal = robbed.configtest()
    assert refusal.returncode != 0
    robbed.start()
    assert robbed.get(host=B).text == "here"
    for what, message in {**LOST, **KEEPS_ON}.items():
        at = re.escape(name_of(what))
        for text in (refusal.stdout, (robbed.root / "logs/start.txt").read_text(),
                     robbed.log("main")):
            assert re.search(rf"{message}.*{at}", text), (what, text)
    for what in KEEPS_ON:
        until(lambda h=name_of(what): robbed.get(host=h).text == "here", what)
    for what in LOST:
        until(lambda h=name_of(what): robbed.get(host=h).status == 503, what)
        assert robbed.get(host=name_of(what)).headers["Retry-After"]
    for what in LOST:
        at = robbed.root / name_of(what)
        (at / "gone").rename(at / what)
    for what in LOST:
        until(lambda h=name_of(what): robbed.get(host=h).text == "here", f"{what} again")
    assert robbed.log(B).count("ready -> serving") == 1, "the others were left alone"


def test_who_asks_by_httpd_k_is_told_in_time(robbed):
    """"httpd -k graceful" is what some distributions reload by, without a test before.
    -k start goes on, and -k stop never depends on what a site has."""
    robbed.write_config()
    try:
        started = command(robbed, "-k", "start")
        assert started.returncode == 0 and "CGW0046" in started.stdout
        until(robbed.has_started_apart, "httpd to listen")
        until(lambda: robbed.get(host=B).text == "here", "the other site")
        seen = robbed.log("main")
        for how in ("graceful", "restart"):
            refused = command(robbed, "-k", how)
            assert refused.returncode != 0 and "CGW0046" in refused.stdout
        assert command(robbed, "-S").returncode == 0
        assert robbed.log("main") == seen
        assert robbed.get(host=B).text == "here"
    finally:
        stopped = command(robbed, "-k", "stop")
    assert stopped.returncode == 0
    until(lambda: not robbed.processes(), "its end")


@pytest.mark.parametrize("line, message", [
    ("CGatewayUser no-such-user", "CGW0030"), ("CGatewayThreads many", "CGW0001")])
def test_what_is_no_file_of_a_site_keeps_httpd_from_starting(httpd, as_root, line, message):
    httpd.wsgi("hostile.wsgi", line)
    httpd.write_config()
    result = command(httpd, "-D", "FOREGROUND")
    assert result.returncode != 0 and message in result.stdout


def test_variables_that_become_unreadable_leave_the_old_generation(httpd):
    httpd.expect_log("CGW0050", "CGW0221", "CGW0230")
    env = httpd.write("env", "A=1\n")
    httpd.wsgi("hostile.wsgi", f'CGatewayEnvFile "{env}"')
    httpd.wsgi("hostile.wsgi", name=B)
    httpd.start()
    get = "import os\nresult = os.environ.get('A')"
    assert run(httpd, get) == "1"
    env.unlink()
    httpd.graceful()
    httpd.wait_log("CGW0230")
    assert run(httpd, get) == "1", "not without its variables"
    until(lambda: "1: draining -> gone" in httpd.log(B), "the other's own reload")
    generations = httpd.log(B).count("ready -> serving")
    httpd.write("env", "A=2\n")
    until(lambda: run(httpd, get) == "2", "the new variables")
    assert httpd.log(B).count("ready -> serving") == generations


# ---- where root is led ---------------------------------------------------------------------

needs_root = pytest.mark.skipif(not AS_ROOT, reason="else httpd is the site's user itself")


@pytest.fixture(name="own")
def directory_of_games(httpd):
    """One that the user of the site may change."""
    return httpd.mkdir("own", owner="games")


@pytest.fixture(name="secret")
def file_of_another_site(httpd):
    at = httpd.mkdir("other", owner="root")
    at.chmod(0o711)
    return httpd.write("other/secret", "SECRET=of-b\n", 0o600)


def lead_to(own, how, target):
    """What a directive names: it leads to the target, as far as its owner can have it so."""
    if how == "link":
        (own / "x").symlink_to(target)
    elif how == "hard link":
        (own / "x").hardlink_to(target)
    elif how == "directory":
        (own / "d").symlink_to(target.parent)
        return own / "d" / target.name
    elif how == "/proc":
        (own / "x").symlink_to("/proc/self/environ")
    elif how == "descriptor":
        (own / "x").symlink_to("/proc/self/fd/2")
    elif how == "fifo":
        os.mkfifo(own / "x")
        shutil.chown(own / "x", "games")
    elif how == "device":
        (own / "x").symlink_to("/dev/tty")
    return own / "x"


HOSTILE = ["link", "hard link", "directory", "/proc", "descriptor", "fifo", "device"]


@needs_root
@pytest.mark.parametrize("how", HOSTILE)
def test_root_reads_no_variables_where_the_user_leads_it(httpd, own, secret, how):
    httpd.expect_log("CGW0050", "CGW0221", "CGW023[01]", "CGW0121")
    path = own / "x"
    env = httpd.write("own/x", "A=1\n")
    httpd.wsgi("hostile.wsgi", "CGatewayUser games", f'CGatewayEnvFile "{path}"')
    httpd.start()
    get = "import os\nresult = [os.environ.get(n) for n in ('A', 'SECRET', 'HTTPD_SECRET')]"
    assert run(httpd, get) == ["1", None, None]
    env.unlink()
    led = lead_to(own, how, secret)
    httpd.wsgi("hostile.wsgi", "CGatewayUser games", f'CGatewayEnvFile "{led}"')
    refusal = httpd.configtest()
    assert refusal.returncode != 0 and "CGW0050" in refusal.stdout
    assert f"Not root alone may change what is in {own}" in refusal.stdout
    httpd.graceful()
    httpd.wait_log("CGW0230")
    assert run(httpd, get) == ["1", None, None]
    httpd.stop()
    httpd.start()
    httpd.wait_log("CGW0231")
    assert httpd.get().status == 503


@needs_root
def test_variables_are_read_where_an_administrator_may_keep_them(httpd, own):
    """Secrets of root's in a directory of root's, behind links of root's; and those that
    the user may read, also behind links of the user's: deploys are made so."""
    httpd.mkdir("roots/really")
    httpd.write("roots/really/env", "ROOTS=1\n", 0o600)
    (httpd.root / "roots/link").symlink_to("really/env")
    (httpd.root / "roots/again").symlink_to(httpd.root / "roots/link")
    httpd.mkdir("own/releases/7", owner="games")
    shutil.chown(httpd.write("own/releases/7/env", "OWN=1\n", 0o600), "games")
    (own / "current").symlink_to("releases/7")
    (httpd.root / "roots/site").symlink_to(own)
    shutil.chown(httpd.write("own/shared", "SHARED=1\n", 0o640), "root", "games")
    httpd.wsgi("hostile.wsgi", "CGatewayUser games",
               *(f'CGatewayEnvFile "{httpd.root}/{name}"' for name in
                 ("roots/again", "roots/site/current/env", "own/shared")))
    result = httpd.configtest()
    assert result.returncode == 0, result.stdout
    httpd.start()
    assert run(httpd, "import os\nresult = [os.environ.get(n) for n in "
                      "('ROOTS', 'OWN', 'SHARED')]") == ["1", "1", "1"]


@needs_root
@pytest.mark.parametrize("how", [*HOSTILE, "nothing"])
def test_root_writes_no_log_where_the_user_leads_it(httpd, own, secret, how):
    """Of what is there, and of what would be made (nothing)."""
    httpd.expect_log("CGW0194", r"a\.example: printed")
    target = secret if how != "nothing" else secret.parent / "made"
    path = lead_to(own, "link" if how == "nothing" else how, target)
    lines = ["CGatewayUser games", f'CGatewayErrorLog "{path}"']
    httpd.wsgi("hostile.wsgi", *lines)
    result = httpd.configtest()
    if how != "nothing":
        assert result.returncode != 0 and "CGW0198" in result.stdout, result.stdout
    httpd.start()
    httpd.wait_log(r"CGW0194.*group a\.example: CGatewayErrorLog")
    run(httpd, "import sys\nresult = print('printed', file=sys.stderr)")
    httpd.graceful()
    until(lambda: len(re.findall("CGW0194", httpd.log())) == 2, "the log to be opened again")
    assert secret.read_text() == "SECRET=of-b\n"
    assert not (secret.parent / "made").exists()
    assert "printed" in httpd.log(), "it goes to the ErrorLog"


@needs_root
def test_logs_are_written_where_an_administrator_may_keep_them(httpd, own):
    httpd.mkdir("roots/really")
    (httpd.root / "roots/log").symlink_to("really/log")
    (httpd.root / "roots/own").symlink_to(own)
    httpd.mkdir("own/shared", owner="games")
    (own / "logs").symlink_to("shared")
    shutil.chown(httpd.write("roots/created", "", 0o640), "games")     # as by logrotate
    written = {"roots/log": "roots/really/log", "roots/own/log": "own/log",
               "own/logs/log": "own/shared/log", "roots/created": "roots/created"}
    for number, name in enumerate(written):
        httpd.wsgi("hostile.wsgi", "CGatewayUser games",
                   f'CGatewayErrorLog "{httpd.root}/{name}"', name=f"s{number}.example")
    result = httpd.configtest()
    assert result.returncode == 0, result.stdout
    httpd.start()
    for number, name in enumerate(written):
        log = httpd.root / written[name]
        until(lambda at=log: "ready -> serving" in at.read_text(), name)
        log.rename(f"{log}.1")          # as logrotate does without "create"
        httpd.graceful()
        until(lambda at=log: at.exists() and "ready -> serving" in at.read_text(), name)
    assert (own / "log").stat().st_uid == 0
