# SPDX-License-Identifier: Apache-2.0
"""systemd as it runs Debian's httpd with the packaged module, and what docs/packaging.md
tells about it."""

import concurrent.futures
import os
import re

import pytest

from control_group import CGROUPS, Directory, Group
from harness.httpd import until
from harness.openloop import OpenLoop
from service import (CGROUP, HOME, HOST, PAGE, PORT, RUNTIME_DIR, UNIT, Service, block,
                     is_alive, run)

HARDENING = block("ini")
DELEGATION = block("ini", 1)
LIMIT = "CGatewayCgroup pids.max 90"
# Debian's apachectl sets a limit of its own.
FILES = "Environment='APACHE_ULIMIT_MAX_FILES=ulimit -n %d'\n"


@pytest.fixture
def service():
    one = Service()
    try:
        yield one
    finally:
        one.remove()


def all_gone(service):
    until(lambda: not CGROUP.exists() or not service.pids(), "the service's processes")
    until(lambda: not RUNTIME_DIR.exists(), "the runtime directory")


def under_load(rate=20):
    return OpenLoop(PORT, [(HOST, "/")], rate)


def some(running, count=30):
    seen = len(running.outcomes)
    until(lambda: len(running.outcomes) > seen + count, "the load")


def test_reload_takes_a_new_generation_into_use_and_loses_nothing(service):
    service.start()
    old, main = service.workers(), service.show("MainPID")
    with under_load() as running:
        some(running)
        run("systemctl", "reload", UNIT)
        until(lambda: old and not old & service.workers(), "the new generation")
        some(running)
    assert [o for o in running.failures() if o.error != "stale"] == []
    assert service.show("MainPID") == main and service.show("ActiveState") == "active"


def test_stop_leaves_nothing(service):
    """Not even what the application has started."""
    service.start()
    child = int(service.get("/spawn").text)
    assert child in service.pids()
    run("systemctl", "stop", UNIT)
    all_gone(service)
    assert not is_alive(child)
    assert service.show("Result") == "success"


def test_stop_lets_requests_finish(service):
    """Debian's unit stops by graceful-stop."""
    go_on = HOME / "go-on"
    service.start()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        try:
            answer = pool.submit(service.get, f"/wait?{go_on}")
            until(lambda: "/wait" in run("cgatewayctl", "requests", HOST), "it to run")
            stopping = pool.submit(run, "systemctl", "stop", UNIT)
            until(lambda: service.show("ActiveState") == "deactivating", "the stop")
            go_on.touch()
            assert answer.result().status == 200
            stopping.result()
        finally:
            go_on.touch()
    go_on.unlink()
    all_gone(service)


def test_restart_serves_again(service):
    service.start()
    old = service.pids()
    run("systemctl", "restart", UNIT)
    until(lambda: service.get().status == 200, "the site")
    assert not old & service.pids()


@pytest.mark.parametrize("number", ["KILL", "SEGV", "ABRT"])
def test_a_main_process_that_is_killed_takes_everything_with_it(service, number):
    """Restart=on-abort of Debian's unit then starts it anew, the socket is free."""
    service.start()
    old = service.pids()
    run("systemctl", "kill", "--kill-whom=main", f"--signal={number}", UNIT)
    until(lambda: not any(map(is_alive, old)), "all to end")
    until(lambda: service.show("ActiveState") == "active" and service.get().status == 200,
          "the site again")


def test_limits_of_the_service_are_its_workers(service):
    service.drop_in("[Service]\nLimitNOFILE=54321\nTasksMax=150\n" + FILES % 54321)
    service.start("CGatewayProcesses 1")
    assert service.get("/tell").json()["files"] == 54321
    assert int(service.get("/spawn-many").text) < 150, "TasksMax"
    assert service.get().status == 200


