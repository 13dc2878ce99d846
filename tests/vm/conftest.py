# SPDX-License-Identifier: Apache-2.0
"""Tests for a virtual machine of their own: they set its clock and
restart its services. Anywhere else there are none."""

import os

from e2e.conftest import (as_root, httpd, marks, private,       # noqa: F401
                          pytest_runtest_makereport)

# tests/vm/run.sh makes it.
IN_THE_MACHINE = os.path.exists("/etc/cgateway-vm")
collect_ignore_glob = [] if IN_THE_MACHINE else ["test_*.py"]
