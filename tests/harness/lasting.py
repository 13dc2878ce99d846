# SPDX-License-Identifier: Apache-2.0
"""Requests of tests/apps/faults.wsgi that run while something happens."""

import concurrent.futures
import contextlib
import http.client

from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import PATIENCE

BROKEN_OFF = "broken off"


class Requests:
    """Some that run while something happens: 4 GETs and 4 POSTs that wait, and 4
    responses that stop in the middle."""

    KINDS = [("wait", "GET"), ("wait", "POST"), ("half", "GET")]

    def __init__(self, httpd, marks):
        self.httpd, self.marks = httpd, marks
        self.pool = concurrent.futures.ThreadPoolExecutor(12)
        self.futures = {}

    def start(self):
        """Returns once each of them runs."""
        for number in range(12):
            kind, method = self.KINDS[number % 3]
            self.futures[number] = self.pool.submit(self.ask, kind, number, method)
        until(lambda: len(self.running()) == 12, "the requests to run")
        return self.running()

    def running(self):
        """Number -> pid, of the first process that ran it."""
        found = {}
        for mark in sorted(self.marks.glob("*-*-*"), key=lambda m: m.stat().st_mtime_ns):
            _, number, pid = mark.name.split("-")
            found.setdefault(int(number), int(pid))
        return found

    def ask(self, kind, number, method):
        """The status, or how the response broke off."""
        try:
            answer = self.httpd.request(f"/{kind}/{number}", method, b"x" if
                                        method == "POST" else None)
        except (OSError, http.client.HTTPException):
            return BROKEN_OFF
        return answer.status

    def finish(self):
        """Lets them go on: number -> what came of it."""
        (self.marks / "go-on").touch()
        results = {n: f.result(PATIENCE) for n, f in self.futures.items()}
        self.pool.shutdown()
        return results


@contextlib.contextmanager
def load(httpd, rate=50, path="/quick", host="a.example"):
    """Runs from well before the fault until well behind it."""
    with OpenLoop(httpd.port, [(host, path)], rate) as running:
        until(lambda: len(running.outcomes) > rate, "the load before")
        yield running
        seen = len(running.outcomes)
        until(lambda: len(running.outcomes) > seen + rate, "the load behind")
    print(f"\n{running.summary()}; p50 {running.latency(.5):.4f} p99 "
          f"{running.latency(.99):.4f} max {running.latency():.4f} s")
