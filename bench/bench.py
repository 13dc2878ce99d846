#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures mod_cgateway beside its peers and beside what httpd can do at best: one
run, interleaved rounds, the same httpd, applications and number of processes and
threads. Writes results.md and plots. Fails on a wrong answer, and with --strict on a
goal that is missed."""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent / "tests")]

import goals  # noqa: E402
import ingredients  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import works  # noqa: E402
from servers import OURS_NAME, PEERS, Server  # noqa: E402

# What is measured with an application's servers beside the works.
BESIDE = {"hello.wsgi": "syscalls", "django.wsgi": "memory"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--only", action="append", default=[],
                        help="only work whose name contains this; may be repeated; "
                        "also syscalls, memory, start")
    parser.add_argument("--contender", action="append", default=[],
                        help="only contenders whose name contains this; may be repeated")
    parser.add_argument("--mod-wsgi", help="a mod_wsgi.so, in place of PyPI's mod_wsgi")
    parser.add_argument("--output", type=pathlib.Path, default=HERE,
                        help="directory of results.md and the plots")
    parser.add_argument("--before-others", action="store_true",
                        help="on a machine with other work: have this go first, one "
                        "work at a time (root; where the kernel schedules by session)")
    parser.add_argument("--strict", action="store_true", help="a missed goal is an error")
    parser.add_argument("--keep", action="store_true",
                        help="keep the servers' directories with their logs")
    return parser.parse_args()


class Run:
    """One run of the benchmark, in a directory of its own."""

    def __init__(self, options):
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cgwb", dir="/tmp"))
        self.directory.chmod(0o711)
        self.mod_wsgi, self.versions = ingredients.find_mod_wsgi(
            options.mod_wsgi, options.contender)
        self.contenders = ingredients.choose_contenders(options.contender, self.mod_wsgi)
        self.all_works = works.all_works(self.directory / "data" / "big")
        self.results, self.counts, self.sizes, self.starts = [], {}, {}, None

    def is_wanted(self, name):
        return ingredients.is_wanted(name, self.options.only)

    def work(self, name):
        return next(w for w in self.all_works if w.name == name)

    def make_servers(self, names, app):
        servers = [Server(c, app, self.directory, self.options.build, self.mod_wsgi)
                   for c in self.contenders if c.name in names]
        for server in servers:
            shutil.rmtree(server.root, ignore_errors=True)
            server.prepare()
        return servers

    def measure_work(self, work, servers):
        print(f"\n{work.name}\n", flush=True)
        mine = [s for s in servers if s.name in work.contenders]
        with measure.before_others(mine, self.options.before_others):
            rounds = measure.run_rounds(work, mine, self.options.rounds,
                                        self.options.seconds)
        self.results.append((work, rounds))
        print(report.rate_table(work, rounds), flush=True)

    def count_syscalls(self, servers):
        for server in servers:
            self.counts[server.name] = measure.count_syscalls(
                self.work(goals.TRIVIAL), server, self.directory)
        print("\nsystem calls\n\n" + report.syscall_table(self.counts), flush=True)

    def measure_memory(self, servers):
        self.sizes = measure.memory(servers, self.work(goals.HELLO),
                                    self.options.seconds)
        print("\nmemory\n\n" + report.memory_table(self.sizes), flush=True)

    def measure_app(self, app):
        mine = [w for w in self.all_works if w.app == app]
        names = {name for w in mine for name in w.contenders}
        with measure.started(self.make_servers(names, app)) as servers:
            for work in mine:
                if self.is_wanted(work.name):
                    self.measure_work(work, servers)
            if BESIDE.get(app) == "syscalls" and self.is_wanted("syscalls"):
                self.count_syscalls(servers)
            if BESIDE.get(app) == "memory" and self.is_wanted("memory"):
                self.measure_memory(servers)

    def measure_starts(self):
        servers = self.make_servers([OURS_NAME, *PEERS], "django.wsgi")
        self.starts = measure.cold_starts(servers, self.options.rounds)
        print("\ncold start\n\n" + report.start_table(self.starts), flush=True)

    def measure_all(self):
        for app in dict.fromkeys(w.app for w in self.all_works):
            names = [w.name for w in self.all_works if w.app == app]
            if any(map(self.is_wanted, [*names, BESIDE.get(app, names[0])])):
                self.measure_app(app)
        if self.is_wanted("start"):
            self.measure_starts()

    def judge(self):
        by_name = {work.name: rounds for work, rounds in self.results}
        return goals.judge(by_name, self.counts, self.sizes)

    def remove(self):
        if self.options.keep:
            print(f"bench: kept {self.directory}", flush=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def main():
    options = parse_arguments()
    run = Run(options)
    try:
        ingredients.build_limits(options.build / "bench")
        ingredients.make_data(run.directory)
        run.measure_all()
    finally:
        run.remove()
    options.output.mkdir(parents=True, exist_ok=True)
    judged = run.judge()
    report.write(options.output / "results.md", run, judged,
                 plots.draw(options.output, run.results))
    print("\n" + report.goal_table(judged), flush=True)
    if options.strict and not all(met for *_, met in judged):
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main())
