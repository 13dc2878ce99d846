# SPDX-License-Identifier: Apache-2.0
"""CGatewayCgroup where the kernel has cgroup v2 with its controllers: who is in the
control group, what its limits do, and when it goes."""

import os
import signal

import pytest

from control_group import CGROUPS, Directory, Group
from harness.ctl import Ctl
from harness.httpd import until
from harness.lasting import BROKEN_OFF, Requests, load
from harness.load import Load
from harness.paths import ROOT
from harness.starters import that_serves

EVERYTHING = {"memory.max": "512M", "memory.high": "400M", "memory.swap.max": "0",
              "cpu.max": "150%", "cpu.weight": "50", "pids.max": "200"}
IN_FILES = {"memory.max": str(512 << 20), "memory.high": str(400 << 20),
            "memory.swap.max": "0", "cpu.max": "150000 100000", "cpu.weight": "50",
            "pids.max": "200"}
UNSET = {"memory.max": "max", "memory.high": "max", "memory.swap.max": "max",
         "cpu.max": "max 100000", "cpu.weight": "100", "pids.max": "max"}

APP = (ROOT / "tests" / "vm" / "uses.py").read_text()

site = that_serves("faults.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16")


@pytest.fixture
def parent(httpd):
    """A control group of the test's own, as CGatewayCgroupParent."""
    directory = Directory(CGROUPS / f"cgw-test-{os.getpid()}")
    httpd.main(f"CGatewayCgroupParent {directory.path}")
    yield directory
    httpd.stop()
    directory.remove()


def limits(settings):
    return [f"CGatewayCgroup {name} {value}" for name, value in settings.items()]


def uses(httpd, *lines):
    """Starts a site that uses what there is; returns once its workers are there."""
    httpd.wsgi(httpd.app("uses.wsgi", APP), *lines)
    httpd.start()
    until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "all workers")


# ---- who is in it -----------------------------------------------------------------------

@pytest.mark.parametrize("preload", ["on", "off"])
def test_everything_of_a_group_is_in_its_control_group(httpd, parent, preload):
    """Template, workers, and what the application starts, in a session of its own or
    not; nobody else."""
    uses(httpd, *limits(EVERYTHING), f"CGatewayPreload {preload}")
    group = Group(parent)
    assert {name: group.get(name) for name in IN_FILES} == IN_FILES
    child = int(httpd.get("/spawn").text)
    assert group.pids() == set(httpd.group_processes("a.example")) | {child}
    assert f"0::/{parent.path.name}" not in open("/proc/self/cgroup").read()
    httpd.stop()
    until(lambda: not group.exists(), "it to go with httpd")


def test_two_groups_are_two_control_groups(httpd, site, parent):
    httpd.wsgi("info.wsgi", "CGatewayCgroup pids.max 100", name="b.example")
    httpd.wsgi("info.wsgi", name="c.example")
    site("CGatewayCgroup pids.max 90")
    for name, pids in (("a.example", "90"), ("b.example", "100")):
        assert httpd.get(host=name).status == 200
        assert Group(parent, name).get("pids.max") == pids
        assert Group(parent, name).pids() == set(httpd.group_processes(name))
    assert httpd.get(host="c.example").status == 200
    assert not Group(parent, "c.example").exists(), "it has no limits"


# ---- what its limits do -------------------------------------------------------------------

def test_memory_beyond_the_group_s_costs_the_requests_of_one_worker(httpd, site, marks,
                                                                    parent):
    """The kernel chooses among the group's processes. GETs not answered yet are repeated;
    another group under load notices nothing."""
    httpd.expect_log("CGW0213", r"CGW013[23]", "CGW0123", r"\] a\.example: ")
    httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"', name="b.example")
    workers = site("CGatewayCgroup memory.max 150M", "CGatewayCgroup memory.swap.max 0")
    requests = Requests(httpd, marks)
    with load(httpd, rate=20, host="b.example") as others:
        where = requests.start()
        victim = where[0]
        os.kill(victim, signal.SIGUSR2)         # eats
        until(lambda: not {victim} & set(httpd.workers("a.example")), "its end")
        until(lambda: len(httpd.workers("a.example")) == 2, "another one")
        results = requests.finish()
    lost = {0: 200, 1: 502, 2: BROKEN_OFF}
    assert results == {number: lost[number % 3] if pid == victim else 200
                       for number, pid in where.items()}
    assert others.failures() == []
    assert workers - {victim} <= set(httpd.workers("a.example"))
    httpd.wait_log(rf"CGW0213.*worker pid {victim} .*the kernel sent for want of memory")
    told = Ctl(httpd).group("a.example")["last_end"]
    assert (told["pid"], told["cause"]) == (victim, "out of memory")
    assert Group(parent).table("memory.events")["oom_kill"] == 1


