# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: an httpd per test, checked after it."""

import contextlib
import os

import pytest

from harness.httpd import Httpd
from harness.paths import AS_ROOT, HTTPD_USER


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets a fixture see whether its test failed."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)


@contextlib.contextmanager
def private(request, base="/tmp"):
    """An httpd, not started yet. After the test it is stopped, and nothing undeclared
    may be in its logs, no process, socket or shared memory be left."""
    os.umask(0o022)
    server = Httpd(base)
    try:
        yield server
        faults = server.check()
        report = getattr(request.node, "report_call", None)
        failed = report is None or report.failed
        if faults or failed:
            print(server.all_logs())
        assert not faults, "\n".join(faults)
    finally:
        server.check_processes()
        server.remove()


@pytest.fixture
def httpd(request):
    with private(request) as server:
        yield server


@pytest.fixture
def plain_httpd(request):
    """One without mod_cgateway, to compare with."""
    with private(request) as server:
        server.is_plain = True
        yield server


@pytest.fixture
def httpd_outside_tmp(request):
    """One in a place where a group is not allowed to write anyhow."""
    with private(request, "/var/lib" if AS_ROOT else os.path.expanduser("~")) as server:
        yield server


@pytest.fixture
def marks(httpd):
    """A directory where an application leaves marks for its test."""
    return httpd.mkdir("marks", owner=HTTPD_USER)


@pytest.fixture
def as_root():
    if not AS_ROOT:
        pytest.skip("httpd changes users only as root")
