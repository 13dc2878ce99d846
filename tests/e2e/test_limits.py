# SPDX-License-Identifier: Apache-2.0
"""What a group's processes may use of the machine."""

import concurrent.futures
import os
import resource
import subprocess

import pytest

from harness.httpd import until
from harness.load import Load
from harness.paths import PRELOAD, PYTHON
from harness.starters import with_marks

not_sanitized = pytest.mark.skipif(
    bool(PRELOAD), reason="sanitizers need memory without limit, and set some limits")
UNLIMITED = resource.RLIM_INFINITY


site = with_marks("resources.wsgi")


@not_sanitized
@pytest.mark.parametrize("preload", ["on", "off"])
def test_limits_priority_and_processors_are_the_group_s(httpd, site, preload):
    cpu = max(os.sched_getaffinity(0))
    site("CGatewayLimit nofile 300 400", "CGatewayLimit core 0", "CGatewayLimit as 4G",
         "CGatewayLimit nofile 200 400", "CGatewayNice 5",
         f"CGatewayCPUAffinity {cpu}", f"CGatewayPreload {preload}")
    told = httpd.get().json()
    assert told["limits"]["nofile"] == [200, 400], "the last one counts"
    assert told["limits"]["core"] == [0, 0]
    assert told["limits"]["as"] == [4 << 30, 4 << 30]
    assert told["nice"] == 5
    assert told["cpus"] == [cpu]
    assert os.sched_getaffinity(httpd.supervisor()) == os.sched_getaffinity(0), "its alone"


EACH_LIMIT = {"as": "4G 8G", "core": "0 unlimited", "cpu": "50 60", "data": "2G 3G",
              "fsize": "10M 20M", "memlock": "64K 1M", "msgqueue": "1000 2000",
              "nice": "0 0", "nofile": "200 300", "nproc": "4000 5000",
              "rtprio": "0 0", "rttime": "1000000 unlimited", "sigpending": "100 200",
              "stack": "2M unlimited"}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def number(word):
    if word == "unlimited":
        return UNLIMITED
    return int(word[:-1]) * UNITS[word[-1]] if word[-1] in UNITS else int(word)


@not_sanitized
@pytest.mark.parametrize("preload", ["on", "off"])
def test_each_limit_that_linux_has_is_the_group_s(httpd, site, as_root, preload):
    site(f"CGatewayPreload {preload}",
         *(f"CGatewayLimit {name} {both}" for name, both in EACH_LIMIT.items()))
    assert httpd.get().json()["limits"] == {
        name: [number(word) for word in both.split()]
        for name, both in EACH_LIMIT.items()}


@not_sanitized
def test_root_raises_limits_for_a_group(httpd, site, as_root):
    site("CGatewayLimit core unlimited", "CGatewayNice -3")
    told = httpd.get().json()
    assert told["limits"]["core"] == [UNLIMITED, UNLIMITED]
    assert told["nice"] == -3


def test_a_process_that_grows_too_big_is_replaced_and_no_request_fails(
        httpd, site, marks):
    site("CGatewayMaxMemory 200M", "CGatewayProcesses 1", "CGatewayThreads 4")
    (marks / "hold").touch()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, Load(httpd, "/", 2) as load:
        grown = pool.submit(httpd.get, "/grow?250")
        old = int(until(lambda: list(marks.glob("grown-*")), "it to grow")[0]
                  .name.split("-")[-1])
        httpd.wait_log(rf"pid {old} is replaced \(CGatewayMaxMemory\)")
        until(lambda: load.answers and load.answers[-1]["pid"] != old, "the successor")
        (marks / "hold").unlink()
        assert grown.result().json()["pid"] == old, "its request is not cut off"
    assert load.failures == []
    until(lambda: old not in httpd.processes(), "it to end")


@pytest.mark.parametrize("measure", ["rss", "pss"])
def test_a_process_beyond_the_hard_limit_is_killed(httpd, site, marks, measure):
    httpd.expect_log("CGW0278", "CGW0132", "CGW0133")
    site(f"CGatewayMaxMemory 150M 200M {measure}", "CGatewayProcesses 1")
    (marks / "hold").touch()
    raw = httpd.raw()
    with raw:
        raw.send(b"POST /grow?250 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n"
                 b"Connection: close\r\n\r\n")
        answer, _ = raw.receive_all()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert "CGW0278" in httpd.log() and "hard limit of 200 MiB" in httpd.log()
    (marks / "hold").unlink()
    assert httpd.get().status == 200


