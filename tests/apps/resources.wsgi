# SPDX-License-Identifier: Apache-2.0
"""Tells what its process may use; keeps so many MiB more with /grow?n, and then
waits while the file hold is there."""

import json
import os
import pathlib
import resource
import time

MARKS = pathlib.Path(os.environ["MARKS"])
AT_START = bytearray(int(os.environ.get("MIB_AT_START", 0)) << 20)
KEPT = []


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/")
    if path == "grow":
        KEPT.append(bytearray(b"x") * (int(environ["QUERY_STRING"]) << 20))
        (MARKS / f"grown-{os.getpid()}").touch()
        while (MARKS / "hold").exists():
            time.sleep(0.02)
    told = {"pid": os.getpid(), "nice": os.nice(0),
            "cpus": sorted(os.sched_getaffinity(0)),
            "limits": {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
                       for name in ("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue",
                                    "nice", "nofile", "nproc", "rtprio", "rttime",
                                    "sigpending", "stack")}}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
