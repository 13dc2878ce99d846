# SPDX-License-Identifier: Apache-2.0
"""The control socket and cgatewayctl: who may do what, and that nobody who asks
keeps the supervisor from its work."""

import os
import re
import pathlib
import select
import signal
import socket
import subprocess
import sys

import pytest

from harness.ctl import Ctl, receive_all
from harness.httpd import until
from harness.paths import AS_ROOT, HTTPD_USER, PYTHON

OK, FAILED, USAGE, UNREACHABLE, REFUSED, NO_GROUP, TIMEOUT = range(7)


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


def two_groups(httpd):
    """a.example as games and b.example as news, where users can be changed."""
    for name, user in (("a.example", "games"), ("b.example", "news")):
        httpd.wsgi("info.wsgi", *([f"CGatewayUser {user}"] if AS_ROOT else []), name=name)
    return httpd.start()


def names(answer):
    return sorted(group["name"] for group in answer["groups"])


# ---- status -----------------------------------------------------------------------

def test_status_tells_of_groups_and_their_processes(httpd, ctl):
    two_groups(httpd)
    pids = {httpd.get("/").json()["pid"] for _ in range(20)}
    until(lambda: ctl.group("a.example")["state"] == "serving", "the group to serve")
    answer = ctl.json("status")
    assert names(answer) == ["a.example", "b.example"]
    assert answer["pid"] == httpd.supervisor()
    group = ctl.group("a.example")
    assert group["application"] == str(httpd.root / "apps/info.wsgi")
    assert (group["generation"], group["python"], group["processes"]) == (1, PYTHON, 2)
    assert group["last_failure"] is None
    processes = group["generations"][0]["processes"]
    assert pids <= {p["pid"] for p in processes if p["state"] == "serving"}
    assert [p["state"] for p in processes].count("template") == 1


def test_status_is_readable(httpd, ctl):
    two_groups(httpd)
    until(lambda: ctl.group("a.example")["state"] == "serving", "the group to serve")
    lines = ctl("status").stdout.splitlines()
    assert lines[0].split()[:3] == ["GROUP", "STATE", "GENERATION"]
    assert lines[1].split()[:4] == ["a.example", "serving", "1", "2/2"]
    assert "info.wsgi" in ctl("status", "a.example").stdout


def test_status_shows_why_a_group_does_not_start(httpd, ctl):
    httpd.wsgi(httpd.app("broken.wsgi", "import sys\nprint('\\x1b[2J evil')\n"
                         "raise ValueError('no such database')\n"))
    httpd.expect_log(r"CGW0221", r"CGW0231", r"CGW0411", r"\] a\.example: ")
    httpd.start()
    group = until(lambda: (g := ctl.group("a.example"))["state"] == "failed" and g,
                  "the failure")
    assert group["generation"] is None
    failure = group["last_failure"]
    assert failure["generation"] >= 1
    assert failure["reason"] == "importing the application failed"
    assert "ValueError: no such database" in failure["output"]
    assert "Traceback" in failure["output"]
    text = ctl("status", "a.example").stdout
    assert "ValueError: no such database" in text
    assert "\x1b" not in text, "the application controls the terminal"
    assert "importing the application failed" in ctl("status").stdout


def test_status_tells_a_failed_deploy_that_lasts_from_one_that_is_over(httpd, ctl):
    """The overview says that old code serves; once newer code does, the traceback of
    the failure is not among what an administrator looks at for something else."""
    httpd.wsgi("info.wsgi")
    httpd.expect_log(r"CGW0221", r"CGW0230", r"CGW0411", r"\] a\.example: ")
    httpd.start()
    until(lambda: ctl.group("a.example")["state"] == "serving", "the group to serve")
    httpd.app("info.wsgi", "raise ValueError('no such database')\n")
    ctl("reload", "a.example")
    until(lambda: ctl.group("a.example")["last_failure"], "the failure")
    overview, detail = ctl("status").stdout, ctl("status", "a.example").stdout
    assert "serving  1 " in overview
    assert re.search(r"could not be started \d+ s ago; the former one serves on: importing "
                     "the application failed", overview)
    assert "ValueError: no such database" in detail
    assert re.search(r"last words: CGW0411: .* was not loaded", detail)
    httpd.app("info.wsgi")
    until(lambda: ctl.group("a.example")["generation"] not in (None, 1), "the repair")
    overview, detail = ctl("status").stdout, ctl("status", "a.example").stdout
    assert "could not be started" not in overview
    assert re.search(r"could not be started \d+ s ago; a later one could: ", detail)
    assert "Traceback" not in detail


