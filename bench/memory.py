#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the memory of a Django site's workers, with and without CGatewayPreload.

Each variant is a virtual host of one private httpd that serves the example shop. After
the same requests to each, the table shows what a worker has for itself (private), its
share of everything (PSS: shared pages divided by their users), and the PSS of the whole
group with its template. Nothing is asserted.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from harness.httpd import Httpd, until
from harness.sites import Site

UNFROZEN = """\
import gc, os
os.register_at_fork(after_in_child=gc.unfreeze)
from shop.wsgi import application
"""
VARIANTS = {  # name: (host, further directives)
    "on": ("on.example", ["CGatewayPreload on"]),
    "on, without gc.freeze": ("unfrozen.example", ["CGatewayPreload on"]),
    "off": ("off.example", ["CGatewayPreload off"]),
}


def memory(pid):
    """(PSS, private) of a process, in MiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {key: int(value) for key, value in
           re.findall(r"^(\w+): +(\d+) kB$", text, re.M)}
    return kib["Pss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def configure(httpd, name, processes):
    host, lines = VARIANTS[name]
    site = Site(httpd, "shop", host, "shop.settings")
    if "without" in name:
        wrapper = httpd.write(f"sites/{host}.wsgi", UNFROZEN)
        lines = [*lines, f'CGatewayApplication "{wrapper}"']
    site.configure(f"CGatewayProcesses {processes}", *lines)
    return site.populate()


def ask(httpd, host, processes, requests):
    """So many requests, some at a time, so that every worker has its share."""
    with concurrent.futures.ThreadPoolExecutor(4 * processes) as pool:
        answers = pool.map(lambda _: httpd.get("/", host=host).status, range(requests))
        assert set(answers) == {200}


def report(httpd, processes, requests):
    print("| CGatewayPreload | private, per worker | PSS, per worker | PSS of the group "
          f"({processes} workers) |\n|---|---|---|---|")
    for name, (host, _) in VARIANTS.items():
        until(lambda host=host: len(httpd.workers(host)) == processes, "the workers")
        ask(httpd, host, processes, requests)
        workers = [memory(pid) for pid in httpd.workers(host)]
        group = sum(memory(pid)[0] for pid in httpd.group_processes(host))
        print(f"| {name} | {statistics.mean(w[1] for w in workers):.1f} MiB "
              f"| {statistics.mean(w[0] for w in workers):.1f} MiB | {group:.1f} MiB |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--requests", type=int, default=6000)
    options = parser.parse_args()
    os.umask(0o022)
    httpd = Httpd()
    try:
        for name in VARIANTS:
            configure(httpd, name, options.processes)
        httpd.start()
        report(httpd, options.processes, options.requests)
    finally:
        faults = httpd.check()
        httpd.remove()
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
