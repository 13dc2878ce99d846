# SPDX-License-Identifier: Apache-2.0
"""The work: what is asked of every contender, and how."""

import dataclasses
import functools

import client
from ingredients import BIG_MB
from servers import OURS_2X1, OURS_NAME, PEERS

GENERATED_MB = 100
STATIC = "httpd's static file"
LIMITS = ["limit: no hop", "limit: C hop"]


@dataclasses.dataclass(frozen=True)
class Work:
    """One line of the results. `load(url, seconds)` returns a dict with at least
    "rate" and "requests"; `more` take part beside ours and the peers."""
    name: str
    app: str
    path: str
    load: callable
    more: tuple = ()
    unit: str = "requests/s"

    @property
    def contenders(self):
        return [OURS_NAME, *PEERS, *self.more]

    def measure(self, server, seconds):
        path = "/big" if server.name == STATIC else self.path
        return self.load(server.url(path), seconds)


def wrk(connections, **more):
    return lambda url, seconds: client.wrk(url, connections, seconds, **more)


def h2load(connections, streams):
    return lambda url, seconds: client.h2load(url, connections, streams, seconds)


def curl(megabytes, *arguments):
    return lambda url, seconds: client.curl(url, megabytes, *arguments)


bulk = functools.partial(Work, app="work.wsgi", unit="MB/s")


def all_works(big):
    """All of them; `big` is the file that is uploaded."""
    upload = ["-H", "Expect:", "-X", "POST", "-T", big]
    return [
        Work("trivial, c=1", "hello.wsgi", "/", wrk(1), (OURS_2X1, *LIMITS)),
        Work("trivial, c=16", "hello.wsgi", "/", wrk(16), (OURS_2X1, *LIMITS)),
        Work("trivial, c=64", "hello.wsgi", "/", wrk(64), (OURS_2X1, *LIMITS)),
        Work("trivial, c=256", "hello.wsgi", "/", wrk(256), (OURS_2X1, *LIMITS)),
        Work("trivial over HTTP/2, c=4 with 16 streams", "hello.wsgi", "/",
             h2load(4, 16), (OURS_2X1, *LIMITS)),
        Work("Django hello, c=16", "django.wsgi", "/", wrk(16), (OURS_2X1,)),
        Work("Django page of 50 rows, c=16", "django.wsgi", "/rows", wrk(16),
             (OURS_2X1,)),
        Work("Django SQLite query, c=16", "django.wsgi", "/query", wrk(16),
             (OURS_2X1,)),
        Work("JSON echo of a 10 KB POST, c=16", "work.wsgi", "/echo",
             wrk(16, script="echo.lua")),
        Work("sleep 1 ms, c=64", "work.wsgi", "/sleep1", wrk(64)),
        Work("sleep 10 ms, c=64", "work.wsgi", "/sleep10", wrk(64)),
        Work("mix: short pages beside 5 % of 50 ms CPU, c=16", "work.wsgi", "/",
             wrk(16, threads=16, script="mix.lua")),
        bulk("upload of 200 MB", path="/upload", load=curl(BIG_MB, *upload)),
        bulk("file_wrapper download of 200 MB", path="/download", load=curl(BIG_MB),
             more=(STATIC,)),
        bulk("generator of 100 MB", path="/generate", load=curl(GENERATED_MB)),
    ]
