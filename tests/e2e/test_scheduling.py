# SPDX-License-Identifier: Apache-2.0
"""CGatewayBatchScheduling: httpd's processes leave a running worker its processor."""

import os

import pytest

from harness.httpd import group_of, until


def policies(pid):
    return {os.sched_getscheduler(int(thread)) for thread in os.listdir(f"/proc/{pid}/task")}


def children(httpd):
    """httpd's processes without its parent, the supervisor and those of groups."""
    return [pid for pid in httpd.processes()
            if pid not in (httpd.supervisor(), httpd.process.pid) and not group_of(pid)]


@pytest.mark.parametrize("lines, policy", [("", os.SCHED_BATCH),
                                           ("CGatewayBatchScheduling On", os.SCHED_BATCH),
                                           ("CGatewayBatchScheduling Off", os.SCHED_OTHER)])
def test_only_the_processes_that_serve_are_batch(httpd, lines, policy):
    httpd.wsgi("info.wsgi")
    httpd.main(lines)
    httpd.start()
    assert httpd.get().status == 200
    assert children(httpd)
    for pid in children(httpd):
        assert policies(pid) == {policy}
    for pid in (httpd.process.pid, httpd.supervisor(), *httpd.group_processes("a.example")):
        assert policies(pid) == {os.SCHED_OTHER}


def restarted(httpd):
    """The children that graceful has started, once they serve alone."""
    old = set(children(httpd))
    httpd.graceful()
    return until(lambda: not old & set(children(httpd)) and children(httpd),
                 "httpd's processes to be replaced")


def test_graceful_changes_it(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    httpd.main("CGatewayBatchScheduling Off")
    assert {policy for pid in restarted(httpd) for policy in policies(pid)} \
        == {os.SCHED_OTHER}


def test_a_policy_that_the_administrator_chose_stays(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    os.sched_setscheduler(httpd.process.pid, os.SCHED_IDLE, os.sched_param(0))
    assert {policy for pid in restarted(httpd) for policy in policies(pid)} \
        == {os.SCHED_IDLE}


def test_an_httpd_without_groups_is_left_alone(httpd):
    httpd.listen()
    httpd.start()
    for pid in children(httpd):
        assert policies(pid) == {os.SCHED_OTHER}
