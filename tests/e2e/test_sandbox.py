# SPDX-License-Identifier: Apache-2.0
"""Directives that confine a group beyond its user, seen by code in hostile hands."""

import os
import pathlib
import shutil
import subprocess

import pytest

from harness.hostile import reads, run, writes
from harness.httpd import until
from harness.paths import AS_ROOT, HTTPD_USER, PRELOAD, PYTHON

SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall({}) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
result = "done"
"""


@pytest.fixture
def httpd(request):
    """Files that a test wants protected are not in /tmp."""
    return request.getfixturevalue("httpd_outside_tmp")


# ---- CGatewaySyscallFilter ----------------------------------------------------------

# On x86-64, where the numbers are; each succeeds, or fails otherwise, without filter.
REFUSED = {"unshare a user namespace": "272, 0x10000000",
           "clone into a user namespace": "56, 0x10000000 | 17, 0, 0, 0, 0",
           "read a process's memory": "310, os.getpid(), None, 0, None, 0, ctypes.c_long()",
           "trace": "101, 16, 1, 0, 0",
           "keyring": "250, 0, -3, 0",
           "io_uring": "425, 0, 0",
           "a copy of a mount": "428, -100, b'/', 0",
           "a copy of a mount, with attributes": "467, -100, b'/', 0, None, 0",
           "a handle of a file": "303, -100, b'/', None, None, 0",
           "the descriptor of a process": "438, os.pidfd_open(os.getpid()), 1, 0",
           "32-bit table": "0x40000000 + 39"}


@pytest.fixture
def filtered(httpd):
    httpd.wsgi("hostile.wsgi", "CGatewaySyscallFilter On")
    return httpd.start()


def test_system_calls_that_attacks_begin_with_are_refused(httpd, filtered):
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are x86-64's")
    told = {what: run(httpd, SYSCALL.format(call)) for what, call in REFUSED.items()}
    assert set(told.values()) == {"PermissionError"}, told


# getpid, as a 32-bit program asks for it. A kernel that knows none ends the process.
INT_80 = """
import ctypes, mmap, os
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
pid = os.fork()
if pid == 0:
    os._exit(1 if call() == os.getpid() else 0)
result = os.waitpid(pid, 0)[1] != 256
"""


def test_calls_of_32_bit_programs_are_refused(httpd, filtered):
    if os.uname().machine != "x86_64":
        pytest.skip("the instruction is x86's")
    assert run(httpd, INT_80) is True


def test_without_the_filter_they_are_not(httpd):
    httpd.wsgi("hostile.wsgi")
    httpd.start()
    assert run(httpd, SYSCALL.format(REFUSED["read a process's memory"])) == "done"


@pytest.mark.parametrize("family", ["PACKET", "VSOCK", "ALG", "BLUETOOTH", "CAN"])
def test_sockets_of_odd_families_are_refused(httpd, filtered, family):
    source = (f"import socket, errno\ntry:\n    socket.socket(socket.AF_{family}, 3)\n"
              "except OSError as error:\n    result = errno.errorcode[error.errno]\n")
    assert run(httpd, source) == "EAFNOSUPPORT"


def test_pairs_of_sockets_are_unix_s_alone(httpd, filtered):
    """The kernel makes one of any family, and loads its module, before it finds that
    there are no pairs of it."""
    source = ("import socket, errno\nresult = []\n"
              "for family in (socket.AF_VSOCK, socket.AF_INET, socket.AF_TIPC):\n"
              "    try:\n        socket.socketpair(family, socket.SOCK_STREAM)\n"
              "    except OSError as error:\n"
              "        result.append(errno.errorcode[error.errno])\n")
    assert run(httpd, source) == ["EAFNOSUPPORT"] * 3


WORK = """
import asyncio, concurrent.futures, multiprocessing, os, socket, sqlite3, ssl, subprocess, tempfile, threading
async def page():
    return (await asyncio.create_subprocess_exec("/bin/true")).returncode
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    squares = list(pool.map(lambda n: n * n, range(4)))
with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    child = pool.submit(os.getpid).result()
with tempfile.NamedTemporaryFile() as file:
    sqlite3.connect(file.name).execute("create table t (x)")
a, b = socket.socketpair()
a.send(b"x")
socket.getaddrinfo("localhost", 80)
ssl.create_default_context()
multiprocessing.Lock()
result = [squares, child != os.getpid(), b.recv(1).decode(),
          subprocess.check_output(["/bin/echo", "said"]).decode()]
"""


@pytest.mark.parametrize("lines", [
    ["CGatewaySyscallFilter On"],
    ["CGatewayAllowRead /usr", "CGatewayAllowWrite /tmp"],
    ["CGatewaySyscallFilter On", "CGatewayAllowRead /usr", "CGatewayAllowWrite /tmp"]])
def test_what_applications_do_goes_on(httpd, lines):
    httpd.wsgi("hostile.wsgi", *lines)
    httpd.start()
    assert run(httpd, WORK) == [[0, 1, 4, 9], True, "x", "said\n"]


# ---- CGatewayAllowRead, CGatewayAllowWrite ------------------------------------------

@pytest.fixture
def own(httpd):
    """Directories that the worker's user may do anything in."""
    return [httpd.mkdir(name, owner=HTTPD_USER) for name in ("mine", "other")]


