# SPDX-License-Identifier: Apache-2.0
"""Descriptors, processes, disks, files and the clock: what is short or gone costs what
needs it, and comes back when it is there again."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.lasting import Requests, load
from harness.limited import limited, prlimit
from harness.paths import HTTPD_USER, PRELOAD
from harness.starters import that_serves


site = that_serves("faults.wsgi")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def first_unused(pid):
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    return next(number for number in itertools.count() if number not in used)


def template(httpd):
    return next(p["pid"] for p in
                Ctl(httpd).group("a.example")["generations"][0]["processes"]
                if p["state"] == "template")


def lines(httpd, text, name="a.example"):
    return sum(text in line for line in httpd.log(name).splitlines())


# ---- processes, descriptors --------------------------------------------------------

def test_a_fork_that_fails_is_tried_again_and_costs_nothing(httpd, site, as_root):
    """The template's user may have no more processes. Root is not bound by that limit,
    so the template must have another user."""
    httpd.expect_log("CGW0213", "CGW0413", "CGW0211", r"\] a\.example: ", "CGW0132")
    victim = min(site())
    with load(httpd) as running:
        with limited(template(httpd), "nproc", 0):
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            until(lambda: lines(httpd, "CGW0413") >= 3, "three attempts")
            took = time.monotonic() - began
        until(lambda: len(httpd.workers("a.example")) == 2, "the other worker")
    assert running.failures() == []
    assert took >= 2.9, "the attempts are 0, 1 and 2 s apart"


def test_a_supervisor_without_descriptors_goes_on_and_recovers(httpd, site):
    httpd.expect_log("CGW0213", "CGW0212", "CGW0132")
    victim = min(site())
    supervisor = httpd.supervisor()
    with load(httpd) as running:
        with limited(supervisor, "nofile", descriptors(supervisor) - 2):
            os.kill(victim, signal.SIGKILL)
            httpd.wait_log("CGW0212.*Too many open files")
        until(lambda: len(httpd.workers("a.example")) == 2, "the other worker")
    assert running.failures() == []
    assert httpd.supervisor() == supervisor


def test_a_graceful_restart_while_the_supervisor_has_no_descriptors(httpd, site):
    """It cannot take the configuration: httpd's parent starts another one."""
    httpd.expect_log("CGW02", "CGW0102", "CGW0104", "CGW0213", "CGW0132")
    site()
    supervisor = httpd.supervisor()
    with load(httpd) as running:
        with limited(supervisor, "nofile", descriptors(supervisor) - 2):
            httpd.graceful()
        until(lambda: len(httpd.workers("a.example")) == 2, "two workers")
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert "CGW0242" in httpd.log("main")
    assert "CGW0293" not in httpd.log("main"), "it is no other version's"


@pytest.mark.parametrize("room", range(14, 30, 2))
def test_a_supervisor_without_room_for_what_is_passed_to_it_blames_nobody(httpd, site,
                                                                          room):
    """Each of many workers that start passes it one more descriptor."""
    httpd.expect_log("CGW0212", "CGW0216", r"\] a\.example: ")
    site("CGatewayProcesses 8")
    supervisor = httpd.supervisor()
    with load(httpd) as running:
        with limited(supervisor, "nofile", descriptors(supervisor) + room):
            reload = Ctl(httpd).start("reload", "a.example")
            until(lambda: re.search("CGW021[0126]", httpd.log())
                  or reload.poll() is not None, "its end, or that there is no room")
        assert reload.communicate()[1] == "" and reload.returncode == 0
    assert running.failures() == []
    assert httpd.supervisor() == supervisor
    assert "CGW0210" not in httpd.log()


NO_MEMFD = """\
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int memfd_create(const char *name, unsigned flags)
{
    if (access(FILE_OF_WANT, F_OK) == 0) { errno = EMFILE; return -1; }
    return (int)syscall(SYS_memfd_create, name, flags);
}
"""


@pytest.mark.skipif(bool(PRELOAD), reason="sanitizers have to be loaded first")
def test_a_graceful_restart_while_httpds_parent_has_no_descriptors(httpd, site):
    """It once ended the supervisor, and so every group, for what it lacked itself."""
    httpd.expect_log("CGW0184")
    want, library = httpd.root / "want", httpd.root / "want.so"
    subprocess.run(["cc", "-shared", "-fPIC", f'-DFILE_OF_WANT="{want}"', "-o", library,
                    httpd.write("want.c", NO_MEMFD)], check=True)
    httpd.environment["LD_PRELOAD"] = str(library)
    old, supervisor = site(), httpd.supervisor()
    with load(httpd) as running:
        want.touch()
        httpd.graceful()
        httpd.wait_log("CGW0184", "main")
        want.unlink()
        until(lambda: len(set(httpd.workers("a.example")) - old) == 2,
              "the configuration to be passed on")
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert httpd.supervisor() == supervisor


def test_a_worker_without_descriptors_leaves_requests_to_the_others(httpd, site):
    httpd.expect_log("CGW0402", r"\] a\.example: ")
    victim = min(site())

    def starve():
        """Lets it have no descriptor beyond those that it has: of a request, too, so that
        it may take some looks."""
        prlimit(victim, "nofile", first_unused(victim))
        return lines(httpd, "CGW0402")
    with load(httpd) as running:
        began = time.monotonic()
        with limited(victim, "nofile", descriptors(victim)):
            until(starve, "the worker to lack descriptors")
            seen = len(running.outcomes)
            until(lambda: len(running.outcomes) > seen + 100, "the load meanwhile")
            said = lines(httpd, "CGW0402")
            assert said <= 2 + time.monotonic() - began
    assert running.failures() == []


