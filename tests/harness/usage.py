# SPDX-License-Identifier: Apache-2.0
"""What processes use: memory and descriptors."""

import contextlib
import os
import re

from harness.httpd import arguments


def httpd_children(httpd):
    words = {pid: arguments(pid) for pid in httpd.processes()}
    return [pid for pid, line in words.items()
            if pid != httpd.process.pid and "-f" in line]


def open_files(pid):
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def resident(pid):
    """Bytes of memory that are the process's own: what it maps of files is not."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) << 10
    return 0
