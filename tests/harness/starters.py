# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test files have in common: a function that starts one site,
a.example, with more lines of its virtual host. Use: site = one_process("shop.wsgi", APP)."""

import pytest

from harness.ctl import Ctl
from harness.httpd import until


def one_process(name, source):
    """The application of that source in one process, so that what it remembers is all
    there is."""
    @pytest.fixture
    def site(httpd):
        def start(*lines):
            httpd.wsgi(httpd.app(name, source), "CGatewayProcesses 1", *lines)
            return httpd.start()
        return start
    return site


def with_marks(app):
    """An application of tests/apps, which leaves its marks where the test finds them."""
    @pytest.fixture
    def site(httpd, marks):
        def start(*lines):
            httpd.wsgi(app, f'CGatewayEnv MARKS "{marks}"', *lines)
            return httpd.start()
        return start
    return site


def that_serves(app, *always):
    """The same; waits for all its workers, and returns their pids."""
    @pytest.fixture
    def site(httpd, marks):
        def start(*lines):
            httpd.wsgi(app, f'CGatewayEnv MARKS "{marks}"', *always, *lines)
            httpd.start()
            until(lambda: Ctl(httpd).group("a.example")["state"] == "serving",
                  "all workers")
            return set(httpd.workers("a.example"))
        return start
    return site
