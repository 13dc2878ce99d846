# SPDX-License-Identifier: Apache-2.0
"""Groups that change at `graceful`, the others that do not notice, and nothing that
is left behind by hundreds of graceful restarts."""

import contextlib
import os
import pathlib
import pwd
import time

import pytest

from harness.httpd import until
from harness.openloop import OpenLoop
from harness.paths import HTTPD_USER, MPM, PRELOAD, PYTHON, soak

# Tells who answers, after as many seconds as the query says.
APP = """\
import os
import time


def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    body = f"{os.getpid()} {os.geteuid()} {GREETING}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
KEPT = "CGatewayReloadOnGraceful changed"
WAITS = """\
import os
import time

open("{marks}/imports", "w").close()
while not os.path.exists("{marks}/go-on"):
    time.sleep(0.02)
"""


def site(httpd, name, *lines, greeting="hello"):
    source = APP.replace("{GREETING}", greeting)
    httpd.wsgi(httpd.app(f"{name}.wsgi", source), KEPT, *lines, name=name)


def shared(httpd, group, *lines):
    """A named group, and a.example that mounts it."""
    app = httpd.app("shared.wsgi", APP.replace("{GREETING}", group))
    body = "\n".join([f'CGatewayApplication "{app}"', f"CGatewayPython {PYTHON}", *lines])
    httpd.main(f"<CGatewayGroup {group}>\n{body}\n</CGatewayGroup>")
    httpd.vhost("a.example", f"CGatewayMount / {group}")


def settled(httpd, group, workers=2):
    """The processes of a group, once it has just these workers and their template."""
    return until(lambda: len(httpd.workers(group)) == workers
                 and len(p := set(httpd.group_processes(group))) == workers + 1 and p,
                 f"{workers} workers of {group}")


def stale(outcome):
    """httpd closes kept connections at graceful."""
    return outcome.error == "stale"


class Bystander:
    """Another group, under a load, while something happens to the first one."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.load = OpenLoop(httpd.port, [("b.example", "/")], 50)

    def __enter__(self):
        self.pids = settled(self.httpd, "b.example")
        self.load.__enter__()
        until(lambda: len(self.load.outcomes) > 20, "the load before")
        return self

    def __exit__(self, failure, *_):
        seen = len(self.load.outcomes)
        if not failure:
            until(lambda: len(self.load.outcomes) > seen + 50, "the load after")
        self.load.__exit__()
        if not failure:
            assert [o for o in self.load.failures() if not stale(o)] == []
            assert settled(self.httpd, "b.example") == self.pids
            served = {int(o.body.split()[0]) for o in self.load.outcomes if o.status}
            assert served <= self.pids


@pytest.fixture
def two(httpd):
    site(httpd, "a.example")
    site(httpd, "b.example")
    httpd.start()
    return httpd


def test_a_group_is_added(two):
    with Bystander(two):
        site(two, "c.example")
        two.graceful()
        assert two.get(host="c.example").text.endswith("hello")
        settled(two, "c.example")


