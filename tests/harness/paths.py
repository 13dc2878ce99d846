# SPDX-License-Identifier: Apache-2.0
"""Where things are, and who runs the tests."""

import os
import pathlib
import re

import private_httpd

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CGW_TEST_BUILD", ROOT / "build")).absolute()
APPS = ROOT / "tests" / "apps"
EXAMPLES = ROOT / "examples"
PYTHON = "/usr/bin/python3"
AS_ROOT = os.geteuid() == 0
MPM = os.environ.get("CGW_TEST_MPM", "event")
# Sanitizer runtimes, which must be loaded before what was built with them.
PRELOAD = os.environ.get("CGW_TEST_PRELOAD", "")
ASAN_OPTIONS = os.environ.get("ASAN_OPTIONS", "detect_leaks=0")
# Everything is slower with sanitizers.
PATIENCE = 180 if PRELOAD else 60
HTTPD = private_httpd.find_httpd()
HTTPD_MODULES = private_httpd.find_modules()
# How the names of groups' sockets end (CGW_WIRE_SOCKET).
SOCKET = ".sock" + re.search(r"#define CGW_WIRE_VERSION (\d+)", (
    ROOT / "include" / "cgw_wire.h").read_text())[1]
# The account of httpd's children when root starts it.
HTTPD_USER = "www-data"
# The long versions of tests: make -f Makefile.apxs soak.
SOAK = bool(os.environ.get("CGW_SOAK"))


def soak(long, short):
    """A measure of the soak, and the one of every other run."""
    return long if SOAK else short