def test_processors_are_shared_out(httpd, parent):
    """As the kernel counts it: no more than a fifth of one, whatever the group does."""
    uses(httpd, "CGatewayProcesses 2", "CGatewayCgroup cpu.max 20%")
    group = Group(parent)
    with Load(httpd, "/burn", 4) as burning:
        until(lambda: group.table("cpu.stat")["nr_periods"] > 30, "it to use its share")
        before = group.table("cpu.stat")
        until(lambda: group.table("cpu.stat")["nr_periods"] > before["nr_periods"] + 50,
              "five seconds of it")
        after = group.table("cpu.stat")
    assert burning.failures == []
    share = (after["usage_usec"] - before["usage_usec"]) / (
        (after["nr_periods"] - before["nr_periods"]) * 100_000)
    assert after["nr_throttled"] > before["nr_throttled"] and share < 0.3


def test_processes_beyond_the_group_s_are_refused_to_the_application(httpd, parent):
    """Its threads count. It serves on, and so does everybody else."""
    httpd.wsgi("info.wsgi", name="b.example")
    uses(httpd, "CGatewayProcesses 1", "CGatewayThreads 4", "CGatewayCgroup pids.max 40")
    group = Group(parent)
    assert int(httpd.get("/spawn-many").text) < 40
    assert group.table("pids.events")["max"] > 0
    assert httpd.get("/").status == 200 and httpd.get(host="b.example").status == 200


def test_a_group_that_may_have_too_few_processes_says_so(httpd, parent):
    """Too few for its own threads."""
    httpd.expect_log(r"CGW02\d\d", "CGW0416", "CGW0121", r"\] a\.example: ")
    httpd.wsgi("info.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16",
               "CGatewayCgroup pids.max 10")
    httpd.start()
    httpd.wait_log(r"CGW0416: .* 2 processes with 16 threads each .*CGatewayCgroup pids\.max")
    httpd.wsgi("info.wsgi", "CGatewayProcesses 2", "CGatewayThreads 16",
               "CGatewayCgroup pids.max 100")
    httpd.graceful()
    until(lambda: httpd.get().status == 200, "the group")


# ---- graceful, restart, reload -----------------------------------------------------------

def test_limits_change_at_graceful_and_no_request_fails(httpd, site, marks, parent):
    """Those that the configuration does not name any more are no longer there."""
    site(*limits(EVERYTHING))
    group = Group(parent)
    assert group.get("memory.max") == IN_FILES["memory.max"]
    with load(httpd) as running:
        httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"',
                   "CGatewayCgroup pids.max 150")
        httpd.graceful()
        until(lambda: group.get("pids.max") == "150", "the new limit")
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert {name: group.get(name) for name in UNSET} == {**UNSET, "pids.max": "150"}


def test_limits_of_kept_groups_survive_graceful_and_the_supervisor(httpd, site, parent):
    httpd.expect_log("CGW0104", "CGW0213")
    site(*limits(EVERYTHING), "CGatewayReloadOnGraceful changed")
    group, former = Group(parent), httpd.supervisor()
    workers = set(httpd.workers("a.example"))
    httpd.graceful()
    assert set(httpd.workers("a.example")) == workers <= group.pids()
    os.kill(former, signal.SIGKILL)
    until(lambda: httpd.supervisor() not in (None, former), "another supervisor")
    until(lambda: not workers & set(httpd.processes()) and
          len(httpd.workers("a.example")) == 2, "new workers")
    assert {name: group.get(name) for name in IN_FILES} == IN_FILES
    assert set(httpd.group_processes("a.example")) == group.pids()
    httpd.restart()
    until(lambda: httpd.get("/quick").status == 200, "the group")
    until(lambda: set(httpd.group_processes("a.example")) == group.pids(), "its place")


def test_a_group_without_limits_any_more_leaves_no_control_group(httpd, site, marks,
                                                                 parent):
    """Once the old generation has finished its requests."""
    site("CGatewayCgroup pids.max 150")
    group = Group(parent)
    requests = Requests(httpd, marks)
    requests.start()
    httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"')
    httpd.graceful()
    until(lambda: set(httpd.workers("a.example")) - group.pids(), "the new generation")
    assert group.exists()
    assert set(requests.finish().values()) == {200}
    until(lambda: not group.exists(), "the control group to go")
    assert httpd.get("/quick").status == 200


def test_a_group_moves_to_another_parent(httpd, site, marks, parent):
    other = Directory(CGROUPS / f"cgw-other-{os.getpid()}")
    site("CGatewayCgroup pids.max 150")
    httpd.main(f"CGatewayCgroupParent {other.path}")
    httpd.graceful()
    until(lambda: not Group(parent).exists(), "the former control group to go")
    assert Group(other).pids() == set(httpd.group_processes("a.example"))
    httpd.stop()
    until(lambda: not Group(other).exists(), "the other one to go")
    other.remove()