def test_only_what_is_allowed_is_written(httpd, own):
    mine, other = own
    secret = httpd.write("other/there", "x")
    if AS_ROOT:
        shutil.chown(secret, HTTPD_USER)
    httpd.wsgi("hostile.wsgi", f'CGatewayAllowWrite "{mine}"')
    httpd.start()
    assert run(httpd, writes(mine / "file")) == "written"
    for source in (writes(other / "file"), writes(secret),
                   f"import os\nos.truncate({str(secret)!r}, 0)",
                   f"import os\nos.unlink({str(secret)!r})",
                   f"import os\nos.mkdir({str(other / 'made')!r})",
                   f"import os\nos.symlink('/etc', {str(other / 'link')!r})"):
        assert run(httpd, source) == "PermissionError", source
    assert run(httpd, reads(secret)) == "read", "reading is not confined"
    move = f"import os\nos.rename({str(secret)!r}, {str(mine / 'there')!r})\nresult = 'moved'"
    assert run(httpd, move) in ("OSError", "PermissionError")
    (mine / "a").mkdir()
    (mine / "b").mkdir()
    within = (f"import os\nos.chdir({str(mine)!r})\nopen('sub', 'w')\nos.mkdir('c')\n"
              "os.rename('sub', 'c/sub')\nresult = 'moved'")
    if AS_ROOT:
        shutil.chown(mine / "a", HTTPD_USER)
    assert run(httpd, within) == "moved"


def test_only_what_is_allowed_is_read(httpd, own):
    mine, other = own
    for directory in own:
        httpd.write(f"{directory.name}/file", "x")
    httpd.wsgi("hostile.wsgi", f'CGatewayAllowRead "{mine}/file"')
    httpd.start()
    assert run(httpd, reads(mine / "file")) == "read"
    assert run(httpd, reads(other / "file")) == "PermissionError"
    assert run(httpd, f"import os\nos.listdir({str(mine)!r})") == "PermissionError"
    assert run(httpd, reads("/etc/passwd")) == "read", "what Python itself needs"
    assert run(httpd, writes(other / "new")) == "written", "writing is not confined"


def test_an_interpreter_behind_a_link_can_be_run(httpd, own):
    """As of an environment whose interpreter lies elsewhere."""
    mine, _ = own
    for name in ("real/bin", "environment/bin"):
        httpd.mkdir(name)
    shutil.copy(PYTHON, httpd.root / "real/bin/python3")
    link = httpd.root / "environment/bin/python3"
    link.symlink_to("../../real/bin/python3")
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("hostile.wsgi")}"',
                f'CGatewayPython "{link}"', f'CGatewayAllowRead "{mine}"')
    httpd.start()
    assert run(httpd, reads(httpd.root / "real/bin/python3")) == "read"
    assert run(httpd, f"import os\nos.listdir({str(httpd.root)!r})") == "PermissionError"


def test_what_is_missing_at_the_start_is_said(httpd, own):
    mine, _ = own
    httpd.wsgi("hostile.wsgi", f'CGatewayAllowWrite "{mine}"')
    httpd.start()
    assert run(httpd, writes(mine / "file")) == "written"
    mine.rename(httpd.root / "gone")
    httpd.expect_log("cannot start: CGatewayAllowRead", "CGW0213", "CGW0221", "CGW0230")
    httpd.app("hostile.wsgi")       # which reloads the group
    httpd.wait_log(rf"CGatewayAllowWrite.*{mine}.*No such file")
    assert run(httpd, "result = 'the old one serves'") == "the old one serves"


# ---- CGatewayPrivateTmp, CGatewayReadOnlySystem ---------------------------------------

@pytest.fixture
def in_host_tmp():
    path = pathlib.Path(f"/tmp/cgw-host-{os.getpid()}")
    path.touch()
    yield path
    path.unlink()


@pytest.mark.parametrize("preload", ["on", "off"])
def test_a_group_has_its_own_tmp(httpd, as_root, in_host_tmp, preload):
    httpd.wsgi("hostile.wsgi", "CGatewayPrivateTmp 4M", f"CGatewayPreload {preload}")
    httpd.wsgi("hostile.wsgi", "CGatewayPrivateTmp On", name="b.example")
    httpd.start()
    listing = "import os\nresult = [os.listdir('/tmp'), os.listdir('/var/tmp')]"
    assert run(httpd, listing) == [[], []]
    file = f"/tmp/file-{httpd.port}"    # no other test has this number
    assert run(httpd, writes(file)) == "written"
    assert not pathlib.Path(file).exists()
    assert run(httpd, listing, "b.example") == [[], []]
    until(lambda: len(httpd.workers("a.example")) == 2, "both workers")
    pids = set()
    until(lambda: pids.add(run(httpd, "import os, time\ntime.sleep(0.01)\n"
                               f"open('{file}')\nresult = os.getpid()"))
          or httpd.graceful() or len(pids) > 2, "other workers to see it, too")
    full = "open('/tmp/big', 'wb').write(bytes(5 << 20))"
    assert run(httpd, full) == "OSError", "no space left"
    assert in_host_tmp.exists()