def test_a_limit_below_what_every_process_needs_replaces_none(httpd, site):
    httpd.expect_log("CGW0277")
    site("CGatewayMaxMemory 60M", "CGatewayProcesses 1", "CGatewayEnv MIB_AT_START 80",
         "CGatewayPreload off")
    httpd.wait_log("CGW0277.*60 MiB.*Raise the limit")
    first = httpd.get().json()["pid"]
    with Load(httpd, "/", 1) as load:
        until(lambda: len(load.answers) > 300, "a while")
    assert {a["pid"] for a in load.answers} == {first}


def test_a_limit_that_ends_processes_at_once_is_a_failed_start(httpd, site):
    httpd.expect_log(r"\] a\.example: ", "CGW02[123]", "CGW041", "CGW0111|CGW013|CGW0121")
    site("CGatewayLimit as 20M")
    assert httpd.get().status == 503
    httpd.wait_log("CGW0221")


@not_sanitized
@pytest.mark.parametrize("preload", ["on", "off"])
def test_a_limit_that_allows_too_few_threads_is_named(httpd, site, preload):
    """Memory for their stacks, here; with pids.max or nproc Python says the same."""
    httpd.expect_log(r"\] a\.example: ", "CGW02[123]", "CGW0416", "CGW0121")
    site("CGatewayLimit as 400M", "CGatewayThreads 200", f"CGatewayPreload {preload}")
    httpd.wait_log("CGW0416: group 'a.example': its threads could not be started: .*"
                   "pids.max.*nproc.*TasksMax")
    httpd.wait_log("CGW0213.*Last words: CGW0416")


def test_a_limit_that_the_user_s_other_processes_use_up_is_named(httpd, site, as_root):
    """The kernel fails execve() for it, with a word that says nothing of the kind."""
    httpd.expect_log(r"\] b\.example: ", "CGW02[123]", "CGW0121")
    httpd.vhost("b.example", f'CGatewayApplication "{httpd.app("info.wsgi")}"',
                "CGatewayUser games", "CGatewayStart demand", "CGatewayLimit nproc 1")
    site("CGatewayUser games")
    until(lambda: len(httpd.workers("a.example")) == 2, "processes of that user")
    assert httpd.get("/", host="b.example").status == 503
    httpd.wait_log(r"cannot start: .*CGatewayLimit nproc.* of user games: ", "b.example")


# ---- refused where it cannot be done ---------------------------------------------------

def refused(httpd, *lines):
    """What configtest says of a group with these lines."""
    httpd.wsgi("info.wsgi", *lines)
    result = httpd.configtest()
    assert result.returncode != 0
    return result.stdout


@pytest.mark.parametrize("value", ["unlimited", "0 unlimited", "1024 2000000000"])
def test_more_descriptors_than_the_kernel_gives(httpd, value):
    text = refused(httpd, f"CGatewayLimit nofile {value}")
    assert "CGW0185" in text and "fs.nr_open" in text


@pytest.mark.parametrize("line", [
    "rss 5M", "locks 5", "ofile 5", "RLIMIT_AS 5G", "as", "as -1", "as 1T", "nofile 1.5",
    "nofile 5 6 7", "cpu 1s", "as unlimited 5G"])
def test_what_is_no_limit_is_refused(httpd, line):
    text = refused(httpd, f"CGatewayLimit {line}")
    assert "CGW0066" in text or "CGW0012" in text


@pytest.mark.parametrize("cpus", ["1024", "-1", "0-", "-", ",", "0,,1", "0x1", "1-0", "a",
                                  '"0, 1"', "0-1-2", "4294967296", "0-99999999999"])
def test_what_is_no_list_of_processors_is_refused(httpd, cpus):
    assert "CGW0068" in refused(httpd, f"CGatewayCPUAffinity {cpus}")


def test_processors_that_are_there_among_others(httpd, site):
    first = min(os.sched_getaffinity(0))
    site(f"CGatewayCPUAffinity {first},{first}-{first},1000-1023")
    assert httpd.get().json()["cpus"] == [first]


def test_processors_that_are_not_there(httpd):
    text = refused(httpd, "CGatewayCPUAffinity 1020-1023")
    assert "CGW0179" in text and "has none of these processors" in text


def test_a_control_group_needs_a_parent(httpd):
    text = refused(httpd, "CGatewayCgroup memory.max 512M")
    assert "CGW0175" in text and "no CGatewayCgroupParent" in text
    assert "Delegate=yes" in text


