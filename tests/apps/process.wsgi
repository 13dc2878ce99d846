# SPDX-License-Identifier: Apache-2.0
"""Tells which process answers and which one imported it. What its import does, and
leaves behind, the environment says."""

import gc
import json
import os
import pathlib
import random
import socket
import ssl
import threading
import time
import uuid

MARKS = pathlib.Path(os.environ["MARKS"])
LEFT = []
FORKS = []

(MARKS / f"imported-{os.getpid()}").touch()
if (MARKS / "broken").exists():
    raise RuntimeError("broken since the mark is there")
if os.environ.get("LEAVE") == "socket":
    LEFT.append(socket.socket())
if os.environ.get("LEAVE") == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
IMPORTED_BY = os.getpid()
random.seed(1)


def meet(name, number):
    """Goes on when so many requests are here, each in a process of its own."""
    (MARKS / f"{name}-{os.getpid()}").touch()
    while len(list(MARKS.glob(f"{name}-*"))) < number:
        time.sleep(0.02)


def before_fork():
    FORKS.append("before")
    while (MARKS / "hang").exists():
        time.sleep(0.02)


os.register_at_fork(before=before_fork,
                    after_in_child=lambda: FORKS.append("child"))


def slow(name):
    """Goes on when the test says so, or when it is killed."""
    (MARKS / f"{name}-{os.getpid()}").touch()
    while not (MARKS / "go-on").exists():
        time.sleep(0.02)


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    if path.startswith("slow"):
        slow(path)
    if path.startswith("meet"):
        meet(path, int(environ["QUERY_STRING"]))
    told = {"pid": os.getpid(), "imported_by": IMPORTED_BY, "forks": FORKS}
    if path == "meet-random":
        told["random"] = random.getrandbits(64)
        told["ssl"] = ssl.RAND_bytes(8).hex()
        told["uuid"] = uuid.uuid4().hex
        told["frozen"] = gc.get_freeze_count()
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
