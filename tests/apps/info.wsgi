# SPDX-License-Identifier: Apache-2.0
"""Tells everything about its request and process, as JSON."""

import ctypes
import json
import os
import subprocess
import sys


def process():
    mask = os.umask(0)
    os.umask(mask)
    return {"pid": os.getpid(), "uid": os.geteuid(), "gid": os.getegid(),
            "groups": os.getgroups(), "umask": mask, "cwd": os.getcwd(),
            "executable": sys.executable, "prefix": sys.prefix,
            "version": list(sys.version_info[:3]), "debug": hasattr(sys, "gettotalrefcount"),
            "path": sys.path, "environ": dict(os.environ)}


def getenv(name):
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_char_p
    value = library.getenv(name.encode())
    return value and value.decode()


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    told = {"request": {k: v for k, v in environ.items() if isinstance(v, str)},
            "multithread": environ["wsgi.multithread"],
            "multiprocess": environ["wsgi.multiprocess"],
            "run_once": environ["wsgi.run_once"],
            "terminated": environ.get("wsgi.input_terminated", False),
            "body": (environ["wsgi.input"].read() if length or
                     environ.get("wsgi.input_terminated") else b"").decode("latin-1"),
            **process()}
    if environ["QUERY_STRING"] == "deep":
        told["getenv"] = {name: getenv(name) for name in os.environ}
        told["subprocess"] = dict(
            line.split("=", 1) for line in
            subprocess.run(["env"], capture_output=True, text=True).stdout.splitlines())
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
