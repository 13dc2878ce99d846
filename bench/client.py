# SPDX-License-Identifier: Apache-2.0
"""The clients: wrk for many requests, h2load for many over HTTP/2, curl for one that
moves much."""

import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


class BadAnswer(Exception):
    """A response that is not what the work expects."""


def to_ms(text):
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if not found:
        raise BadAnswer(f"wrk measured {text}")
    number, unit = found.groups()
    return float(number) * UNITS[unit]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BadAnswer(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def wrk(url, connections, seconds, script=None, threads=1):
    """{"rate" per second, "p50" and "p99" in ms, "requests"}; with a script of
    bench/, what it prints as JSON beside."""
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency",
               "--timeout", "30s"]
    command += ["-s", HERE / script] if script else []
    out = run(command + [url])
    bad = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*| 0 requests in", out)
    if bad:
        raise BadAnswer(f"{url}: {bad[0]}")
    figures = {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
               "requests": int(re.search(r"(\d+) requests in", out)[1]),
               "p50": to_ms(re.search(r"(?m)^\s+50%\s+(\S+)", out)[1]),
               "p99": to_ms(re.search(r"(?m)^\s+99%\s+(\S+)", out)[1])}
    own = re.search(r"^\{.*\}$", out, re.MULTILINE)
    return {**figures, **(json.loads(own[0]) if own else {})}


def h2load(url, connections, streams, seconds):
    """The same figures of HTTP/2 without TLS, with so many streams at a time on each
    connection."""
    with tempfile.NamedTemporaryFile(mode="r") as log:
        out = run(["h2load", f"--duration={seconds}", f"--clients={connections}",
                   f"--max-concurrent-streams={streams}", f"--log-file={log.name}", url])
        rows = [row.split() for row in log]
    done = re.search(r"requests: .* (\d+) succeeded, 0 failed, 0 errored", out)
    if not done or len(rows) < 2 or any(row[1] != "200" for row in rows):
        raise BadAnswer(f"{url}: {out}")
    cuts = statistics.quantiles([int(row[2]) / 1000 for row in rows], n=100)
    return {"rate": float(re.search(r"([\d.]+) req/s", out)[1]),
            "requests": int(done[1]), "p50": cuts[49], "p99": cuts[98]}


def curl(url, megabytes, *more):
    """{"rate" in MB/s, "requests"}: one request of that many megabytes."""
    start = time.monotonic()
    out = run(["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null",
               "--write-out", "%{size_download} %{size_upload}", *more, url])
    seconds = time.monotonic() - start
    if max(map(int, out.split())) < megabytes << 20:
        raise BadAnswer(f"{url}: {out} bytes, not {megabytes} MB")
    return {"rate": megabytes / seconds, "requests": 1}
