# SPDX-License-Identifier: Apache-2.0
"""cgatewayctl check, top, and completion: what an administrator runs beside a site that
serves, and what a deploy script asks before it reloads."""

import fcntl
import json
import os
import re
import struct
import subprocess
import termios

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.paths import AS_ROOT, HTTPD_USER, PATIENCE, PYTHON, ROOT
from harness.sites import Site

OK, FAILED, USAGE, UNREACHABLE, REFUSED, NO_GROUP, TIMEOUT = range(7)


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


@pytest.fixture
def site(httpd, ctl):
    httpd.wsgi("info.wsgi", "CGatewayEnv MARK 42",
               *(["CGatewayUser games"] if AS_ROOT else []))
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    return httpd


# ---- check ------------------------------------------------------------------------------

def test_check_reports_on_an_application_that_can_serve(site, ctl):
    pids = site.group_processes("a.example")
    run = ctl("check", "a.example")
    assert run.returncode == OK, run.stdout + run.stderr
    assert "info.wsgi" in run.stdout and "it can serve" in run.stdout
    if AS_ROOT:
        uid = int(subprocess.check_output(["id", "-u", "games"]))
        assert f"uid {uid}," in run.stdout
    answer = ctl.json("check", "a.example")
    assert answer["passed"] is True and answer["exit_code"] == 0
    assert site.group_processes("a.example") == pids, "it is a process of the group"
    assert site.get("/").status == 200


def test_check_finds_what_is_broken_before_a_reload_does(site, ctl):
    site.app("info.wsgi", "import no_such_module\n")
    site.expect_log("CGW0221", "CGW0230", "CGW0411", r"\] a\.example: ")
    run = ctl("check", "a.example")
    assert run.returncode == FAILED
    assert "ModuleNotFoundError" in run.stdout and "CGatewayPython" in run.stdout
    assert "no_such_module" not in [line for line in site.log().splitlines()
                                    if "check" in line]
    assert site.get("/").status == 200


def test_check_sends_a_request_where_it_is_told_to(httpd, ctl):
    httpd.wsgi(httpd.app("paths.wsgi", """
import os
def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("for this path")
    start_response("500 No" if environ["PATH_INFO"] == "/500" else "200 OK", [])
    return [os.environ["MARK"].encode(), environ["QUERY_STRING"].encode()]
"""), "CGatewayEnv MARK 42")
    httpd.start()
    run = ctl("check", "a.example", "--request", "/a?b=c")
    assert run.returncode == OK and "GET /a?b=c: 200 OK, 5 bytes" in run.stdout
    run = ctl("check", "a.example", "--request", "/raise")
    assert run.returncode == FAILED and "ValueError: for this path" in run.stdout
    assert ctl("check", "a.example", "--request", "/500").returncode == FAILED
    assert ctl("check", "a.example", "--request", "x").returncode == USAGE


def test_check_tells_of_a_crash_and_of_an_import_that_hangs(httpd, ctl, marks):
    httpd.wsgi(httpd.app("odd.wsgi", f"""
import os, time
from wsgiref.simple_server import demo_app as application
if os.path.exists({str(marks / "crash")!r}):
    os.kill(os.getpid(), 9)
while os.path.exists({str(marks / "hang")!r}):
    time.sleep(0.01)
"""), "CGatewayStartTimeout 10")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    (marks / "crash").touch()
    answer = json.loads(ctl("check", "a.example", "--json").stdout)
    assert answer["signal"] == 9 and not answer["passed"]
    (marks / "crash").unlink()
    (marks / "hang").touch()
    run = ctl("check", "a.example")
    assert run.returncode == FAILED and "CGatewayStartTimeout" in run.stdout
    assert httpd.get("/").status == 200


def test_a_check_that_nobody_waits_for_any_more_ends(httpd, ctl, marks):
    httpd.wsgi(httpd.app("late.wsgi", f"""
import os, time
from wsgiref.simple_server import demo_app as application
while os.path.exists({str(marks / "hang")!r}):
    time.sleep(0.01)
"""))
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    before = set(httpd.group_processes("a.example"))
    (marks / "hang").touch()
    checks = [ctl.start("check", "a.example") for _ in range(4)]
    until(lambda: len(set(httpd.group_processes("a.example")) - before) == 2,
          "two at a time")
    for check in checks:
        check.kill()
        check.communicate()
    until(lambda: set(httpd.group_processes("a.example")) == before, "their end")
    (marks / "hang").unlink()
    assert ctl("check", "a.example").returncode == OK


def test_check_of_a_django_site_runs_its_checks(httpd, ctl):
    site = Site(httpd, "shop", "shop.example", "shop.settings")
    httpd.start()
    run = ctl("check", "shop.example")
    assert run.returncode == OK, run.stdout
    assert "settings shop.settings, DEBUG is off" in run.stdout
    settings = site.code / "shop" / "shop" / "settings.py"
    settings.write_text(settings.read_text()
                        + "\nINSTALLED_APPS = [*INSTALLED_APPS, 'no.such.app']\n")
    run = ctl("check", "shop.example")
    assert run.returncode == FAILED and "No module named 'no'" in run.stdout


