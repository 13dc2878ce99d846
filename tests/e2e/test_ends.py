# SPDX-License-Identifier: Apache-2.0
"""What ends, what survives, and what the client sees: the table of docs/operations.md,
row by row. What dies of itself or by SIGKILL within a group is in test_faults.py."""

import signal

import pytest

from harness.httpd import until
from harness.lasting import BROKEN_OFF, Requests
from harness.openloop import OpenLoop

# name -> (signal to httpd's parent, running requests finish, httpd goes on)
ROWS = {"stop": (signal.SIGTERM, False, False),
        "graceful-stop": (signal.SIGWINCH, True, False),
        "restart": (signal.SIGHUP, False, True),
        "graceful": (signal.SIGUSR1, True, True),
        "SIGKILL": (signal.SIGKILL, False, False)}


def is_refused(httpd):
    """Whether nobody listens. A connection may also be cut while httpd ends."""
    with OpenLoop(httpd.port, [("a.example", "/quick")], 100) as probe:
        until(lambda: probe.outcomes, "an outcome")
    return probe.outcomes[-1].error == "ConnectionRefusedError"


@pytest.mark.parametrize("row", ROWS)
def test_end_of_httpd(httpd, marks, row):
    number, finishes, goes_on = ROWS[row]
    httpd.wsgi("faults.wsgi", f'CGatewayEnv MARKS "{marks}"', "CGatewayThreads 16",
               "CGatewayDrainTimeout 30s")
    httpd.start()
    httpd.expect_log("CGW0132", "CGW0123", "CGW0133")
    if number == signal.SIGKILL:    # httpd's children live on for a moment
        httpd.expect_log("CGW0130")
    until(lambda: len(httpd.workers("a.example")) == 2, "two workers")
    former, supervisor = set(httpd.group_processes("a.example")), httpd.supervisor()
    requests = Requests(httpd, marks)
    requests.start()
    httpd.signal(number)
    if goes_on:
        until(lambda: len(set(httpd.workers("a.example")) - former) == 2,
              "the new workers")
        assert int(httpd.get("/quick").text) not in former
    else:
        until(lambda: is_refused(httpd), "httpd to close its port")
    if finishes:
        assert former & set(httpd.processes()), "they work on"
    else:
        until(lambda: not former & set(httpd.processes()), "the former ones to end")
    results = requests.finish()
    assert set(results.values()) <= {200 if finishes else BROKEN_OFF}
    until(lambda: not former & set(httpd.processes()), "the former ones to end")
    if goes_on:
        assert httpd.supervisor() == supervisor
    else:
        httpd.process.wait()
        until(lambda: not httpd.processes(), "every process to end")
        until(lambda: not (httpd.root / "run").exists(), "the runtime directory to go")
