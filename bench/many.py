#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure an httpd with very many virtual hosts, each with a group of its own that the
first request starts.

For each number of sites, httpd with mod_cgateway takes turns with a plain httpd that has
the same virtual hosts without it: how long a start and a graceful restart take, what
everything has in memory while nothing is asked, and what a site that sleeps takes to
answer, beside `python3 application`, which is run just before with the same file and
does nothing but import it. Nothing is asserted; --strict makes a missed goal the exit
code.
"""

import argparse
import os
import pathlib
import random
import statistics
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import procs
from harness.ctl import Ctl
from harness.httpd import Httpd, until
from harness.paths import PYTHON

APPLICATION = """\
import time
time.sleep(0.2)    # stands for an import that takes so long
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"awake"]
"""
COLD_SITES = 20
GOALS = {"start": 3.0, "graceful": 2.0, "memory": 60.0, "cold": 0.1}


class Server:
    """One httpd with so many virtual hosts."""

    def __init__(self, sites, with_gateway, lines):
        self.sites = sites
        self.with_gateway = with_gateway
        # as /run is; ext4 takes the longer for a socket's file the more files have just
        # been deleted, as by the round before
        self.base = tempfile.mkdtemp(prefix="many", dir="/dev/shm")
        os.chmod(self.base, 0o711)
        self.httpd = Httpd(self.base)
        # as `make install` leaves it
        subprocess.run([PYTHON, "-m", "compileall", "-q", self.httpd.root / "modules"],
                       check=True)
        # what a busy machine's httpd forks and maps is not the question here
        self.httpd.main("StartServers 1\nMinSpareThreads 1\nMaxSpareThreads 33\n"
                        "LogLevel notice\n")
        self.app = self.httpd.app("many.wsgi", APPLICATION)
        root = self.httpd.mkdir("htdocs")
        for number in range(sites):
            own = [f'CGatewayApplication "{self.app}"', "CGatewayStart demand", *lines
                   ] if with_gateway else []
            self.httpd.main("\n".join([
                f"<VirtualHost *:{self.httpd.port}>", f"ServerName s{number}.example",
                f'DocumentRoot "{root}"', *own, "</VirtualHost>"]), key=f"s{number}")

    def start(self):
        """Seconds until the port answers; the configuration is written before."""
        began = time.monotonic()
        self.httpd.start()
        return time.monotonic() - began

    def graceful(self):
        """Seconds until the new configuration is at work and a request is answered."""
        began = time.monotonic()
        self.httpd.graceful()
        self.httpd.get("/", host="unknown.example")
        return time.monotonic() - began

    def configtest(self):
        began = time.monotonic()
        assert self.httpd.configtest().returncode == 0
        return time.monotonic() - began

    def ctl(self):
        """Seconds of a `cgatewayctl status`."""
        began = time.monotonic()
        groups = Ctl(self.httpd).json("status")["groups"]
        assert len(groups) == self.sites
        return time.monotonic() - began

    def descriptors(self):
        """Of httpd's parent and of the supervisor."""
        return [len(os.listdir(f"/proc/{pid}/fd"))
                for pid in (self.httpd.process.pid, self.httpd.supervisor())]

    def pids(self):
        return procs.tree([self.httpd.process.pid])

    def memory(self):
        """{role: MB of PSS}"""
        pids = self.pids()
        return procs.by_role(pids, procs.pss(pids))

    def cold(self, number):
        """Seconds: of the import by itself, and of the first request of a site."""
        began = time.monotonic()
        subprocess.run([PYTHON, self.app], env={}, check=True)
        imported = time.monotonic() - began
        began = time.monotonic()
        answer = self.httpd.get("/", host=f"s{number}.example")
        seconds = time.monotonic() - began
        assert answer.text == "awake", answer
        return imported, seconds

    def end(self):
        faults = self.httpd.check()
        self.httpd.remove()
        shutil.rmtree(self.base)
        if faults:
            raise SystemExit("\n".join(faults))


