# SPDX-License-Identifier: Apache-2.0
"""What a group's code, in hostile hands, can reach of the others and of httpd."""

import os
import re
import shutil
import subprocess

import pytest

from harness.ctl import Ctl
from harness.hostile import reads, run
from harness.httpd import arguments, until
from harness.paths import ROOT

A, B = "a.example", "b.example"
DENIED = {"PermissionError", "FileNotFoundError"}

PTRACE_ATTACH = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, {pid}, 0, 0) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
result = "attached"
"""


@pytest.fixture
def two_users(httpd, as_root):
    httpd.environment = {**httpd.environment, "HTTPD_ONLY": "1", "PYTHONSTARTUP": "/x",
                         "LD_LIBRARY_PATH": "/nowhere"}
    httpd.wsgi("hostile.wsgi", "CGatewayUser games", "CGatewayProcesses 1",
               "CGatewayEnv SECRET of-a")
    httpd.wsgi("hostile.wsgi", "CGatewayUser news", "CGatewayProcesses 1",
               "CGatewayEnv SECRET of-b", name=B)
    httpd.start()
    for host in (A, B):
        until(lambda name=host: httpd.workers(name), "the worker")
    until(lambda: httpd_children(httpd), "httpd's children")
    return httpd


def httpd_children(httpd):
    parent = httpd.process.pid
    return [pid for pid in httpd.processes() if pid != parent
            and arguments(pid)[0] == arguments(parent)[0]]


def programs_of_others(httpd):
    """Pids of all that is not group A's."""
    return {"worker of another": httpd.workers(B)[0], "supervisor": httpd.supervisor(),
            "httpd": httpd.process.pid, "httpd's child": httpd_children(httpd)[0]}


@pytest.mark.parametrize("file", ["environ", "mem", "maps"])
def test_processes_of_others_cannot_be_read(httpd, two_users, file):
    run(httpd, "result = 1", host=B)
    assert run(httpd, "import os\nresult = os.environ['SECRET']") == "of-a"
    told = {who: run(httpd, reads(f"/proc/{pid}/{file}"))
            for who, pid in programs_of_others(httpd).items()}
    assert set(told.values()) == {"PermissionError"}, told


def test_processes_of_others_cannot_be_signalled(httpd, two_users):
    told = {who: run(httpd, f"import os\nos.kill({pid}, 0)\nresult = 'signalled'")
            for who, pid in programs_of_others(httpd).items()}
    assert set(told.values()) == {"PermissionError"}, told


def test_processes_of_others_cannot_be_traced(httpd, two_users):
    told = {who: run(httpd, PTRACE_ATTACH.format(pid=pid))
            for who, pid in programs_of_others(httpd).items()}
    assert set(told.values()) == {"PermissionError"}, told


def test_descriptors_of_others_cannot_be_opened(httpd, two_users):
    told = {who: run(httpd, f"import os\nresult = os.listdir('/proc/{pid}/fd')")
            for who, pid in programs_of_others(httpd).items()}
    assert set(told.values()) == {"PermissionError"}, told


def test_files_and_sockets_of_others_cannot_be_opened(httpd, two_users):
    secret = httpd.write("secret-of-b", "secret", mode=0o600)
    shutil.chown(secret, "news")
    assert run(httpd, reads(secret)) == "PermissionError"
    assert run(httpd, reads(secret), host=B) == "read"
    for name in ("main.log", f"{B}.log"):
        (httpd.root / "logs" / name).chmod(0o640)
        assert run(httpd, reads(httpd.root / "logs" / name)) == "PermissionError"
    connect = ("import socket\ns = socket.socket(socket.AF_UNIX)\n"
               "s.connect({!r})\nresult = 'connected'")
    for name in (A, B):
        assert run(httpd, connect.format(str(httpd.socket(name)))) in DENIED, name
    assert run(httpd, "import os\nresult = os.listdir("
               f"{str(httpd.root / 'run')!r})") == "PermissionError"


