#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure mod_cgateway beside its peers: one run, interleaved rounds.

Every contender serves the same application file from the same httpd (event
MPM, same settings) with 2 processes x 8 threads; the client is wrk over
keep-alive on 127.0.0.1. All servers run at the same time, idle but for the one
that is being measured, and rounds go A B C A B C ..., so that a noisy moment
hits all alike. Prints medians, spread and ratios to the first peer; nothing is
asserted.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = ["mpm_event", "authz_core", "proxy", "proxy_http", "proxy_uwsgi"]
MODULE_DIR = "/usr/lib/apache2/modules"
PROCESSES, THREADS = 2, 8

COMMON = """\
ServerRoot {root}
PidFile {root}/pid
ErrorLog {root}/error.log
ServerName localhost
Listen 127.0.0.1:{port}
DefaultRuntimeDir {root}
{modules}
{user}
StartServers 2
MinSpareThreads 25
MaxSpareThreads 200
ThreadsPerChild 100
MaxRequestWorkers 200
ServerLimit 2
MaxKeepAliveRequests 0
KeepAlive On
<Directory />
    Require all granted
</Directory>
"""

CONTENDERS = {
    "mod_cgateway": """\
LoadModule cgateway_module {build}/mod_cgateway.so
CGatewayRuntimeDir {root}/cg
CGatewayApplication {app}
CGatewayPython /usr/bin/python3
CGatewayProcesses {processes}
CGatewayThreads {threads}
""",
    "mod_wsgi": """\
LoadModule wsgi_module {mod_wsgi}
WSGISocketPrefix {root}/wsgi
WSGIDaemonProcess bench processes={processes} threads={threads}
WSGIScriptAlias / {app} process-group=bench application-group=%{{GLOBAL}}
""",
    "uwsgi": """\
ProxyPass / unix:{root}/peer.sock|uwsgi://localhost/
""",
    "gunicorn": """\
ProxyPass / unix:{root}/peer.sock|http://localhost/ enablereuse=on
""",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: waited {seconds} s in vain for {what}")
        time.sleep(0.05)


class Server:
    """One httpd with one contender behind it, and its backend where needed."""

    def __init__(self, name, app, options):
        self.name, self.app, self.options = name, app, options
        self.root = Path(tempfile.mkdtemp(prefix="cgwb", dir="/tmp"))
        self.root.chmod(0o711)
        self.port = free_port()
        self.backend = None

    def start(self):
        shutil.copy(HERE / "apps" / self.app, self.root)
        values = dict(
            root=self.root, port=self.port, build=self.options.build.resolve(),
            app=self.root / self.app, processes=PROCESSES, threads=THREADS,
            mod_wsgi=self.options.mod_wsgi,
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            modules="\n".join(f"LoadModule {m}_module {MODULE_DIR}/mod_{m}.so"
                              for m in MODULES))
        conf = self.root / "httpd.conf"
        conf.write_text((COMMON + CONTENDERS[self.name]).format(**values))
        self.start_backend()
        subprocess.run(["apache2", "-f", str(conf), "-k", "start"], check=True)
        wait_until(self.answers, f"{self.name}, see {self.root}/error.log")

    def start_backend(self):
        sock = self.root / "peer.sock"
        module = self.root / "peer.py"
        shutil.copy(self.root / self.app, module)
        commands = {
            "uwsgi": ["uwsgi", "--plugin", "python3", "--master",
                      "--processes", str(PROCESSES), "--threads", str(THREADS),
                      "--socket", str(sock), "--chmod-socket=666",
                      "--disable-logging", "--wsgi-file", str(module),
                      "--listen", "128", "--need-app", "--die-on-term"],
            "gunicorn": ["gunicorn", "-k", "gthread", "-w", str(PROCESSES),
                         "--threads", str(THREADS), "-b", f"unix:{sock}",
                         "--umask", "0", "--chdir", str(self.root),
                         "--keep-alive", "60", "peer:application"],
        }
        if self.name in commands:
            log = open(self.root / "backend.log", "wb")
            self.backend = subprocess.Popen(commands[self.name], stdout=log,
                                            stderr=log, cwd=self.root)
            wait_until(sock.exists, f"{self.name}'s socket, see {log.name}")

    def answers(self):
        path = "/" if self.app == "hello.wsgi" else "/short"
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        pidfile = self.root / "pid"
        if pidfile.exists():
            pid = int(pidfile.read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "httpd's end")
        if self.backend:
            self.backend.terminate()
            self.backend.wait(30)
        shutil.rmtree(self.root, ignore_errors=True)


def to_ms(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def measure(server, path, connections, seconds):
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
         f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad:
        raise SystemExit(f"bench: {server.name}: {bad[1]} failed responses")
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            to_ms(re.search(r"50%\s+(\S+)", out)[1]),
            to_ms(re.search(r"99%\s+(\S+)", out)[1]))


WORK = [  # name, application, path, connections
    ("trivial, c=16", "hello.wsgi", "/", 16),
    ("trivial, c=1", "hello.wsgi", "/", 1),
    ("trivial, c=64", "hello.wsgi", "/", 64),
    ("sleep 10 ms, c=64", "work.wsgi", "/sleep10", 64),
]


def report(name, results):
    print(f"\n### {name}\n")
    print("| contender | requests/s | spread | p50 ms | p99 ms "
          f"| {next(iter(results))} / this |")
    print("|---|---|---|---|---|---|")
    ours = statistics.median(r[0] for r in next(iter(results.values())))
    for contender, rounds in results.items():
        rate = statistics.median(r[0] for r in rounds)
        spread = max(r[0] for r in rounds) - min(r[0] for r in rounds)
        print(f"| {contender} | {rate:,.0f} | {100 * spread / rate:.0f} % "
              f"| {statistics.median(r[1] for r in rounds):.2f} "
              f"| {statistics.median(r[2] for r in rounds):.2f} "
              f"| {ours / rate:.2f} |", flush=True)


def run(options):
    for name, app, path, connections in WORK:
        if options.only and options.only not in name:
            continue
        servers = [Server(c, app, options) for c in options.contenders]
        try:
            for server in servers:
                server.start()
            results = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    results[server.name].append(
                        measure(server, path, connections, options.seconds))
            report(name, results)
        finally:
            for server in servers:
                server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", help="work whose name contains this")
    parser.add_argument("--mod-wsgi", default=f"{MODULE_DIR}/mod_wsgi.so",
                        help="another mod_wsgi.so")
    parser.add_argument("contenders", nargs="*", default=list(CONTENDERS))
    options = parser.parse_args()
    unknown = set(options.contenders) - set(CONTENDERS)
    if unknown:
        parser.error(f"unknown contender {unknown.pop()}; "
                     f"one of {', '.join(CONTENDERS)}")
    run(options)


if __name__ == "__main__":
    sys.exit(main())