def measure(server, rounds):
    """What one server takes: a dictionary."""
    found = {"start": server.start()}
    until(lambda: "resuming normal" in server.httpd.log("main"), "httpd")
    found["memory"] = server.memory()
    found["configtest"] = min(server.configtest() for _ in range(rounds))
    found["graceful"] = min(server.graceful() for _ in range(rounds))
    if server.with_gateway:
        found["later"] = server.memory()
        found["descriptors"] = server.descriptors()
        found["ctl"] = min(server.ctl() for _ in range(rounds))
        chosen = random.Random(1).sample(range(server.sites),
                                         min(COLD_SITES, server.sites))
        both = [server.cold(number) for number in chosen]
        found["import"] = statistics.median(imported for imported, _ in both)
        found["cold"] = sorted(seconds - imported for imported, seconds in both)
        cpu = procs.cpu_us(server.pids())
        time.sleep(2)
        found["idle cpu"] = sum(procs.cpu_us(server.pids()).values()) - sum(cpu.values())
    return found


def compare(sites, rounds, lines):
    """(plain, ours): the best of the rounds in times, the last in memory."""
    best = [{}, {}]
    for _ in range(rounds):
        for at, with_gateway in enumerate((False, True)):
            server = Server(sites, with_gateway, lines)
            try:
                found = measure(server, rounds)
            finally:
                server.end()
            for key in ("start", "graceful", "configtest"):
                found[key] = min(found[key], best[at].get(key, found[key]))
            if "cold" in best[at] and statistics.median(
                    best[at]["cold"]) < statistics.median(found["cold"]):
                found.update((key, best[at][key]) for key in ("cold", "import"))
            best[at] = found
    return best


def row(sites, plain, ours):
    more = sum(ours["memory"].values()) - sum(plain["memory"].values())
    supervisor = ours["memory"].get("supervisor", 0.0)
    return {"sites": sites, "plain start": plain["start"], "start": ours["start"],
            "plain graceful": plain["graceful"], "graceful": ours["graceful"],
            "memory": more, "supervisor": supervisor,
            "import": ours["import"], "cold": statistics.median(ours["cold"]),
            "cold most": ours["cold"][len(ours["cold"]) * 9 // 10],
            "plain configtest": plain["configtest"], "configtest": ours["configtest"],
            "ctl": ours["ctl"], "descriptors": ours["descriptors"],
            "later": ours["later"].get("supervisor", 0.0),
            "idle": ours["idle cpu"] / 2e6}


def table(rows):
    print("| sites | start, plain httpd | start | graceful, plain | graceful | memory beyond "
          "plain | of it the supervisor | the import by itself | cold answer beyond it, "
          "median (90 %) |\n|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['sites']:,} | {r['plain start']:.2f} s | {r['start']:.2f} s "
              f"| {r['plain graceful']:.2f} s | {r['graceful']:.2f} s "
              f"| {r['memory']:.1f} MB | {r['supervisor']:.1f} MB "
              f"| {1000 * r['import']:.0f} ms "
              f"| {1000 * r['cold']:.0f} ms ({1000 * r['cold most']:.0f} ms) |")
    print("\n| sites | configtest, plain | configtest | cgatewayctl status | descriptors of "
          "httpd's parent, of the supervisor | the supervisor after graceful restarts |\n"
          "|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['sites']:,} | {r['plain configtest']:.2f} s | {r['configtest']:.2f} s "
              f"| {r['ctl']:.2f} s | {r['descriptors'][0]:,}, {r['descriptors'][1]:,} "
              f"| {r['later']:.1f} MB |")
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        more = last["sites"] - first["sites"]
        print(f"\nA further site: {1000 * (last['memory'] - first['memory']) / more:.0f} KB, "
              f"{1e3 * (last['start'] - first['start']) / more:.2f} ms of start, "
              f"{1e3 * (last['graceful'] - first['graceful']) / more:.2f} ms of graceful. "
              f"CPU time while nothing is asked: {100 * last['idle']:.1f} %.")


def missed(rows):
    last = rows[-1]
    return [f"{goal}: {last[goal]:.2f}, the goal is {most}"
            for goal, most in GOALS.items() if last[goal] > most]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--line", action="append", default=[],
                        help="one more directive of each group")
    options = parser.parse_args()
    os.umask(0o022)
    rows = [row(sites, *compare(sites, options.rounds, options.line))
            for sites in options.sites]
    table(rows)
    faults = missed(rows)
    print("\n" + ("\n".join(f"missed: {f}" for f in faults) or "All goals are met."))
    return 1 if options.strict and faults else 0


if __name__ == "__main__":
    sys.exit(main())