def test_a_group_that_is_removed_leaves_no_control_group(httpd, site, marks, parent):
    """Once its requests are finished, and whoever else is in it has ended."""
    httpd.wsgi("info.wsgi", name="b.example")
    site("CGatewayCgroup pids.max 150")
    requests = Requests(httpd, marks)
    requests.start()
    del httpd.parts[f"a.example:{httpd.port}"]
    httpd.graceful()
    assert Group(parent).exists()
    assert set(requests.finish().values()) == {200}
    until(lambda: not Group(parent).exists(), "the control group to go")
    assert httpd.get(host="b.example").status == 200


def program_left_behind(httpd, parent):
    """The pid of one that a group which has been removed has started."""
    httpd.wsgi("info.wsgi", name="b.example")
    uses(httpd, "CGatewayCgroup pids.max 150")
    child = int(httpd.get("/spawn").text)
    del httpd.parts[f"a.example:{httpd.port}"]
    httpd.graceful()
    until(lambda: not httpd.group_processes("a.example"), "the group to end")
    assert Group(parent).pids() == {child}
    return child


def test_a_program_left_behind_by_a_removed_group_keeps_it_no_longer_than_it_lives(
        httpd, parent):
    child = program_left_behind(httpd, parent)
    os.kill(child, signal.SIGKILL)
    until(lambda: not Group(parent).exists(), "the control group to go")


def test_a_program_left_behind_ends_with_httpd(httpd, parent):
    program_left_behind(httpd, parent)
    httpd.stop()
    until(lambda: not Group(parent).exists(), "the control group to go")


def test_a_group_that_sleeps_has_its_limits_again(httpd, parent):
    uses_lines = ["CGatewayCgroup pids.max 150", "CGatewayStart demand",
                  "CGatewayIdleTimeout 1s"]
    httpd.wsgi(httpd.app("uses.wsgi", APP), *uses_lines)
    httpd.start()
    for _ in range(2):
        pid = int(httpd.get("/").text)
        assert pid in Group(parent).pids()
        until(lambda: not httpd.group_processes("a.example"), "it to sleep")


# ---- where it cannot be -------------------------------------------------------------------

def test_controllers_that_are_not_passed_on_are_refused(httpd):
    """The parent's own parent does not have them for it."""
    outer = Directory(CGROUPS / f"cgw-test-{os.getpid()}")
    inner = Directory(outer.path / "cgw-inner", controllers="pids")
    try:
        httpd.main(f"CGatewayCgroupParent {inner.path}")
        httpd.wsgi("info.wsgi", "CGatewayCgroup memory.max 500M")
        text = httpd.configtest()
        assert text.returncode and "CGW0176" in text.stdout
        assert "subtree_control" in text.stdout
        httpd.wsgi("info.wsgi", "CGatewayCgroup pids.max 100")
        assert httpd.configtest().returncode == 0
    finally:
        inner.remove()
        outer.remove()


def test_a_parent_with_processes_of_its_own_is_refused(httpd, parent):
    """As a service's control group is, where httpd itself lies in it. The kernel lets
    it pass nothing on."""
    httpd.wsgi("info.wsgi", "CGatewayCgroup memory.max 500M")
    procs = parent.path / "cgroup.procs"
    procs.write_text(str(os.getpid()))
    try:
        text = httpd.configtest()
    finally:
        (CGROUPS / "cgroup.procs").write_text(str(os.getpid()))
    assert text.returncode and "CGW0175" in text.stdout, text.stdout
    assert "has processes of its own" in text.stdout
    assert httpd.configtest().returncode == 0


def test_a_parent_that_is_gone_at_run_time_is_told_of_and_waited_for(httpd, site, parent):
    """The old generation serves on."""
    httpd.expect_log("CGW0279", "CGW02")
    site("CGatewayCgroup pids.max 150")
    workers = set(httpd.workers("a.example"))
    blocked = parent.path / "cgroup.max.descendants"
    before = blocked.read_text()
    group = Group(parent)
    # nobody is in it, and it may not be made again
    for pid in group.pids():
        (CGROUPS / "cgroup.procs").write_text(str(pid))
    group.path.rmdir()
    blocked.write_text("0")
    with load(httpd) as running:
        httpd.graceful()
        httpd.wait_log(r"CGW0279: a\.example: CGatewayCgroup: cannot use .*cgw-a\.example: ")
        assert set(httpd.workers("a.example")) == workers
        blocked.write_text(before)
        Ctl(httpd)("reload", "a.example")
        until(lambda: not workers & set(httpd.workers("a.example")), "the new generation")
    assert [o for o in running.failures() if o.error != "stale"] == []