def test_a_worker_that_is_out_of_the_service_s_memory_ends_alone(service):
    """OOMPolicy=continue, which Debian's unit has: else systemd would stop httpd."""
    service.drop_in("[Service]\nMemoryMax=300M\nMemorySwapMax=0\n")
    service.start("CGatewayProcesses 1")
    main = service.show("MainPID")
    for _ in range(2):
        assert service.get("/eat", "POST", b"x").status == 502
        assert service.get().status == 200
    service.wait_log("CGW0213.*the kernel sent for want of memory")
    assert service.show("MainPID") == main and service.show("ActiveState") == "active"


# ---- what docs/packaging.md says ------------------------------------------------------------

def test_the_hardening_of_the_documentation_works(service):
    service.drop_in(HARDENING + FILES % 65536)
    service.start("CGatewayPrivateTmp on")
    told = service.get("/tell").json()
    assert (told["files"], told["uid"]) == (65536, 5)
    assert service.get("/write?/usr/local/x").text == "read-only"
    assert service.get("/write?/sys/fs/cgroup/x").text in ("read-only", "PermissionError")
    assert service.get("/write?/tmp/x").text == "1"
    assert not os.path.exists("/tmp/x")
    old = service.workers()
    run("systemctl", "reload", UNIT)
    until(lambda: not old & service.workers() and service.workers(), "the reload")
    assert service.get().status == 200
    run("systemctl", "stop", UNIT)
    all_gone(service)


def test_the_capabilities_of_the_documentation_suffice(service):
    row = re.search(r"\| `CapabilityBoundingSet=` \| (.*) \|", PAGE)[1]
    words = sorted(set(re.findall(r"CAP_\w+", row)))
    service.drop_in(f"[Service]\nNoNewPrivileges=true\nCapabilityBoundingSet="
                    f"{' '.join(words)}\n")
    service.start("CGatewayPrivateTmp on", "CGatewayReadOnlySystem on", "CGatewayNice -2",
                  "CGatewayLimit nofile 100000")
    assert service.get("/tell").json()["files"] == 100000
    status = open(f"/proc/{min(service.workers())}/status", encoding="ascii").read()
    assert re.search(r"CapBnd:\s+0{16}\n", status)


def test_groups_have_control_groups_of_a_delegated_service(service):
    """httpd itself lies in one beside them; a stop leaves none."""
    service.drop_in(DELEGATION)
    service.before = f"CGatewayCgroupParent {CGROUP}"
    service.start(LIMIT, "CGatewayCgroup memory.max 200M",
                  "CGatewayCgroup cpu.max 150%", "CGatewayProcesses 1")
    group = Group(type("Parent", (), {"path": CGROUP}), HOST)
    assert group.get("pids.max") == "90" and group.get("memory.max") == str(200 << 20)
    assert service.workers() == group.pids()
    assert service.get("/eat", "POST", b"x").status == 502
    service.wait_log("CGW0213.*the kernel sent for want of memory")
    assert service.get().status == 200 and service.show("ActiveState") == "active"
    run("systemctl", "daemon-reload")
    run("systemctl", "reload", UNIT)
    until(lambda: service.get().status == 200 and service.workers() == group.pids(),
          "the reload")
    assert group.get("pids.max") == "90"
    run("systemctl", "stop", UNIT)
    all_gone(service)
    until(lambda: not CGROUP.exists(), "the control groups")


def test_a_service_that_is_not_delegated_says_what_to_do(service):
    service.before = f"CGatewayCgroupParent {CGROUP}"
    service.site(LIMIT)
    run("systemctl", "start", UNIT, check=False)
    assert service.show("ActiveState") == "failed"
    told = run("journalctl", "-b", "-n", "20", "-u", UNIT)
    assert "CGW0175" in told and "has processes of its own" in told


def test_control_groups_that_the_unit_protects_are_refused(service):
    parent = Directory(CGROUPS / "cgw-protected")
    service.drop_in("[Service]\nProtectControlGroups=true\n")
    service.before = f"CGatewayCgroupParent {parent.path}"
    service.site(LIMIT)
    try:
        run("systemctl", "start", UNIT, check=False)
        assert service.show("ActiveState") == "failed"
        told = run("journalctl", "-b", "-n", "20", "-u", UNIT)
    finally:
        parent.remove()
    assert "CGW0175" in told and "cannot be written: Read-only file system" in told