def machine_mounts():
    """The machine's, but for network namespaces: another test makes some."""
    rows = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return [row for row in rows if "/run/netns" not in row]


def test_nothing_is_left_of_a_private_tmp(httpd, as_root):
    httpd.wsgi("hostile.wsgi", "CGatewayPrivateTmp On", "CGatewayReadOnlySystem On")
    before = machine_mounts()
    httpd.start()
    file = f"/tmp/file-{httpd.port}"    # no other test has this number
    assert run(httpd, writes(file)) == "written"
    httpd.wait_log("ready -> serving")
    descriptors = len(os.listdir(f"/proc/{httpd.supervisor()}/fd"))
    for _ in range(3):
        httpd.graceful()
        until(lambda: len(httpd.group_processes("a.example")) == 3, "the new ones only")
    until(lambda: len(os.listdir(f"/proc/{httpd.supervisor()}/fd")) == descriptors,
          "the former ones' descriptors to be closed")
    httpd.wsgi("hostile.wsgi")
    httpd.graceful()
    until(lambda: len(httpd.group_processes("a.example")) == 3
          and run(httpd, f"import os\nresult = os.path.exists('{file}')") is False,
          "the machine's own /tmp")
    assert machine_mounts() == before


def test_a_read_only_system(httpd, own, as_root):
    mine, other = own
    httpd.wsgi("hostile.wsgi", "CGatewayReadOnlySystem On", f'CGatewayAllowWrite "{mine}"')
    httpd.start()
    errors = "import errno\ntry:\n    {}\nexcept OSError as e:\n    result = errno.errorcode[e.errno]"
    assert run(httpd, writes(mine / "file")) == "written"
    assert (mine / "file").read_text() == "x"
    # Landlock's refusal comes first where CGatewayAllowWrite stands; the mounts are
    # what a process without it would meet.
    assert run(httpd, errors.format(f"open({str(other / 'f')!r}, 'w')")) in ("EACCES", "EROFS")
    mounts = run(httpd, "result = open('/proc/self/mounts').read()")
    roots = [line.split() for line in mounts.splitlines() if line.split()[1] == "/"]
    assert all("ro" in words[3].split(",") for words in roots), roots
    httpd.wsgi("hostile.wsgi", "CGatewayReadOnlySystem On")
    httpd.graceful()
    until(lambda: run(httpd, errors.format(f"open({str(other / 'f')!r}, 'w')")) == "EROFS",
          "the next generation")
    file = f"/tmp/cgw-written-{httpd.port}"     # no other test has this number
    assert run(httpd, writes(file)) == "written"
    os.unlink(file)


# ---- CGatewayChroot -----------------------------------------------------------------

def copy_into(jail, *paths):
    """Files and directories, to the same places below the jail; links on the command
    line become what they lead to."""
    subprocess.run(["cp", "-rH", "--parents", "--preserve=mode", *paths, jail],
                   cwd="/", check=True)


def libraries_of(*files):
    """The shared libraries, and the loader, that the files need."""
    told = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True).stdout
    return {word for word in told.split() if word.startswith("/") and word[-1] != ":"}


def make_jail(jail, *more):
    stdlib = pathlib.Path(subprocess.check_output(
        [PYTHON, "-c", "import os; print(os.path.dirname(os.__file__))"], text=True).strip())
    extensions = (stdlib / "lib-dynload").glob("*.so")
    copy_into(jail, PYTHON, stdlib, *libraries_of(PYTHON, *extensions), *more)


@pytest.mark.skipif(PRELOAD != "", reason="the sanitizers' runtimes are not in the jail")
def test_a_group_in_a_root_of_its_own(httpd, as_root):
    jail = httpd.mkdir("jail")
    app = httpd.app("hostile.wsgi")
    make_jail(jail, app, httpd.root / "modules" / "cgateway")
    httpd.vhost("a.example", f'CGatewayApplication "{app}"', f'CGatewayChroot "{jail}"',
                "CGatewayUser games", "CGatewayWorkingDirectory /usr")
    httpd.expect_log("CGW0412.*/proc is not there")
    httpd.start()
    assert set(run(httpd, "import os\nresult = os.listdir('/')")) == set(os.listdir(jail))
    assert run(httpd, reads("/etc/passwd")) == "FileNotFoundError"
    assert run(httpd, "import os\nresult = os.getcwd()") == "/usr"