def test_the_owner_may_check_and_nobody_else(site, ctl, as_root):
    assert ctl("check", "a.example", user="games").returncode == OK
    assert ctl("check", "a.example", user=HTTPD_USER).returncode == REFUSED


def test_status_of_a_group_shows_numbers_and_the_last_end(site, ctl):
    site.expect_log("CGW0213")
    site.get("/")
    os.kill(site.workers("a.example")[0], 9)
    until(lambda: ctl.group("a.example")["last_end"], "the end")
    text = ctl("status", "a.example").stdout
    assert "requests  " in text and "queued    0" in text and " MiB" in text
    assert "was ended by signal 9" in text


# ---- top --------------------------------------------------------------------------------

def test_top_shows_rates(site, ctl):
    top = ctl.start("top", "--interval", "0.3", "--count", "3")
    for _ in range(20):
        site.get("/")
    out, _ = top.communicate(timeout=60)
    assert top.returncode == OK
    assert out.count("REQ/S") == 3 and out.count("a.example") == 3
    assert "\x1b" not in out, "a terminal's codes in a pipe"
    lines = ctl("top", "--json", "--count", "2", "--interval", "0.1").stdout.splitlines()
    assert [json.loads(line)["ok"] for line in lines] == [True, True]


def test_top_fits_a_terminal_that_is_smaller_than_what_there_is(httpd, ctl):
    for number in range(30):
        httpd.vhost(f"a-long-name-of-a-site-{number:02}.example",
                    f'CGatewayApplication "{httpd.app("info.wsgi")}"',
                    "CGatewayStart demand")
    httpd.start()
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 12, 60, 0, 0))
    run = subprocess.run([ctl.program, "--runtime-dir", ctl.runtime_dir, "top", "--count",
                          "1"], stdout=terminal, timeout=PATIENCE)
    os.close(terminal)
    lines = os.read(reader, 65536).decode().replace("\x1b[H\x1b[2J", "").splitlines()
    os.close(reader)
    assert run.returncode == OK
    assert len(lines) < 12 and max(map(len, lines)) <= 60
    assert lines[0].startswith("GROUP") and re.match(r"and \d+ more groups$", lines[-1])


# ---- a reader that leaves, a group that does not get ready -------------------------------

@pytest.mark.parametrize("words", [["status"], ["stacks", "a.example", "--all"]])
def test_a_reader_that_has_enough_is_no_error_to_tell(site, ctl, words):
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([ctl.program, "--runtime-dir", ctl.runtime_dir, *words],
                         stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (run.returncode, run.stderr) == (FAILED, "")


def test_a_full_disk_is_told(site, ctl):
    with open("/dev/full", "w") as full:
        run = subprocess.run([ctl.program, "--runtime-dir", ctl.runtime_dir, "status"],
                             stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == FAILED
    assert run.stderr == "cgatewayctl: No space left on device\n"


def test_wait_ready_says_who_is_not(site, ctl):
    assert ctl("stop", "a.example").returncode == OK
    run = ctl("wait-ready", "--timeout", "0.2")
    assert run.returncode == TIMEOUT
    assert "not ready within 0.2 s: a.example (stopped)" in run.stderr


# ---- completion ---------------------------------------------------------------------------

def complete(ctl, *words):
    """What bash would offer for the last of the words."""
    quoted = " ".join(f"'{word}'" for word in (str(ctl.program), *words))
    script = (f"source '{ROOT}/tools/completion.bash'; COMP_WORDS=({quoted}); "
              f"COMP_CWORD={len(words)}; _cgatewayctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                         env={**os.environ, "CGATEWAY_RUNTIME_DIR": str(ctl.runtime_dir)})
    assert out.stderr == ""
    return out.stdout.split()


def test_bash_completes_commands_options_and_groups(site, ctl):
    site.wsgi("info.wsgi", name="b.example")
    site.graceful()
    assert PYTHON and ctl("wait-ready").returncode == OK
    assert complete(ctl, "rel") == ["reload"]
    assert "stacks" in complete(ctl, "") and "drain" in complete(ctl, "")
    assert complete(ctl, "restart", "--n") == ["--now", "--no-wait"]
    assert complete(ctl, "reload", "") == ["a.example", "b.example"]
    assert complete(ctl, "--json", "stop", "b") == ["b.example"]


def test_the_completion_knows_every_command(ctl):
    offered = complete(ctl, "")
    usage = ctl("--help").stdout
    for command in offered:
        assert f"    {command} " in usage
    listed = [line.split()[0] for line in usage.split("command\n", 1)[1].splitlines()
              if line.startswith("    ") and line[4] != " "]
    assert sorted(listed) == sorted(offered)
