# SPDX-License-Identifier: Apache-2.0
"""Makes tests/harness and tools/ importable for every test."""

import pathlib
import signal
import sys

TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "tools")]

# What a shell has started in the background ignores it, and whom tests start inherits that.
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
