# SPDX-License-Identifier: Apache-2.0
"""The contenders: an httpd each, the same but for the gateway, and whatever stands
behind it."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import urllib.request

import private_httpd
import procs

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
PROCESSES, THREADS = 2, 8
START_SECONDS = 60

# Two children of which each could serve all the clients alone: where a child runs
# out of threads, httpd closes idle connections, which a client takes for errors.
COMMON = """\
ServerRoot {root}
PidFile {root}/pid
ErrorLog {root}/error.log
ServerName localhost
Listen 127.0.0.1:{port}
DefaultRuntimeDir {root}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
Protocols h2c http/1.1
{user}
ThreadLimit 300
ThreadsPerChild 300
ServerLimit 16
StartServers 2
MaxRequestWorkers 600
MinSpareThreads 1
MaxSpareThreads 600
MaxKeepAliveRequests 0
KeepAlive On
<Directory />
    Require all granted
</Directory>
"""

OURS = """\
LoadModule cgateway_module "{build}/mod_cgateway.so"
CGatewayRuntimeDir {root}/cg
CGatewayApplication {app}
CGatewayPython {python}
CGatewayProcesses {processes}
CGatewayThreads {threads}
CGatewayQueueSize 1000
"""

MOD_WSGI = """\
LoadModule wsgi_module "{mod_wsgi}"
WSGISocketPrefix {root}/wsgi
WSGIDaemonProcess bench processes={processes} threads={threads} display-name=(wsgi:bench)
WSGIScriptAlias / {app} process-group=bench application-group=%{{GLOBAL}}
"""

PROXY = """\
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule {proxy}_module {modules}/mod_{proxy}.so
ProxyPass / unix:{root}/peer.sock|{scheme}://localhost/{reuse}
"""

LIMIT = """\
LoadModule limits_module "{limits}/mod_limits.so"
LimitsSocket {root}/peer.sock
SetHandler {handler}
"""

STATIC = """\
DocumentRoot {root}/../data
"""

UWSGI = ("uwsgi --plugin python3 --master --processes {processes} --threads {threads} "
         "--socket {root}/peer.sock --chmod-socket=666 --disable-logging "
         "--wsgi-file {app} --listen 128 --need-app --die-on-term")
GUNICORN = ("gunicorn -k gthread -w {processes} --threads {threads} "
            "-b unix:{root}/peer.sock --umask 0 --chdir {root} --keep-alive 60 "
            "peer:application")
ECHO = "{limits}/server {root}/peer.sock {processes}"


@dataclasses.dataclass(frozen=True)
class Contender:
    """What one of them is called, and how it is configured. `backend` is a command
    that httpd does not start itself; `values` go into configuration and command."""
    name: str
    conf: str
    backend: str = ""
    values: dict = dataclasses.field(default_factory=dict)
    probe: str = "/"


OURS_2X1 = "mod_cgateway 2×1"
CONTENDERS = [
    Contender("mod_cgateway", OURS),
    Contender(OURS_2X1, OURS, values={"threads": 1}),
    Contender("mod_wsgi 4.9", MOD_WSGI),
    Contender("mod_wsgi 6", MOD_WSGI),
    Contender("uwsgi", PROXY, UWSGI,
              {"proxy": "proxy_uwsgi", "scheme": "uwsgi", "reuse": ""}),
    Contender("gunicorn", PROXY, GUNICORN,
              {"proxy": "proxy_http", "scheme": "http", "reuse": " enablereuse=on"}),
    Contender("limit: no hop", LIMIT, values={"handler": "limit-direct"}),
    Contender("limit: C hop", LIMIT, ECHO, {"handler": "limit-hop"}),
    Contender("httpd's static file", STATIC, probe="/small"),
]
OURS_NAME = CONTENDERS[0].name
PEERS = ["mod_wsgi 4.9", "mod_wsgi 6", "uwsgi", "gunicorn"]


class Failed(Exception):
    """A server that does not start or answer."""


class Server:
    """A contender that serves one application, in a directory below the run's."""

    def __init__(self, contender, app, run, build, mod_wsgi):
        self.contender, self.name = contender, contender.name
        self.root = pathlib.Path(run, "".join(filter(str.isalnum, self.name)))
        self.port = private_httpd.free_port()
        self.backend = None
        self.values = dict(
            root=self.root, port=self.port, build=build.resolve(),
            limits=build.resolve() / "bench", python=PYTHON,
            modules=private_httpd.find_modules(), app=self.root / app,
            processes=PROCESSES, threads=THREADS,
            mod_wsgi=mod_wsgi.get(self.name),
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "")
        self.values.update(contender.values)

    def prepare(self):
        """Writes the directory: application, configuration."""
        shutil.copytree(HERE / "apps", self.root,
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(self.values["app"], self.root / "peer.py")
        data = self.root.parent / "data"
        if (data / "db.sqlite3").exists():
            shutil.copy(data / "db.sqlite3", self.root / "site")
        conf = COMMON + self.contender.conf
        (self.root / "httpd.conf").write_text(conf.format(**self.values))

    def start(self):
        """Starts everything; returns once the first request is answered."""
        if self.contender.backend:
            self.start_backend()
        subprocess.run([private_httpd.find_httpd(), "-f", self.root / "httpd.conf",
                        "-k", "start"], check=True)
        self.wait_until(self.answers, "an answer")

    def start_backend(self):
        command = shlex.split(self.contender.backend.format(**self.values))
        with open(self.root / "backend.log", "ab") as log:
            self.backend = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log,
                                            stderr=log, cwd=self.root,
                                            start_new_session=True)
        self.wait_until((self.root / "peer.sock").exists, "its socket")

    def wait_until(self, condition, what):
        if not private_httpd.wait_until(condition, START_SECONDS, 0.005):
            raise Failed(f"{self.name}: waited {START_SECONDS} s for {what}; look at "
                         f"{self.root}/*.log (kept with --keep)")

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def answers(self):
        try:
            url = self.url(self.contender.probe)
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False

    def httpd_pid(self):
        try:
            return int((self.root / "pid").read_text())
        except (OSError, ValueError):
            return None

    def processes(self):
        """{pid: role} of all that belongs to it."""
        roots = [self.httpd_pid(), self.backend.pid if self.backend else None]
        return procs.tree([pid for pid in roots if pid])

    def stop(self):
        pid = self.httpd_pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            self.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "httpd's end")
        if self.backend:
            self.backend.stdin.close()
            self.backend.terminate()
            self.backend.wait(START_SECONDS)
            self.backend = None
        (self.root / "peer.sock").unlink(missing_ok=True)