def test_a_group_is_removed_and_finishes_what_it_has(two):
    settled(two, "a.example")
    with Bystander(two), two.raw() as raw:
        raw.send(b"GET /?3 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        until(lambda: two.connections("a.example"), "the request to run")
        del two.parts[f"a.example:{two.port}"]
        two.graceful()
        assert raw.receive_all()[0].endswith(b"hello")
        until(lambda: not two.group_processes("a.example"), "its processes to end")
        until(lambda: not two.socket().exists(), "its socket")


@contextlib.contextmanager
def removed_while_it_starts(httpd, marks, source):
    """A request that waits for the import of a group which has been removed."""
    site(httpd, "b.example")
    httpd.start()
    httpd.wsgi(httpd.app("slow.wsgi", WAITS.format(marks=marks) + source))
    httpd.graceful()
    with httpd.raw() as raw:
        raw.ask("/", b"x")
        until(lambda: (marks / "imports").exists() and httpd.connections("a.example"),
              "the request to wait for the import")
        del httpd.parts[f"a.example:{httpd.port}"]
        httpd.graceful()
        yield raw


def test_a_group_that_is_removed_while_it_starts_answers_who_waits(httpd, marks):
    """Nobody else would: the requests are at a socket that httpd has forgotten."""
    source = APP.replace("{GREETING}", "late")
    with removed_while_it_starts(httpd, marks, source) as raw:
        began = time.monotonic()
        # in the soak, for longer than a group is there after it was removed
        until(lambda: time.monotonic() > began + soak(12, 0), "some time", 60)
        (marks / "go-on").touch()
        assert raw.receive_all()[0].endswith(b"late")
    until(lambda: not httpd.group_processes("a.example"), "its processes to end")
    until(lambda: not httpd.socket().exists(), "its socket")


def test_a_group_that_is_removed_while_it_starts_and_fails_says_so(httpd, marks):
    httpd.expect_log("CGW0411", "CGW0221", "CGW0121", r"\] a\.example: ", "no worker")
    with removed_while_it_starts(httpd, marks, "raise ValueError(1)\n") as raw:
        (marks / "go-on").touch()
        assert raw.receive_all()[0].startswith(b"HTTP/1.1 503 ")


def test_a_group_that_is_removed_comes_back_at_once(two):
    """Two graceful restarts in a row: its sockets have different files by then."""
    vhost = two.parts[f"a.example:{two.port}"]
    with Bystander(two):
        for _ in range(5):
            del two.parts[f"a.example:{two.port}"]
            two.graceful()
            two.parts[f"a.example:{two.port}"] = vhost
            two.graceful()
            assert two.get("/").text.endswith("hello")
        settled(two, "a.example")


def test_a_group_is_renamed_under_load(httpd):
    shared(httpd, "former")
    site(httpd, "b.example")
    httpd.start()
    with Bystander(httpd), OpenLoop(httpd.port, [("a.example", "/")], 50) as load:
        until(lambda: len(load.outcomes) > 20, "the load before")
        shared(httpd, "latter")
        httpd.graceful()
        until(lambda: load.outcomes[-1].body.endswith(b"latter"), "the new group")
        until(lambda: not httpd.group_processes("former"), "the former one to end")
    assert [o for o in load.failures() if not stale(o)] == []
    until(lambda: not httpd.socket("former").exists(), "its socket to go")


def test_a_group_moves_to_another_user_under_load(two, as_root):
    with Bystander(two), OpenLoop(two.port, [("a.example", "/")], 50) as load:
        former = settled(two, "a.example")
        until(lambda: len(load.outcomes) > 20, "the load before")
        site(two, "a.example", "CGatewayUser games")
        two.graceful()
        uid = pwd.getpwnam("games").pw_uid
        until(lambda: (body := load.outcomes[-1].body) and int(body.split()[1]) == uid,
              "the other user")
        until(lambda: not former & set(two.processes()), "the former ones to end")
    assert [o for o in load.failures() if not stale(o)] == []
    assert {int(o.body.split()[1]) for o in load.outcomes if o.status} == \
        {pwd.getpwnam(HTTPD_USER).pw_uid, uid}


@pytest.mark.parametrize("processes", [1, 5])
def test_the_number_of_processes_changes_under_load(two, processes):
    with Bystander(two), OpenLoop(two.port, [("a.example", "/")], 50) as load:
        former = settled(two, "a.example")
        until(lambda: len(load.outcomes) > 20, "the load before")
        site(two, "a.example", f"CGatewayProcesses {processes}")
        two.graceful()
        until(lambda: not former & set(two.processes()), "the former ones to end")
        settled(two, "a.example", processes)
    assert [o for o in load.failures() if not stale(o)] == []


def test_changed_code_alone_is_no_change_of_the_configuration(two):
    """That is what `changed` means; `always`, the default, deploys it."""
    before = settled(two, "a.example")
    site(two, "a.example", "CGatewayWatch Off")
    two.graceful()
    until(lambda: not before & set(two.processes()), "the other setting's generation")
    before = settled(two, "a.example")
    site(two, "a.example", "CGatewayWatch Off", greeting="bye")
    two.graceful()
    assert two.get().text.endswith("hello")
    assert settled(two, "a.example") == before


# ---- nothing is left behind ----------------------------------------------------------

def descriptors(pid):
    """Kind of file -> how many the process has open."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        kind = target.split(":")[0] if ":" in target and target[0] != "/" else "file"
        found[kind] = found.get(kind, 0) + 1
    return found


def resident(pid):
    """Bytes of memory that is no file's, whoever else has the same pages: children
    come and go."""
    rows = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) * 1024 for row in rows
               if row.startswith("Anonymous:"))


def unix_sockets(httpd):
    with open("/proc/net/unix", encoding="utf-8") as table:
        return sum(str(httpd.root) in line for line in table)


def inotify_watches(pid):
    total = 0
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        text = pathlib.Path(f"/proc/{pid}/fdinfo/{name}").read_text()
        total += text.count("inotify wd:")
    return total


def timers(pid):
    return pathlib.Path(f"/proc/{pid}/timers").read_text().count("ID:")


def holdings(httpd):
    """What httpd's parent and the supervisor have, with every group at rest."""
    for group in ("a.example", "b.example"):
        settled(httpd, group)
    parent, supervisor = httpd.process.pid, httpd.supervisor()
    # httpd's children of former generations may still be ending
    most = 20 if MPM == "prefork" else 5
    until(lambda: len(children(parent)) <= most, "httpd's former children to end")
    until(lambda: len(children(supervisor)) == 6, "the former workers to be reaped")
    return {"parent's descriptors": descriptors(parent),
            "supervisor's descriptors": descriptors(supervisor),
            "supervisor": supervisor,
            "processes of groups": len(httpd.group_processes("a.example"))
            + len(httpd.group_processes("b.example")),
            "sockets": unix_sockets(httpd),
            "watches": inotify_watches(supervisor),
            "parent's timers": timers(parent),
            "shared memory": sorted(n for n in os.listdir("/dev/shm") if "cg" in n),
            "files": sorted(os.listdir(httpd.root / "run"))}


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_graceful_restarts_leave_nothing_behind(httpd):
    """One group reloads each time, one does not. The memory of neither program may grow
    by more than 4 KB for each restart (measured: 0.1 KB)."""
    warm, restarts = soak((50, 500), (10, 30))
    site(httpd, "a.example")
    httpd.wsgi("info.wsgi", name="b.example")
    httpd.start()
    for _ in range(warm):
        httpd.graceful()
    before = until(lambda: (now := holdings(httpd)) == holdings(httpd) and now, "rest")
    pids = (httpd.process.pid, before["supervisor"])
    memory = [resident(pid) for pid in pids]
    kept = set(httpd.group_processes("a.example"))
    for _ in range(restarts):
        httpd.graceful()
    after = until(lambda: (now := holdings(httpd)) == before and now,
                  "what the former generations had to be given back")
    growth = [resident(pid) - old for pid, old in zip(pids, memory)]
    print(f"\nafter {restarts} restarts: {after}\nmemory of httpd's parent grew by "
          f"{growth[0]}, of the supervisor by {growth[1]} bytes")
    assert set(httpd.group_processes("a.example")) == kept
    if not PRELOAD:     # freed memory is kept by sanitizers for a while
        assert max(growth) <= (256 << 10) + restarts * 4096
