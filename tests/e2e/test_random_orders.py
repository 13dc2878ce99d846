# SPDX-License-Identifier: Apache-2.0
"""Deploys, restarts and deaths in an order that nobody thought of, under load, with an
account of every request: a soak (make -f Makefile.apxs soak). CGW_SEED repeats one."""

import collections
import dataclasses
import os
import random
import signal
import threading
import time

import pytest

from harness.ctl import Ctl
from harness.httpd import accepts, until
from harness.openloop import OpenLoop
from harness.paths import PYTHON, SOAK

pytestmark = pytest.mark.skipif(not SOAK, reason="a soak")

SECONDS = int(os.environ.get("CGW_SECONDS", "120"))
SEED = int(os.environ.get("CGW_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
THREADS = 8
# Each request leaves a line when it begins, and one when it ends.
APP = """\
import os
import time

journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
time.sleep({seconds})


def application(environ, start_response):
    number = environ["PATH_INFO"].rpartition("/")[2]
    os.write(journal, b"begin %s %d\\n" % (number.encode(), os.getpid()))
    environ["wsgi.input"].read()
    time.sleep(0.5 if number.endswith("77") else 0.01)
    os.write(journal, b"end %s %d\\n" % (number.encode(), os.getpid()))
    start_response("200 OK", [("Content-Length", "{length}")])
    return [b"{version}"]
"""


def app(version, seconds=0.0):
    return APP.format(version=version, length=len(str(version)), seconds=seconds)


@dataclasses.dataclass
class Span:
    """When something was done, and to which process."""

    began: float
    ended: float
    pid: int = 0


class Schedule:
    """What may happen, each with its weight."""

    STEPS = {"graceful": 6, "deploy": 6, "slow_deploy": 2, "bad_deploy": 3, "reload": 4,
             "two_reloads": 2, "restart": 2, "stop_and_start": 2, "kill_worker": 4,
             "kill_template": 3, "kill_supervisor": 1, "pause_worker": 2, "resize": 2}

    def __init__(self, httpd, group):
        self.httpd, self.group, self.ctl = httpd, group, Ctl(httpd)
        self.random = random.Random(SEED)
        self.version = 1
        self.done = collections.Counter()
        self.kills, self.stops = [], []

    def configure(self, processes=4):
        """One group, at the root of one virtual host and below a URL of another."""
        self.httpd.main(f"""
ServerLimit 128
<CGatewayGroup {self.group}>
    CGatewayApplication "{self.httpd.root}/apps/site.wsgi"
    CGatewayPython {PYTHON}
    CGatewayProcesses {processes}
    CGatewayThreads {THREADS}
    CGatewayQueueSize 4000
    CGatewayEnv JOURNAL "{self.httpd.root}/journal"
</CGatewayGroup>
""")
        self.httpd.vhost("a.example", f"CGatewayMount / {self.group}")
        self.httpd.vhost("b.example", f"CGatewayMount /below/it {self.group}")

    def run(self, until_when):
        while time.monotonic() < until_when:
            name, = self.random.choices(list(self.STEPS), self.STEPS.values())
            getattr(self, name)()
            self.done[name] += 1
            time.sleep(self.random.choice((0, 0.05, 0.3, 1)))

    def order(self, *words):
        """In the middle of another one it may fail."""
        self.ctl(*words, self.group)

    # ---- deploys

    def graceful(self):
        self.httpd.graceful()

    def deploy(self, seconds=0.0):
        self.version += 1
        self.httpd.app("site.wsgi", app(self.version, seconds))

    def slow_deploy(self):
        self.deploy(1)

    def bad_deploy(self):
        self.httpd.app("site.wsgi", self.random.choice((
            "def application(:\n", "import os\nos._exit(0)\n", "import os\nos.abort()\n",
            "import os\nos.closerange(0, 100)\n", "application = 5\n")))
        time.sleep(self.random.choice((0.1, 1)))
        self.deploy()

    def reload(self):
        self.order("reload")

    def two_reloads(self):
        orders = [threading.Thread(target=self.order, args=("reload",)) for _ in "12"]
        for order in orders:
            order.start()
        for order in orders:
            order.join()

    def resize(self):
        self.configure(self.random.choice((1, 4, 8)))
        self.httpd.graceful()

    # ---- restarts

    def restart(self):
        self.order("restart")

    def stop_and_start(self):
        began = time.monotonic()
        self.order("stop")
        time.sleep(self.random.random())
        self.order("start")
        self.stops.append(Span(began, time.monotonic()))

    # ---- deaths

    def end(self, pid):
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.kills.append(Span(began, time.monotonic(), pid))

    def kill_worker(self):
        for pid in self.httpd.workers(self.group)[:1]:
            self.end(pid)

    def kill_template(self):
        for pid in self.httpd.group_processes(self.group):
            if not accepts(pid):
                self.end(pid)
                return

    def kill_supervisor(self):
        former = self.httpd.supervisor()
        os.kill(former, signal.SIGKILL)
        until(lambda: self.httpd.supervisor() not in (None, former), "another supervisor")

    def pause_worker(self):
        for pid in self.httpd.workers(self.group)[:1]:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(self.random.random())
            os.kill(pid, signal.SIGCONT)


class Journal:
    """What the application says of each request: in which processes it began, and in
    which it ended."""

    def __init__(self, path):
        self.began, self.ended = collections.defaultdict(list), {}
        for line in path.read_text().splitlines():
            what, number, pid = line.split()
            if what == "begin":
                self.began[number].append(int(pid))
            else:
                self.ended[number] = int(pid)

    def of(self, outcome):
        return self.began[outcome.path.rpartition("/")[2]]


def overlaps(outcome, spans):
    return any(outcome.intended <= s.ended and s.began <= outcome.intended
               + outcome.latency for s in spans)


def unexplained(load, journal, schedule):
    """Outcomes that none of what happened accounts for."""
    killed = {kill.pid for kill in schedule.kills}
    for outcome in load.failures():
        began = journal.of(outcome)
        if outcome.error == "stale":
            continue    # a kept connection, at graceful
        if outcome.status == 503 and not began and overlaps(outcome, schedule.stops):
            continue
        if outcome.status == 502 and overlaps(outcome, schedule.kills) \
                and set(began) <= killed and (load.method == "POST" or len(began) > 1):
            continue
        yield outcome, began


def run_twice(load, journal, schedule):
    """A request that runs a second time is a GET whose first process was killed."""
    killed = {kill.pid for kill in schedule.kills}
    for outcome in load.outcomes:
        began = journal.of(outcome)
        if len(began) > (1 if load.method == "POST" else 2) \
                or (len(began) == 2 and began[0] not in killed):
            yield outcome, began


def targets(first, count):
    """Of both virtual hosts, a path of its own for each request."""
    return [("b.example", f"/below/it/{number}") if number % 3 == 0
            else ("a.example", f"/{number}") for number in range(first, first + count)]


def test_any_order_of_deploys_and_deaths_costs_what_it_must_and_no_more(httpd):
    print(f"\nseed {SEED}")
    httpd.expect_log("CGW", r"\] shared: ", r"AH00(161|28[67]|484)")
    httpd.write("journal", "", 0o666)
    httpd.app("site.wsgi", app(1))
    schedule = Schedule(httpd, "shared")
    schedule.configure()
    httpd.start()
    until(lambda: schedule.ctl.group("shared")["state"] == "serving", "all workers")
    most = SECONDS * 1000
    with OpenLoop(httpd.port, targets(0, most), 140) as gets, \
            OpenLoop(httpd.port, targets(most, most), 60, method="POST",
                     body=b"x" * 100) as posts:
        schedule.run(time.monotonic() + SECONDS)
        schedule.deploy()
        last = str(schedule.version).encode()
        until(lambda: {o.body for o in gets.outcomes[-50:]} == {last}, "the last version")
    journal = Journal(httpd.root / "journal")
    print(f"done: {dict(schedule.done)}\nGET: {gets.summary()}; p99 {gets.latency(.99):.3f} "
          f"s\nPOST: {posts.summary()}; p99 {posts.latency(.99):.3f} s")
    for load in (gets, posts):
        assert list(unexplained(load, journal, schedule)) == []
        assert list(run_twice(load, journal, schedule)) == []
    lost = sum(o.status == 502 for o in posts.outcomes)
    assert lost <= THREADS * len(schedule.kills)