def test_exit_codes(httpd, ctl):
    two_groups(httpd)
    assert ctl("status").returncode == OK
    assert ctl("status", "c.example").returncode == NO_GROUP
    assert "c.example" in ctl("status", "c.example").stderr
    assert ctl("no-such-command").returncode == USAGE
    ctl.runtime_dir = httpd.root
    run = ctl("status")
    assert run.returncode == UNREACHABLE
    assert f"{httpd.root}/control" in run.stderr and "is httpd running" in run.stderr


def test_the_running_supervisor_is_found(httpd, ctl):
    two_groups(httpd)
    run = subprocess.run([ctl.program, "status"], capture_output=True, text=True)
    # other tests may run others at the same time
    assert run.returncode == OK or str(httpd.root / "run") in run.stderr


def test_a_stopped_supervisor_is_told_of_and_not_waited_for(httpd, ctl):
    two_groups(httpd)
    pid = httpd.supervisor()
    os.kill(pid, signal.SIGSTOP)
    try:
        runs = [ctl("status"), ctl("reload", "a.example"), ctl("env", "a.example",
                                                               "--timeout", "0.2")]
    finally:
        os.kill(pid, signal.SIGCONT)
    for run in runs:
        assert run.returncode == UNREACHABLE
        assert f"the supervisor, pid {pid}, is stopped" in run.stderr
        assert f"kill -CONT {pid}" in run.stderr


# A supervisor that listens, and neither answers nor is stopped.
SILENT = """\
import socket
import sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    sys.stdin.read()
"""


