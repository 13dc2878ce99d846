#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a deploy and an `apachectl graceful` cost: requests that fail, and the
slowest, under an open-loop load, beside the peers. The import takes 2 s; requests of
8 s are under way all the time. Prints Markdown; nothing is asserted."""

import argparse
import dataclasses
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent / "tests")]

import ingredients  # noqa: E402
import servers  # noqa: E402
from harness.openloop import OpenLoop  # noqa: E402
from measure import rotated  # noqa: E402

APP = "deploy.wsgi"
RATE, LASTING = 200, 8
# What each has for it: time for requests under way, one worker process after the other.
TUNED = {
    "mod_wsgi": {"conf": servers.MOD_WSGI.replace(
        "display-name", "graceful-timeout=60 shutdown-timeout=60 display-name")},
    "uwsgi": {"backend": servers.UWSGI + " --lazy-apps --touch-chain-reload {root}/new "
              "--worker-reload-mercy 60"},
    "gunicorn": {"backend": servers.GUNICORN + " --graceful-timeout 60"}}


def tuned(contender):
    changes = next((more for name, more in TUNED.items()
                    if contender.name.startswith(name)), {})
    return dataclasses.replace(contender, **changes)


def graceful(server):
    os.kill(server.httpd_pid(), signal.SIGUSR1)


def deploy(server):
    """In the way that this one has for new code."""
    if server.name == "gunicorn":
        os.kill(server.backend.pid, signal.SIGHUP)
    elif server.name == "uwsgi":
        (server.root / "new").touch()
    else:
        (server.root / APP).touch()


WAYS = {"deploy": deploy, "apachectl graceful": graceful}


@dataclasses.dataclass
class Cost:
    """What events cost one contender."""
    sent: int = 0
    failed: int = 0     # an error status, or no complete response
    closed: int = 0     # kept connections that httpd let go of as they were used
    slowest: float = 0.0
    long_sent: int = 0
    long_failed: int = 0

    def add(self, short, long):
        closed = [o for o in short.outcomes if o.error == "stale"]
        self.sent += len(short.outcomes)
        self.failed += len(short.failures()) - len(closed)
        self.closed += len(closed)
        self.slowest = max(self.slowest, short.latency())
        self.long_sent += len(long.outcomes)
        self.long_failed += len(long.failures())


def measure(server, event, events, cost):
    """One round: so many events, each long enough after the one before to be over."""
    (server.root / "new").touch()
    server.start()
    try:
        with OpenLoop(server.port, [("localhost", "/")], RATE) as short, \
                OpenLoop(server.port, [("localhost", f"/?{LASTING}")], 0.5, 1) as long:
            time.sleep(LASTING)
            for _ in range(events):
                event(server)
                time.sleep(LASTING)
    finally:
        server.stop()
    cost.add(short, long)


def table(way, costs):
    print(f"\n**{way}**\n\n| | requests | failed | kept connections closed | slowest | "
          f"requests of {LASTING} s | of them cut off |\n|---|---|---|---|---|---|---|")
    for name, c in costs.items():
        print(f"| {name} | {c.sent:,} | {c.failed} | {c.closed} | {c.slowest:.2f} s | "
              f"{c.long_sent} | {c.long_failed} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--events", type=int, default=5, help="in each round")
    parser.add_argument("--contender", action="append", default=[],
                        help="only contenders whose name contains this; may be repeated")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="cgwb", dir="/tmp"))
    directory.chmod(0o711)
    mod_wsgi, versions = ingredients.find_mod_wsgi(None, options.contender)
    chosen = [tuned(c) for c in ingredients.choose_contenders(options.contender, mod_wsgi)
              if c.name in (servers.OURS_NAME, *servers.PEERS)]
    print(versions)
    try:
        (directory / "data").mkdir()
        for way, event in WAYS.items():
            costs = {c.name: Cost() for c in chosen}
            for number in range(options.rounds):
                for contender in rotated(chosen, number):
                    server = servers.Server(contender, APP, directory, options.build,
                                            mod_wsgi)
                    server.prepare()
                    measure(server, event, options.events, costs[contender.name])
                    shutil.rmtree(server.root)
            table(way, costs)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
