# SPDX-License-Identifier: Apache-2.0
"""Descriptors that a hostile process passes to the supervisor, which is root: they tell
it nothing that its user may not know, and nobody waits for them."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from harness.ctl import Ctl
from harness.hostile import run
from harness.httpd import until
from harness.paths import PYTHON, ROOT

A, B = "a.example", "b.example"

CONTROL = (ROOT / "include" / "cgw_control.h").read_text()
VERSION = re.search(r"#define CGW_CONTROL_VERSION (\d+)", CONTROL)[1]

# Speaks in the words of that file, before the worker's own code does.
SPEAK = f"""
import os, socket, struct
WATCH, STACKS, NAME = 21, 27, 1
channel = socket.socket(fileno=os.dup(3))
def say(kind, arg=0, text=b"", *descriptors):
    message = struct.pack("<IHHQ", 0x31574743, {VERSION}, kind, arg) + text
    socket.send_fds(channel, [message], descriptors)
"""


# ---- what root can watch ----------------------------------------------------------------

WATCH_CLOSED = SPEAK + """
directory = os.open({directory!r}, os.O_PATH)   # which needs no right to it
say(WATCH, NAME, b"secret", directory)
channel.close()     # or it is a socket that the import has left behind
"""


def watched(httpd):
    """Inodes of the directories that the supervisor watches."""
    pid, found = httpd.supervisor(), set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        for line in pathlib.Path(f"/proc/{pid}/fdinfo/{name}").read_text().splitlines():
            if line.startswith("inotify wd:"):
                found.add(int(line.split("ino:")[1].split()[0], 16))
    return found


@pytest.mark.parametrize("mode, owner, seen", [
    (0o700, "root", False), (0o750, "root", False), (0o744, "root", False),
    (0o711, "root", True), (0o700, "games", True), (0o770, "games", True),
    (0o077, "games", False)])
def test_a_directory_that_the_user_may_not_search_is_not_watched_for_it(
        httpd, as_root, mode, owner, seen):
    closed = httpd.mkdir("closed")
    shutil.chown(closed, owner, "root")
    closed.chmod(mode)
    httpd.write("early/sitecustomize.py", WATCH_CLOSED.format(directory=str(closed)))
    httpd.wsgi("hostile.wsgi", "CGatewayUser games",
               f'CGatewayEnv PYTHONPATH "{httpd.root}/early"')
    httpd.start()
    httpd.wait_log("ready -> serving")
    assert (closed.stat().st_ino in watched(httpd)) is seen
    assert (httpd.root / "apps").stat().st_ino in watched(httpd), "what is asked for rightly"


# ---- what root closes -------------------------------------------------------------------

# Accepts connections and never reads; ends by itself at last.
PEER = """
import signal, socket
signal.alarm(600)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(server.accept())
"""
# A TCP socket whose close() waits for that.
LINGERS = f"""
import os, socket, struct, subprocess, sys
peer = subprocess.Popen([sys.executable, "-c", {PEER!r}], stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, start_new_session=True)
port = int(peer.stdout.readline())
def lingering():
    client = socket.create_connection(("127.0.0.1", port))
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return client
result = "passed"
"""
PASSED = {
    "itself": "client = lingering()\nsay(STACKS, 0, b'', client.fileno())\nclient.close()",
    "in the queue of another": """
a, b = socket.socketpair()
client = lingering()
socket.send_fds(a, [b"x"], [client.fileno()])
client.close()
a.close()
say(STACKS, 0, b"", b.fileno())
b.close()
""",
    "in the queue of one in the queue of another": """
a, b = socket.socketpair()
client = lingering()
socket.send_fds(a, [b"x"], [client.fileno()])
client.close()
c, d = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(c, [b"x"], [b.fileno()])
a.close(); b.close()
say(STACKS, 0, b"", d.fileno())
c.close(); d.close()
""",
    "in a connection that nobody accepts": """
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0cgw-%d" % os.getpid())
listener.listen()
a = socket.socket(socket.AF_UNIX)
a.connect(listener.getsockname())
client = lingering()
socket.send_fds(a, [b"x"], [client.fileno()])
client.close(); a.close()
say(STACKS, 0, b"", listener.fileno())
listener.close()
""",
}


@pytest.mark.parametrize("how", PASSED)
def test_nobody_waits_for_a_socket_that_lingers(httpd, how):
    httpd.expect_log("CGW0210", "CGW0213", "CGW0132", "CGW0133")
    httpd.wsgi("hostile.wsgi", "CGatewayProcesses 1")
    httpd.wsgi("hostile.wsgi", "CGatewayProcesses 1", name=B)
    httpd.start()
    until(lambda: httpd.workers(B), "the other's worker")
    before, = httpd.workers(B)
    httpd.request("/", "POST", (SPEAK + LINGERS + PASSED[how]).encode())
    assert Ctl(httpd)("restart", B).returncode == 0
    until(lambda: httpd.workers(B) and before not in httpd.workers(B), "another worker")
    assert run(httpd, "result = 1", host=B) == 1
    httpd.wait_log("CGW0210.*something else than the pipe")


# Its arguments: the socket, and what is sent with the descriptor.
CLIENT = LINGERS + """
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
passed = lingering()
socket.send_fds(connection, [sys.argv[2].encode()], [passed.fileno()])
passed.close()
print("passed", flush=True)
connection.settimeout(60)
try:
    while connection.recv(4096):    # until it is turned away
        pass
except ConnectionResetError:        # what it sent was not read
    pass
connection.close()
print("closed", flush=True)
sys.stdin.read()    # the peer stays
peer.kill()
"""


def sockets(httpd):
    """How many the supervisor has open."""
    found = 0
    for path in pathlib.Path(f"/proc/{httpd.supervisor()}/fd").iterdir():
        with contextlib.suppress(OSError):  # it is closed just now
            found += os.readlink(path).startswith("socket:")
    return found


@pytest.mark.parametrize("user", ["daemon", "games"])
@pytest.mark.parametrize("text", ["status\n", "x"])
def test_nobody_waits_for_what_comes_to_the_control_socket(httpd, as_root, user, text):
    """daemon is a stranger, games may ask of its group."""
    httpd.expect_log("CGW0310")
    httpd.wsgi("hostile.wsgi", "CGatewayUser games")
    httpd.start()
    httpd.wait_log("ready -> serving")
    before = sockets(httpd)
    os.kill(httpd.supervisor(), signal.SIGSTOP)     # the descriptor comes first
    with subprocess.Popen([PYTHON, "-c", CLIENT, httpd.root / "run" / "control", text],
                          user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as client:
        try:
            assert client.stdout.readline() == "passed\n"
            os.kill(httpd.supervisor(), signal.SIGCONT)
            assert client.stdout.readline() == "closed\n"
            assert Ctl(httpd).group(A)["name"] == A
            until(lambda: sockets(httpd) <= before, "nothing to be left of it")
            client.stdin.close()
            client.wait()
        finally:
            client.kill()
