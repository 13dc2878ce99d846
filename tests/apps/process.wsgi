# SPDX-License-Identifier: Apache-2.0
"""Tells which process answers and which one imported it. What its import does, and
leaves behind, the environment says."""

import json
import os
import pathlib
import socket
import time

MARKS = pathlib.Path(os.environ["MARKS"])
LEFT = []

(MARKS / f"imported-{os.getpid()}").touch()
if (MARKS / "broken").exists():
    raise RuntimeError("broken since the mark is there")
if os.environ.get("LEAVE") == "socket":
    LEFT.append(socket.socket())
IMPORTED_BY = os.getpid()


def slow(name):
    """Goes on when the test says so, or when it is killed."""
    (MARKS / f"{name}-{os.getpid()}").touch()
    while not (MARKS / "go-on").exists():
        time.sleep(0.02)


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    if path.startswith("slow"):
        slow(path)
    body = json.dumps({"pid": os.getpid(), "imported_by": IMPORTED_BY}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