def test_a_group_of_httpd_s_own_user_cannot_look_into_httpd(httpd, as_root):
    """Without CGatewayUser the workers are the children's user; the children began as
    root, so the kernel keeps their memory, and TLS keys in it, to root."""
    httpd.wsgi("hostile.wsgi")
    httpd.start()
    run(httpd, "result = 1")    # so there are a worker and httpd's children
    for pid in (httpd.process.pid, httpd_children(httpd)[0], httpd.supervisor()):
        assert run(httpd, reads(f"/proc/{pid}/mem")) == "PermissionError"
        assert run(httpd, reads(f"/proc/{pid}/environ")) == "PermissionError"
        assert run(httpd, PTRACE_ATTACH.format(pid=pid)) == "PermissionError"


STATUS = """
result = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read()
              .splitlines() if ":\\t" in line)
"""


def test_a_worker_has_no_privileges_and_its_own_session(httpd, two_users):
    status = run(httpd, STATUS)
    assert status["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        assert int(status[name], 16) == 0, name
    worker, = httpd.workers(A)
    sessions = {os.getsid(worker), os.getsid(httpd.workers(B)[0]),
                os.getsid(httpd.process.pid), os.getsid(httpd.supervisor())}
    assert len(sessions) == 4


def test_capabilities_that_httpd_can_hand_on_are_not_the_group_s(httpd, as_root):
    """Inheritable ones, as container engines gave them, survive a change of the user."""
    command = httpd.command
    httpd.command = lambda *words: (c := command(*words)) | {
        "args": ["setpriv", "--inh-caps=+net_bind_service,+chown", *c["args"]]}
    httpd.wsgi("hostile.wsgi", "CGatewayUser games")
    httpd.start()
    status = run(httpd, STATUS)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        assert int(status[name], 16) == 0, name


KEYS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
SYS_ADD_KEY = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
JOIN_SESSION, SEARCH, SESSION, NAME = 1, 10, -3, b"cgw-secret"
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def find():
    return check(libc.syscall(SYS_KEYCTL, SEARCH, SESSION, b"user", NAME, 0))
"""


def test_keys_of_the_session_that_started_httpd_are_not_the_group_s(httpd, as_root):
    keys = {}
    exec(KEYS, keys)
    try:
        keys["check"](keys["libc"].syscall(keys["SYS_KEYCTL"], keys["JOIN_SESSION"], None))
        keys["check"](keys["libc"].syscall(keys["SYS_ADD_KEY"], b"user", keys["NAME"],
                                           b"secret", 6, keys["SESSION"]))
    except OSError as error:
        pytest.skip(f"keys cannot be used here: {error}")
    assert keys["find"]() > 0
    httpd.wsgi("hostile.wsgi", "CGatewayUser games")
    httpd.start()
    assert run(httpd, KEYS + "result = find()") == "OSError"


@pytest.mark.parametrize("call", ["os.setuid(0)", "os.setresuid(-1, 0, -1)",
                                  "os.setgid(0)", "os.setgroups([0])",
                                  "os.chroot('/')", "os.nice(-5)",
                                  "resource.setrlimit(resource.RLIMIT_NOFILE, "
                                  "(10**6 * 8, 10**6 * 8))"])
def test_privileges_are_not_regained(httpd, two_users, call):
    source = (f"import os, resource\ntry:\n    {call}\n    result = 'done'\n"
              "except ValueError:\n    raise PermissionError")
    assert run(httpd, source) == "PermissionError"


def test_setuid_programs_give_nothing(httpd, two_users):
    program = httpd.root / "apps" / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    source = f"import subprocess\nresult = subprocess.check_output([{str(program)!r}, '-u']).decode()"
    user = subprocess.check_output(["id", "-u", "games"], text=True)
    assert run(httpd, source) == user
    assert subprocess.check_output([program, "-u"], user="games", text=True) == "0\n", \
        "the program would give root to anybody else"


DESCRIPTORS = """
import os
result = {}
for name in os.listdir("/proc/self/fd"):
    try:
        result[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
"""


def test_nothing_of_httpd_is_open_in_a_worker(httpd, two_users):
    links = run(httpd, DESCRIPTORS)
    listening = {line.split()[9] for name in ("tcp", "tcp6")
                 for line in open(f"/proc/net/{name}", encoding="ascii").readlines()[1:]
                 if line.split()[3] == "0A"}
    for name, link in links.items():
        assert not link.startswith(str(httpd.root)) or "/apps/" in link, (name, link)
        assert link.removeprefix("socket:[").rstrip("]") not in listening, (name, link)
    of_httpd = set(os.listdir(f"/proc/{httpd.process.pid}/fd"))
    inodes = {os.readlink(f"/proc/{httpd.process.pid}/fd/{fd}") for fd in of_httpd}
    inherited = {link for link in links.values() if link in inodes} - {"/dev/null"}
    own = {os.readlink(f"/proc/{httpd.workers(A)[0]}/fd/4")}
    assert inherited == own, "httpd keeps the group's own listening socket, nothing else"


def test_children_of_an_application_have_no_descriptors(httpd, two_users):
    """A program that the application starts, keeping descriptors open, gets only its
    standard ones; or it could answer requests after the worker has gone."""
    source = ("import subprocess\nresult = subprocess.check_output(['/bin/ls', "
              "'/proc/self/fd'], close_fds=False, stdin=subprocess.DEVNULL).decode()")
    # 3 is the directory that ls reads
    assert set(run(httpd, source).split()) == {"0", "1", "2", "3"}


def test_a_group_that_kills_all_it_can_harms_nobody_else(httpd, as_root):
    """kill(-1) reaches every process of a user but the caller: here, the template."""
    unused = f"#{httpd.port}"   # no other test, and no account, has this number
    httpd.wsgi("hostile.wsgi", f"CGatewayUser {unused} {unused}")
    httpd.wsgi("hostile.wsgi", "CGatewayUser news", name=B)
    httpd.start()
    until(lambda: len(httpd.group_processes(A)) == len(httpd.group_processes(B)) == 3,
          "templates and workers")
    others = set(httpd.group_processes(B)) | {httpd.supervisor()}
    before = set(httpd.group_processes(A))
    httpd.expect_log("CGW0213", "CGW0211")
    killer = run(httpd, "import os, signal\nos.kill(-1, signal.SIGKILL)\n"
                 "result = os.getpid()")
    until(lambda: len(httpd.group_processes(A)) == 3
          and before & set(httpd.group_processes(A)) == {killer},
          "the group's other processes to be replaced")
    assert run(httpd, "result = 'serves'") == "serves"
    assert others == set(httpd.group_processes(B)) | {httpd.supervisor()}
    assert run(httpd, "result = 'serves'", host=B) == "serves"


# Says the first word of the worker that it should fork, in the place of that.
LIAR = """
import os, socket
import _cgateway
from cgateway import _process
def speak_for_it(settings, control, output):
    _cgateway.send(control, _cgateway.HELLO)
    return False
_process._fork_worker = speak_for_it
application = print
"""
HONEST = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"honest"]
"""


def test_a_template_cannot_be_a_worker_of_its_own(httpd):
    """It would be known twice by one pid, and so outlive its end: whoever has that pid
    later on would be killed in its place."""
    httpd.expect_log("CGW02", "CGW0121", "has no worker that can serve")
    httpd.wsgi(httpd.app("liar.wsgi", LIAR))
    httpd.wsgi("hostile.wsgi", name=B)
    httpd.start()
    httpd.wait_log("CGW0210")
    assert run(httpd, "result = 'serves'", host=B) == "serves"
    httpd.app("liar.wsgi", HONEST)      # which reloads the group
    until(lambda: httpd.get("/").text == "honest", "the repaired application")
    until(lambda: [g["state"] for g in Ctl(httpd).group(A)["generations"]] == ["serving"],
          "nothing to be left of the other one")


def test_the_capabilities_that_a_unit_may_leave_are_enough(httpd, as_root):
    page = (ROOT / "docs" / "packaging.md").read_text()
    found = re.search(r"`(CAP_SETUID[A-Z_ ]+)` are needed", page)[1]
    names = [name.removeprefix("CAP_").lower() for name in found.split()]
    prefix = ["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set",
              "-all," + ",".join(f"+{name}" for name in names)]
    plain = httpd.command
    httpd.command = lambda *words: {**plain(*words), "args": [*prefix, *map(
        str, plain(*words)["args"])]}
    httpd.wsgi("info.wsgi", "CGatewayUser daemon", "CGatewayMaxRequests 5")
    httpd.start()
    for _ in range(20):     # some workers are replaced
        until(lambda: httpd.get("/").status == 200, "an answer")
    httpd.graceful()
    until(lambda: httpd.get("/").status == 200, "an answer")


# ---- a site's files when httpd reads its configuration -----------------------------------

GONE = {"variables": ("CGW0050", "site/env"), "watched": ("CGW0181", "site/watched"),
        "allowed": ("CGW0075", "site/allowed"), "files to send": (None, "site/media"),
        "log": ("CGW0196", "site/logs")}


@pytest.mark.parametrize("what", GONE)
def test_no_site_can_end_httpd_by_its_files(httpd, what):
    """What it removes between "apachectl configtest" and the moment when httpd's parent
    reads the configuration again; or what a deploy has just removed."""
    message, path = GONE[what]
    site = httpd.mkdir("site")
    for name in ("media", "watched", "allowed", "logs"):
        httpd.mkdir(f"site/{name}")
    httpd.write("site/env", "A=1\n")
    lines = {"variables": f"CGatewayEnvFile {site}/env",
             "watched": f"CGatewayWatch {site}/watched/x", "log":
             f"CGatewayErrorLog {site}/logs/log", "allowed": f"CGatewayAllowRead {site}/allowed",
             "files to send": f"CGatewaySendfileRoot {site}/media"}
    httpd.wsgi("hostile.wsgi", lines[what])
    httpd.wsgi("hostile.wsgi", name=B)
    httpd.expect_log("CGW0", "CGW02[0-9][0-9]", "CGW0411", r"a\.example: ")
    httpd.start()
    assert run(httpd, "result = 1") == 1
    gone = httpd.root / path
    gone.rename(site / "gone")
    httpd.graceful()
    assert httpd.process.poll() is None, "httpd has ended"
    assert run(httpd, "result = 1", host=B) == 1
    if message:
        assert re.search(message, httpd.log("main"))
    (site / "gone").rename(gone)
    httpd.graceful()
    until(lambda: httpd.request("/", "POST", b"result = 1").status == 200, "the site again")


OWN = """
import os
try:
    os.open("/dev/tty", os.O_RDWR)
    terminal = True
except OSError:
    terminal = False
status = open("/proc/self/status").read()
ignored = next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1]
result = [terminal, list(os.environ), int(ignored, 16), open("/proc/self/maps").read()]
"""


def test_nothing_of_httpd_s_own_state_is_inherited(httpd, two_users):
    """Variables, the terminal, ignored signals (but SIGPIPE and SIGXFSZ, Python's own, and
    32 and 33, which belong to the C library, and nobody can set), mapped files."""
    terminal, variables, ignored, maps = run(httpd, OWN)
    assert terminal is False
    for name in ("HTTPD_ONLY", "LD_LIBRARY_PATH", "PYTHONSTARTUP"):
        assert name not in variables
    assert ignored & ~(1 << 12 | 1 << 24 | 1 << 31 | 1 << 32) == 0
    assert "apache2" not in maps and "cgatewayd" not in maps
