# SPDX-License-Identifier: Apache-2.0
"""Rounds: every contender in turn, again and again, so that a noisy moment hits all
alike; who begins changes from round to round."""

import contextlib
import os
import statistics
import time

import procs

TRACE_SECONDS = 2


def rotated(sequence, by):
    by %= len(sequence)
    return sequence[by:] + sequence[:by]


class Rounds:
    """The figures of one work: contender -> one dict per round."""

    def __init__(self, names):
        self.figures = {name: [] for name in names}

    def median(self, name, figure):
        values = [r[figure] for r in self.figures.get(name, ()) if figure in r]
        return statistics.median(values) if values else None

    def spread(self, name, figure):
        values = [r[figure] for r in self.figures[name]]
        return (max(values) - min(values)) / (statistics.median(values) or 1)

    def ratio(self, name, other, figure="rate"):
        """The median of the rounds' own ratios: what disturbs a whole round does
        not count."""
        pairs = zip(self.figures.get(name, ()), self.figures.get(other, ()))
        ratios = [a[figure] / b[figure] for a, b in pairs if b.get(figure)]
        return statistics.median(ratios) if ratios else None


def measure_once(work, server, seconds):
    """One load with the CPU time and the peak memory of each role."""
    processes = server.processes()
    procs.forget_peaks(processes)
    before = procs.cpu_us(processes)
    figures = work.measure(server, seconds)
    for role, us in procs.cpu_by_role(processes, before).items():
        figures[f"cpu {role}"] = us / max(figures["requests"], 1)
    for role, mb in procs.by_role(processes, procs.peaks(processes)).items():
        figures[f"peak {role}"] = mb
    return figures


def count_syscalls(work, server, directory):
    """{role: {system call: per request}}; the load is traced, so nothing else of it
    counts. One role at a time: a program that strace holds up between two calls
    makes the other one wait, which costs that one calls."""
    processes = server.processes()
    result = {}
    for role in sorted(set(processes.values())):
        tracer = procs.Tracer([p for p, r in processes.items() if r == role], directory)
        with tracer:
            requests = work.measure(server, TRACE_SECONDS)["requests"]
        result[role] = {name: count / requests for name, count in tracer.calls.items()}
    return result


def run_rounds(work, servers, rounds, seconds):
    result = Rounds([server.name for server in servers])
    for n in range(rounds):
        for server in rotated(servers, n):
            result.figures[server.name].append(measure_once(work, server, seconds))
    return result


@contextlib.contextmanager
def before_others(servers, wanted):
    """Lets servers and clients run before all else on this machine, and then leaves
    it to the others for as long."""
    pids = {os.getpid(), *(pid for server in servers for pid in server.processes())}
    begin = time.monotonic()
    if wanted:
        procs.set_priority(pids, -20)
    try:
        yield
    finally:
        if wanted:
            procs.set_priority(pids, 0)
            time.sleep(time.monotonic() - begin)


@contextlib.contextmanager
def started(servers):
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def cold_starts(servers, rounds):
    """Milliseconds from the command to the first answer, one server at a time."""
    result = Rounds([server.name for server in servers])
    for n in range(rounds):
        for server in rotated(servers, n):
            begin = time.monotonic()
            with started([server]):
                ms = (time.monotonic() - begin) * 1000
            result.figures[server.name].append({"ms": ms})
    return result


def memory(servers, work, seconds):
    """{contender: {"workers": processes, role: MB of proportional set size}} after
    every worker has served."""
    result = {}
    for server in servers:
        work.measure(server, seconds)
        processes = server.processes()
        result[server.name] = procs.by_role(processes, procs.pss(processes))
        result[server.name]["processes"] = sum(r == "worker" for r in processes.values())
    return result
