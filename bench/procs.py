# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of a server's processes: who they are, CPU time, memory, and,
through strace, system calls."""

import collections
import contextlib
import os
import pathlib
import re
import signal
import subprocess

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
# First word of a command line -> role; what matches none is a worker.
ROLES = [("apache2", "httpd"), ("httpd", "httpd"), ("cgatewayd", "supervisor")]


def read(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode("latin-1")
    except OSError:
        return ""


def stat(pid):
    """The fields behind the name: state, ppid, ..."""
    return read(pid, "stat").rpartition(")")[2].split()


def role(pid):
    words = read(pid, "cmdline").split("\0")
    name = os.path.basename(words[0])
    return next((role for word, role in ROLES if name.startswith(word)), "worker")


def tree(roots):
    """{pid: role} of the processes and all that descend from them."""
    children = collections.defaultdict(list)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = stat(pid)
        if fields and fields[0] != "Z":
            children[int(fields[1])].append(int(pid))
    found, todo = {}, list(roots)
    while todo:
        pid = todo.pop()
        found[pid] = role(pid)
        todo += children[pid]
    return found


def cpu_us(pids):
    """{pid: CPU time in us so far}"""
    times = {}
    for pid in pids:
        fields = stat(pid)
        if fields:
            times[pid] = (int(fields[11]) + int(fields[12])) * TICK_US
    return times


def set_priority(pids, nice):
    """Of the sessions of these processes, where the kernel schedules by session."""
    for pid in pids:
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def by_role(processes, amounts):
    total = collections.Counter()
    for pid, amount in amounts.items():
        total[processes[pid]] += amount
    return dict(total)


def cpu_by_role(processes, before):
    """CPU time since `before` (of cpu_us) of each role."""
    now = cpu_us(processes)
    return by_role(processes, {pid: us - before.get(pid, 0) for pid, us in now.items()})


def megabytes(pid, name, field):
    found = re.search(rf"^{field}:\s+(\d+) kB", read(pid, name), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def pss(pids):
    """{pid: proportional set size in MB}: what is shared is divided."""
    return {pid: megabytes(pid, "smaps_rollup", "Pss") for pid in pids}


def forget_peaks(pids):
    for pid in pids:
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def peaks(pids):
    """{pid: peak resident size in MB since forget_peaks}"""
    return {pid: megabytes(pid, "status", "VmHWM") for pid in pids}


class Tracer:
    """Counts system calls of the processes while it is entered: `calls`."""

    def __init__(self, pids, directory):
        self.pids, self.calls = pids, {}
        self.log = pathlib.Path(directory, "strace")

    def __enter__(self):
        command = ["strace", "-f", "-c", "-o", self.log]
        for pid in self.pids:
            command += ["-p", str(pid)]
        self.tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        attached = 0
        while attached < len(self.pids) and self.tracer.stderr.readline():
            attached += 1
        return self

    def __exit__(self, *exc):
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.communicate()
        self.calls = count_calls(self.log.read_text())


def count_calls(table):
    """{system call: count} of strace's summary."""
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", table,
                      re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}
