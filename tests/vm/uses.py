# SPDX-License-Identifier: Apache-2.0
"""Uses what there is of the machine, and tells what it may."""

import json
import os
import pathlib
import resource
import subprocess
import time

CHILDREN = []


def tell(query):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return json.dumps({"pid": os.getpid(), "files": files[0], "uid": os.geteuid(),
                       "cgroup": pathlib.Path("/proc/self/cgroup").read_text().strip()})


def spawn(query):
    """A program of its own, in a session of its own."""
    CHILDREN.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))
    return CHILDREN[-1].pid


def spawn_many(query):
    """How many more it could start."""
    started = []
    try:
        while len(started) < 500:
            started.append(subprocess.Popen(["sleep", "1000"]))
    except OSError:
        pass
    for child in started:
        child.kill()
        child.wait()
    return len(started)


def burn(query):
    """Seconds of processor time, as the process itself counts them."""
    until = time.process_time() + int(query or 2)
    while time.process_time() < until:
        pass
    return 0


def wait(query):
    """Until that file is there."""
    while not os.path.exists(query):
        time.sleep(0.05)
    return os.getpid()


def eat(query):
    eaten = []
    while True:
        eaten.append(b"x" * (4 << 20))


def read(query):
    """What becomes of reading a file."""
    try:
        return len(pathlib.Path(query).read_bytes())
    except OSError as error:
        return type(error).__name__


def write(query):
    try:
        return pathlib.Path(query).write_text("x")
    except OSError as error:
        return type(error).__name__ if error.errno != 30 else "read-only"


WAYS = {"/spawn": spawn, "/spawn-many": spawn_many, "/burn": burn, "/wait": wait,
        "/eat": eat, "/read": read, "/write": write, "/tell": tell}


def application(environ, start_response):
    way = WAYS.get(environ["PATH_INFO"], lambda query: os.getpid())
    body = str(way(environ["QUERY_STRING"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