@pytest.mark.parametrize("line, number", [
    ("memory.swap.max 0", "CGW0175"), ("memory.max 0", "CGW0069"),
    ("memory.high 0", "CGW0069"), ("memory.swap.max -1", "CGW0069")])
def test_no_swap_is_a_size_that_a_group_can_have(httpd, line, number):
    assert number in refused(httpd, f"CGatewayCgroup {line}")


def test_a_control_group_s_parent_must_be_one(httpd):
    httpd.main(f'CGatewayCgroupParent "{httpd.root}"')
    text = refused(httpd, "CGatewayCgroup pids.max 10")
    assert "CGW0175" in text and "not a directory of cgroup v2" in text
    httpd.main(f'CGatewayCgroupParent "{httpd.root}/missing"')
    text = refused(httpd, "CGatewayCgroup pids.max 10")
    assert "CGW0175" in text and "No such file" in text


def cgroup2():
    """Where cgroup v2 is mounted, writable; or the test is skipped."""
    with open("/proc/self/mounts", encoding="utf-8") as table:
        for line in table:
            words = line.split()
            if words[2] == "cgroup2" and os.access(words[1], os.W_OK):
                return words[1]
    pytest.skip("cgroup v2 is not mounted, or cannot be written")


@pytest.fixture
def parent():
    """A control group of the test's own."""
    path = os.path.join(cgroup2(), f"cgw-test-{os.getpid()}")
    try:
        os.mkdir(path)
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    yield path
    until(lambda: remove(path), "the control group to be empty")


def remove(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def controllers(path):
    with open(os.path.join(path, "cgroup.controllers"), encoding="ascii") as file:
        return file.read().split()


def test_a_controller_that_is_not_there(httpd, parent):
    if "pids" in controllers(parent):
        pytest.skip("it is there")
    httpd.main(f"CGatewayCgroupParent {parent}")
    text = refused(httpd, "CGatewayCgroup pids.max 10")
    assert "CGW0176" in text and "pids.max" in text and "subtree_control" in text


def test_a_group_lives_in_its_control_group(httpd, parent):
    if "pids" not in controllers(parent):
        pytest.skip("cgroup v2 has no controller of processes here")
    httpd.main(f"CGatewayCgroupParent {parent}")
    httpd.wsgi("info.wsgi", "CGatewayCgroup pids.max 200")
    httpd.start()
    assert httpd.get().status == 200
    directory = os.path.join(parent, "cgw-a.example")
    with open(os.path.join(directory, "pids.max"), encoding="ascii") as file:
        assert file.read().strip() == "200"
    with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
        inside = {int(pid) for pid in file.read().split()}
    assert inside == set(httpd.group_processes("a.example"))
    httpd.stop()
    until(lambda: not os.path.exists(directory), "the control group to go with httpd")


def test_root_without_the_capabilities_raises_nothing(httpd, as_root):
    """As in many containers."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard == UNLIMITED:
        pytest.skip("there is nothing above it")
    httpd.wsgi("info.wsgi", f"CGatewayLimit nproc {hard + 1}", "CGatewayNice -5")
    httpd.write_config()
    options = httpd.command("-t")
    dropped = "-sys_resource,-sys_nice"
    options["args"] = ["setpriv", f"--inh-caps={dropped}", f"--bounding-set={dropped}",
                       *options["args"]]
    run = subprocess.run(**options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True)
    assert "CGW0177" in run.stdout and "CAP_SYS_RESOURCE" in run.stdout
    assert "CGW0178" in run.stdout


def test_who_is_not_root_raises_nothing(httpd):
    """The check itself, as another user: httpd -t needs no port."""
    if os.geteuid() != 0:
        pytest.skip("needs an account other than the tests'")
    httpd.wsgi("info.wsgi", "CGatewayNice -5", f"CGatewayPython {PYTHON}",
               "CGatewayLimit nofile 400")
    httpd.write_config()
    options = httpd.command("-t")
    run = subprocess.run(**options, user="nobody", group="nogroup", extra_groups=[],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         preexec_fn=lambda: resource.setrlimit(
                             resource.RLIMIT_NOFILE, (200, 300)))
    assert "CGW0177" in run.stdout and "CGatewayLimit nofile" in run.stdout
    assert "CGW0178" in run.stdout and "only root raises a priority" in run.stdout
