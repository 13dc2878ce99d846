# SPDX-License-Identifier: Apache-2.0
"""CGatewayBatchScheduling: httpd's processes leave a running worker its processor."""

import contextlib
import os

import pytest

from harness.httpd import until


def policies(pid):
    """Of its threads; none where it has ended, as httpd's processes may at any time."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found.add(os.sched_getscheduler(int(thread)))
    return found


def wait_for_policy(httpd, policy):
    """Until every child of httpd's has it. A child that was forked just now has its
    parent's, and one of the generation before may be there for a while."""
    until(lambda: set().union(*map(policies, httpd.children())) == {policy}, "the policy")


@pytest.mark.parametrize("lines, policy", [("", os.SCHED_BATCH),
                                           ("CGatewayBatchScheduling On", os.SCHED_BATCH),
                                           ("CGatewayBatchScheduling Off", os.SCHED_OTHER)])
def test_only_the_processes_that_serve_are_batch(httpd, lines, policy):
    httpd.wsgi("info.wsgi")
    httpd.main(lines)
    httpd.start()
    assert httpd.get().status == 200
    wait_for_policy(httpd, policy)
    for pid in (httpd.process.pid, httpd.supervisor(), *httpd.group_processes("a.example")):
        assert policies(pid) == {os.SCHED_OTHER}


def test_graceful_changes_it(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    wait_for_policy(httpd, os.SCHED_BATCH)
    httpd.main("CGatewayBatchScheduling Off")
    httpd.graceful()
    wait_for_policy(httpd, os.SCHED_OTHER)


def test_a_policy_that_the_administrator_chose_stays(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    os.sched_setscheduler(httpd.process.pid, os.SCHED_IDLE, os.sched_param(0))
    httpd.graceful()
    wait_for_policy(httpd, os.SCHED_IDLE)


def test_an_httpd_without_groups_is_left_alone(httpd):
    httpd.listen()
    httpd.start()
    assert httpd.get("/").status == 404, "a child serves, and so has been through its start"
    wait_for_policy(httpd, os.SCHED_OTHER)
