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
        # at graceful the former ones accept until the new ones say that they do
        until(lambda: int(httpd.get("/quick").text) not in former, "them to answer")
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


AT_EXIT = """\
import atexit, os, pathlib, time
MARKS = pathlib.Path(os.environ["MARKS"])

def write():
    time.sleep(0.3)
    (MARKS / f"ended-{os.getpid()}").touch()

atexit.register(write)

def application(environ, start_response):
    while not (MARKS / "go-on").exists() and environ["PATH_INFO"] == "/wait":
        (MARKS / "waits").touch()
        time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGWINCH])
def test_httpd_ends_when_nothing_of_it_is_left_to_be_killed(httpd, marks, number):
    """As systemd does at once with what is left (KillMode=mixed): workers would not end
    in order, and the runtime directory would stay."""
    httpd.wsgi(httpd.app("at_exit.wsgi", AT_EXIT), f'CGatewayEnv MARKS "{marks}"')
    httpd.start()
    workers = until(lambda: len(w := httpd.workers("a.example")) == 2 and w, "two workers")
    httpd.signal(number)
    httpd.process.wait()
    assert httpd.processes() == []
    assert not (httpd.root / "run").exists()
    for pid in workers:
        assert (marks / f"ended-{pid}").exists(), "atexit"


def test_httpd_does_not_wait_for_an_application_that_goes_on(httpd, marks):
    """Longer than the 3 s that its processes have; the port is free before."""
    httpd.expect_log("CGW0132", "CGW0133", "CGW0123")
    httpd.wsgi(httpd.app("at_exit.wsgi", AT_EXIT), f'CGatewayEnv MARKS "{marks}"')
    httpd.start()
    with httpd.raw() as raw:
        raw.send(b"GET /wait HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until((marks / "waits").exists, "the request to run")
        httpd.signal(signal.SIGTERM)
        until(lambda: is_refused(httpd), "httpd to close its port")
        httpd.process.wait()
    assert httpd.processes() == [] and not (httpd.root / "run").exists()