# ---- disks and files ----------------------------------------------------------------

def test_full_disks_of_the_logs_cost_the_logs_alone(httpd, marks):
    """/dev/full says what a full disk says: a flood of output, a broken deploy and a
    dead worker, with every error log full."""
    vhost = f'CGatewayEnv MARKS "{marks}"'
    httpd.wsgi("faults.wsgi", vhost, "ErrorLog /dev/full")
    httpd.main("ErrorLog /dev/full")
    httpd.write_config()
    text = httpd.config.read_text()
    start(httpd, re.sub(r'ErrorLog "[^"]*(main|a\.example)\.log"', "ErrorLog /dev/full",
                        text))
    workers = set(until(lambda: len(w := httpd.workers("a.example")) == 2 and w,
                        "two workers"))
    with load(httpd) as running, load(httpd, path="/print"):
        os.kill(min(workers), signal.SIGKILL)
        until(lambda: len(set(httpd.workers("a.example")) - {min(workers)}) == 2,
              "the other worker")
        httpd.app("faults.wsgi", "raise RuntimeError('bad deploy')\n")
        until(lambda: Ctl(httpd).group("a.example")["last_failure"], "the failure")
    assert running.failures() == []


def start(httpd, config):
    """With a configuration that is no virtual host's alone."""
    write = httpd.write_config
    httpd.write_config = lambda: httpd.config.write_text(config)
    httpd.start()
    httpd.write_config = write


def test_a_file_that_may_not_grow_costs_the_log_alone(httpd, site):
    """RLIMIT_FSIZE: its signal once was the end of the supervisor."""
    httpd.expect_log(r"\] a\.example: ")
    site()
    supervisor = httpd.supervisor()
    with load(httpd, path="/print") as running:
        with limited(supervisor, "fsize", 0):
            seen = len(running.outcomes)
            until(lambda: len(running.outcomes) > seen + 50, "the load meanwhile")
    assert running.failures() == []
    assert httpd.supervisor() == supervisor


# ---- a hostile neighbour, and a clock that jumps ---------------------------------------

CONNECT = """\
import socket, sys
path, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.settimeout(60)
        try:
            peer.connect(path)
            peer.sendall(b"\\7\\1\\2\\3\\377\\0\\0\\0 garbage")
            print(peer.recv(1) == b"")
        except OSError as error:
            print(type(error).__name__)
"""


def connect_as(user, path, count):
    """What became of the attempts of that user."""
    run = subprocess.run(["/usr/bin/python3", "-c", CONNECT, path, str(count)],
                         user=user, group=user, extra_groups=[], cwd="/",
                         capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_another_user_of_the_machine_reaches_no_group(httpd, site, as_root):
    """By the file's permissions; and if those are opened by mistake, the workers look
    who it is. They say so, but do not fill the log."""
    httpd.expect_log("CGW0401", r"\] a\.example: ")
    site()
    path = httpd.socket()
    with load(httpd) as running:
        assert connect_as("games", path, 5) == {"PermissionError"}
        path.chmod(0o666)
        began = time.monotonic()
        assert connect_as("games", path, 300) <= {"True", "ConnectionResetError",
                                                  "BrokenPipeError"}
        path.chmod(0o600)
    assert running.failures() == []
    httpd.wait_log("CGW0401")
    assert lines(httpd, "CGW0401") <= 2 * (2 + time.monotonic() - began)


def test_garbage_of_httpds_own_user_costs_nobody_else_anything(httpd, site, as_root):
    """A CGI program, say, that runs as httpd's user."""
    httpd.expect_log("CGW04", r"\] a\.example: ")
    site()
    with load(httpd) as running:
        connect_as(HTTPD_USER, httpd.socket(), 300)
    assert running.failures() == []


SHIM = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* seconds by which the wall clock is wrong: as many as FILE has bytes */
static long jump(void)
{
    int fd = open(FILE_OF_JUMP, O_RDONLY | O_CLOEXEC);
    long n = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (fd >= 0) { close(fd); }
    return n;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rv = (int)syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME) { t->tv_sec += jump(); }
    return rv;
}

int gettimeofday(struct timeval *t, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) { *t = now.tv_sec; }
    return now.tv_sec;
}
"""


@pytest.fixture
def clock(httpd):
    """A function that sets the wall clock of httpd and of the group forward."""
    jump, source = httpd.root / "jump", httpd.write("clock.c", SHIM)
    library = httpd.root / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f'-DFILE_OF_JUMP="{jump}"', "-o",
                    library, source], check=True)
    library.chmod(0o755)
    httpd.environment["LD_PRELOAD"] = str(library)

    def forward(seconds):
        with jump.open("wb") as file:
            file.truncate(seconds)
    forward.line = f'CGatewayEnv LD_PRELOAD "{library}"'
    return forward


@pytest.mark.skipif(bool(PRELOAD), reason="sanitizers have clocks of their own")
def test_a_jump_of_the_wall_clock_ends_no_request(httpd, site, marks, clock):
    """An hour forward, which is far beyond every timeout, while requests run."""
    site(clock.line, "CGatewayThreads 16")
    requests = Requests(httpd, marks)
    with load(httpd) as running:
        requests.start()
        clock(3600)
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + 100, "the load behind the jump")
        results = requests.finish()
    assert set(results.values()) == {200}
    # kept connections were idle for an hour, as far as httpd can tell
    assert [o for o in running.failures() if o.error != "stale"] == []