def test_who_asks_chooses_how_long_a_silent_supervisor_may_take(httpd, ctl):
    (httpd.root / "run").mkdir()
    path = httpd.root / "run" / "control"
    with subprocess.Popen([sys.executable, "-c", SILENT, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as silent:
        silent.stdout.readline()
        short, longer = (ctl("status", "--timeout", seconds) for seconds in ("0.2", "3.2"))
        silent.stdin.close()
    path.unlink()
    path.parent.rmdir()
    assert short.returncode == longer.returncode == TIMEOUT
    assert "no answer within 0.2 s" in short.stderr
    assert "has not answered" not in short.stderr
    assert f"the supervisor, pid {silent.pid}, has not answered for 3 s" in longer.stderr


# ---- who may ------------------------------------------------------------------------

def test_the_user_of_a_group_sees_that_group_alone(httpd, ctl, as_root):
    two_groups(httpd)
    assert names(ctl.json("status", user="games")) == ["a.example"]
    assert names(ctl.json("status", "b.example", user="news")) == ["b.example"]
    run = ctl("status", "b.example", user="games")
    assert run.returncode == REFUSED
    assert ctl("status", "c.example", user="games").returncode == REFUSED, \
        "tells which groups there are"


def test_httpds_user_reads_the_status_of_all(httpd, ctl, as_root):
    two_groups(httpd)
    assert names(ctl.json("status", user=HTTPD_USER)) == ["a.example", "b.example"]


def test_everybody_else_is_refused(httpd, ctl, as_root):
    two_groups(httpd)
    httpd.expect_log(r"CGW0310")
    run = ctl("status", user="daemon")
    assert (run.returncode, run.stdout) == (REFUSED, "")
    assert httpd.log("main").count("CGW0310") == 1
    ctl("status", user="daemon")
    assert httpd.log("main").count("CGW0310") == 1, "a stranger can fill the log"


def test_a_false_supervisor_is_not_trusted(httpd, ctl, as_root):
    """Somebody who lures root to a directory of his own learns and moves nothing."""
    trap = httpd.mkdir("trap", owner="daemon")
    listener = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('control'); s.listen();"
        "print('ready', flush=True); c = s.accept()[0]; print(c.recv(100))")
    with subprocess.Popen([sys.executable, "-c", listener], cwd=trap, user="daemon",
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        ctl.runtime_dir = trap
        run = ctl("status")
        assert process.stdout.read() == "b''\n", "something was sent"
    assert run.returncode == UNREACHABLE
    assert "not trusted" in run.stderr


# ---- whatever is sent -------------------------------------------------------------

@pytest.mark.parametrize("line", [
    b"\n", b" status\n", b"status \n", b"status  a.example\n", b"status\ta.example\n",
    b"sta\0tus\n", b"status\r\n", b"\xff\xfe\n", b"status a b c d e\n", b"status a b\n",
    b"STATUS\n", b"unknown\n", b"status " + b"a" * 400 + b"\n"])
def test_a_malformed_request_is_answered(httpd, ctl, line):
    two_groups(httpd)
    answer = ctl.ask(line)
    assert answer["ok"] is False
    assert answer["error"] in ("usage", "no-such-group")
    assert ctl("status").returncode == OK


def test_a_line_without_end_is_cut_off(httpd, ctl):
    two_groups(httpd)
    with ctl.connect() as connection:
        connection.sendall(b"x" * 512)
        assert receive_all(connection) == b""
    assert ctl("status").returncode == OK


def test_a_request_may_come_in_pieces_and_with_more_behind_it(httpd, ctl):
    two_groups(httpd)
    with ctl.connect() as connection:
        for byte in b"status a.exampl":
            connection.send(bytes([byte]))
        connection.sendall(b"e\nstatus b.example\n")
        data = receive_all(connection)
    assert data.count(b"\n") == 1 and b'"name":"a.example"' in data


def test_clients_that_ask_nothing_or_leave_keep_nobody_out(httpd, ctl):
    two_groups(httpd)
    for _ in range(20):
        ctl.connect().close()
        with ctl.connect() as connection:
            connection.sendall(b"status\n")
        with ctl.connect() as connection:
            connection.sendall(b"stat")
            connection.shutdown(socket.SHUT_WR)
            assert receive_all(connection) == b""
    idle = [ctl.connect() for _ in range(80)]
    told = until(lambda: select.select(idle, [], [], 0)[0], "one too many")
    assert b'"busy"' in receive_all(told[0])
    for connection in idle:
        connection.close()
    until(lambda: ctl("status").returncode == OK, "room for another client")


MANY = """
import socket, sys
held = []
for _ in range(30):
    c = socket.socket(socket.AF_UNIX)
    c.connect(sys.argv[1])
    held.append(c)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_group_s_user_cannot_fill_the_socket(httpd, ctl, as_root):
    two_groups(httpd)
    path = str(httpd.root / "run" / "control")
    with subprocess.Popen([sys.executable, "-c", MANY, path], user="games",
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert ctl("status", user="games").returncode == UNREACHABLE
        assert ctl("status", user="news").returncode == OK
        assert ctl("status").returncode == OK
        process.stdin.close()


def test_a_reader_that_does_not_read_holds_up_nobody(httpd, ctl):
    for i in range(60):
        httpd.main(f'<CGatewayGroup g{i}>\nCGatewayApplication "'
                   f'{httpd.app("broken.wsgi", "raise ValueError(" + repr("x" * 3000) + ")")}'
                   f'"\nCGatewayPython {PYTHON}\n</CGatewayGroup>\n', key=f"g{i}")
    httpd.expect_log(r"CGW0221", r"CGW0231", r"CGW0411", r"\] g\d+: ")
    httpd.wsgi("info.wsgi")
    httpd.start()
    until(lambda: len(ctl.ask(b"status\n")["groups"]) == 61
          and all(g["last_failure"] for g in ctl.ask(b"status\n")["groups"]
                  if g["name"] != "a.example"), "the failures")
    with ctl.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"status\n")
        slow.recv(1)
        for _ in range(3):
            assert httpd.get("/").status == 200
            assert ctl("status", "a.example").returncode == OK
        assert len(receive_all(slow)) > 200000, "the rest comes when it is read"


def test_the_socket_is_gone_with_httpd_and_made_anew_where_it_was_removed(httpd, ctl):
    two_groups(httpd)
    path = pathlib.Path(httpd.root / "run" / "control")
    until(path.exists, "the socket")
    assert path.stat().st_mode & 0o777 == 0o666
    os.unlink(path)
    httpd.graceful()
    until(lambda: ctl("status").returncode == OK, "the socket to be there again")
    httpd.stop()
    until(lambda: not path.exists(), "the supervisor to see that httpd has ended")


def test_a_group_named_like_the_socket_is_in_nobody_s_way(httpd, ctl):
    httpd.main(f'<CGatewayGroup control>\nCGatewayApplication "{httpd.app("info.wsgi")}"\n'
               f"CGatewayPython {PYTHON}\n</CGatewayGroup>\n")
    httpd.vhost("a.example", "CGatewayMount / control")
    httpd.start()
    assert httpd.get("/").status == 200
    assert names(ctl.json("status")) == ["control"]
