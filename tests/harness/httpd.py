# SPDX-License-Identifier: Apache-2.0
"""A private httpd for one test, and the checks after it."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import private_httpd
from harness import log
from harness.client import Connection, Raw
from harness.paths import (APPS, AS_ROOT, ASAN_OPTIONS, BUILD, HTTPD, HTTPD_USER, MPM,
                           PATIENCE, PRELOAD, PYTHON, SOCKET)

MODULES = ["unixd", "authn_core", "authz_core", "authz_host", "alias", "mime",
           "log_config", "setenvif", "env", "headers"]
# What httpd itself has in its environment: nothing of it may reach a worker.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
               "HTTPD_SECRET": "httpd's own", "LC_MARK": "httpd's own",
               "DJANGO_SETTINGS_MODULE": "httpds.own"}

# What httpd itself says at times when it is told to stop: a child closes the sockets
# of its worker threads behind their backs (event.c: close_worker_sockets() takes them
# from worker_sockets[], where a thread leaves its socket until process_socket() has
# returned, though that may have closed it), so one of both closes what is closed, or
# polls it. As long as nobody told it to stop, the same lines are a fault of ours.
AT_STOP = re.compile(r"\(9\)Bad file descriptor: (AH0309[23]: process_\w+: "
                     "apr_pollset_add failure|AH00468: error closing socket)")
# And mod_ssl on a machine whose OpenSSL is another than it was built with.
HTTPD_NOISE = [AT_STOP,
               re.compile(r"\[ssl:warn\].*AH01882: Init: this version of mod_ssl")]

MAIN = """\
ServerRoot "{root}"
DefaultRuntimeDir "{root}"
PidFile "{root}/httpd.pid"
ErrorLog "{root}/logs/main.log"
LogLevel info
ServerName main.example
{listen}
{load}
LoadModule cgateway_module "{root}/modules/mod_cgateway.so"
{user}
CGatewayRuntimeDir "{root}/run"
LogFormat "%v %h \\"%r\\" %>s %B %X" test
CustomLog "{root}/logs/access.log" test
TypesConfig /etc/mime.types
Timeout 600
MaxKeepAliveRequests 0
{kept}
{mpm}
<Directory />
    AllowOverride None
    Require all granted
</Directory>
"""

THREADED = """\
StartServers 2
ServerLimit 8
ThreadsPerChild 32
MaxRequestWorkers 128
MinSpareThreads 32
MaxSpareThreads 128
"""
PREFORK = """\
StartServers 8
ServerLimit 64
MaxRequestWorkers 64
MinSpareServers 8
MaxSpareServers 64
"""

VHOST = """\
<VirtualHost *:{port}>
    ServerName {name}
    ErrorLog "{root}/logs/{log}.log"
{lines}
</VirtualHost>
"""


# A client that has no processor for five seconds, httpd's default, keeps its connection
# all the same. Elsewhere than in event it would hold a thread, or a whole child, so long.
KEPT = "KeepAliveTimeout 300" if MPM == "event" else ""


class Timeout(AssertionError):
    """A condition did not come true."""


def until(condition, what, seconds=PATIENCE):
    """Waits for a condition, by looking; returns its value."""
    value = private_httpd.wait_until(condition, seconds)
    if not value:
        raise Timeout(f"waited {seconds} s in vain for {what}")
    return value


class Httpd:
    """Configure with vhost(), main() and load(), then start(). The directory's
    path stays short: the workers' sockets are in it."""

    def __init__(self, base="/tmp"):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="cgw", dir=base))
        self.root.chmod(0o711)
        self.port = private_httpd.free_port()
        self.ports = [self.port]
        self.modules = [f"mpm_{MPM}", *MODULES]
        self.parts = {}
        self.expected = list(HTTPD_NOISE)
        self.process = None
        self.environment = dict(ENVIRONMENT)
        self.is_plain = False       # without mod_cgateway
        self.undisturbed = None     # the main log's length when it was first signalled
        self.ready_files = set(os.listdir("/dev/shm"))
        self.killed_for_memory = killed_for_memory()
        for directory in ("logs", "apps", "modules"):
            self.mkdir(directory)
        private_httpd.copy_build(BUILD, self.root / "modules")

    # ---- files -------------------------------------------------------------

    def mkdir(self, name, owner=None):
        path = self.root / name
        path.mkdir(parents=True)
        path.chmod(0o755)
        if owner and AS_ROOT:
            shutil.chown(path, owner)
        return path

    def write(self, name, text, mode=0o644):
        """A file below the private directory; replaced in one step, since a process
        may be importing the former one."""
        path = self.root / name
        if not path.parent.exists():
            self.mkdir(path.parent.relative_to(self.root))
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.chmod(mode)
        new.replace(path)
        return path

    def app(self, name, source=None):
        """A WSGI application: its source, or the file of tests/apps of that name."""
        return self.write(f"apps/{name}",
                          (APPS / name).read_text() if source is None else source)

    # ---- configuration -------------------------------------------------------

    def load(self, *modules):
        self.modules += [m for m in modules if m not in self.modules]

    def listen(self):
        """One more port."""
        self.ports.append(private_httpd.free_port())
        return self.ports[-1]

    def main(self, text, key="main"):
        """Configuration outside of virtual hosts; a second call of the same key
        replaces the first, for a graceful restart."""
        self.parts[key] = text

    def vhost(self, name, *lines, port=None):
        """A virtual host with an error log of its own; again: replaces it."""
        port = port or self.port
        suffix = "" if port == self.port else f"-{port}"
        self.parts[f"{name}:{port}"] = VHOST.format(
            port=port, name=name, root=self.root, log=name + suffix,
            lines="\n".join(f"    {line}" for line in lines))

    def wsgi(self, app, *lines, name="a.example"):
        """A virtual host for one application of tests/apps, or a path."""
        path = self.app(app) if isinstance(app, str) else app
        self.vhost(name, f'CGatewayApplication "{path}"', f"CGatewayPython {PYTHON}",
                   *lines)

    def write_config(self):
        load = "\n".join(private_httpd.load_lines(HTTPD, self.modules))
        user = f"User {HTTPD_USER}\nGroup {HTTPD_USER}" if AS_ROOT else ""
        text = MAIN.format(
            root=self.root, load=load, user=user, kept=KEPT, mpm=PREFORK if MPM == "prefork"
            else THREADED, listen="\n".join(f"Listen 127.0.0.1:{p}" for p in self.ports))
        text += "\n".join(self.parts.values())
        if self.is_plain:
            text = re.sub(r"^.*cgateway.*\n", "", text, flags=re.M | re.I)
        self.config.write_text(with_sanitizer(text))

    @property
    def config(self):
        return self.root / "httpd.conf"

    # ---- life ----------------------------------------------------------------

    def command(self, *arguments):
        env = {**self.environment, "ASAN_OPTIONS": ASAN_OPTIONS}
        if PRELOAD:
            env["LD_PRELOAD"] = PRELOAD
        return dict(args=[HTTPD, "-d", self.root, "-f", self.config, *arguments],
                    env=env, stdin=subprocess.DEVNULL)

    def configtest(self):
        self.write_config()
        return subprocess.run(**self.command("-t"), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)

    def start(self):
        self.write_config()
        with (self.root / "logs" / "start.txt").open("ab") as out:
            self.process = subprocess.Popen(**self.command("-D", "FOREGROUND"),
                                            stdout=out, stderr=out,
                                            start_new_session=True)
        until(self.has_started, "httpd to listen")
        assert self.process.poll() is None, f"httpd did not start\n{self.all_logs()}"
        return self

    def has_started(self):
        return self.process.poll() is not None or self.has_started_apart()

    def has_started_apart(self):
        """Whether one listens, whoever started it."""
        if not (self.root / "httpd.pid").exists():
            return False
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def graceful(self):
        """Returns once httpd's parent works by the new configuration."""
        self.write_config()
        seen = self.log("main").count("resuming normal operations")
        self.signal(signal.SIGUSR1)
        until(lambda: self.log("main").count("resuming normal operations") > seen
              or self.process.poll() is not None, "the graceful restart")

    def restart(self):
        self.write_config()
        seen = self.log("main").count("resuming normal operations")
        self.signal(signal.SIGHUP)
        until(lambda: self.log("main").count("resuming normal operations") > seen
              or self.process.poll() is not None, "the restart")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def signal(self, number):
        """Sends it to httpd's parent."""
        if self.undisturbed is None:
            self.undisturbed = len(self.log("main"))
        self.process.send_signal(number)

    def kill_parent(self):
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    # ---- processes -------------------------------------------------------------

    def processes(self):
        return private_httpd.processes(self.root)

    def supervisor(self):
        """Its pid, or None."""
        return next((pid for pid in self.processes()
                     if arguments(pid)[0].endswith("/cgatewayd")), None)

    def children(self):
        """Pids of the processes of httpd that serve."""
        parent = self.process.pid
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            return {int(pid) for pid in file.read().split()} - {self.supervisor()}

    def group_processes(self, group):
        """Pids of template and workers of a group."""
        return [pid for pid in self.processes() if group_of(pid) == group]

    def workers(self, group):
        """Pids of the workers of a group, without the template."""
        return [pid for pid in self.group_processes(group) if accepts(pid)]

    def socket(self, group="a.example"):
        """The path of a group's socket."""
        return self.root / "run" / f"{group}{SOCKET}"

    def connections(self, group="a.example"):
        """How many connections the group's socket has, waiting or accepted."""
        path = str(self.socket(group))
        with open("/proc/net/unix", encoding="utf-8") as table:
            return sum(line.rstrip().endswith(path) and line.split()[5] in ("02", "03")
                       for line in table)

    def clients_read(self):
        """How many clients' connections httpd has read all bytes from."""
        with open("/proc/net/tcp", encoding="utf-8") as table:
            rows = [line.split() for line in table][1:]
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] == "01"
                   and row[4].endswith(":00000000") for row in rows)

    # ---- requests ----------------------------------------------------------------

    def connection(self, host="a.example", port=None, timeout=PATIENCE, tls=None):
        return Connection(port or self.port, host, timeout, tls)

    def request(self, path, method="GET", body=None, headers=(), host="a.example",
                chunked=False, **options):
        with self.connection(host, **options) as connection:
            return connection.request(path, method, body, headers, chunked)

    def get(self, path="/", host="a.example", **options):
        return self.request(path, host=host, **options)

    def raw(self, timeout=PATIENCE):
        return Raw(self.port, timeout)

    def curl(self, path, *options, host="a.example", port=None):
        """Runs curl; the result has returncode and stdout (bytes)."""
        port = port or self.port
        return subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--resolve",
             f"{host}:{port}:127.0.0.1", *options, f"http://{host}:{port}{path}"],
            capture_output=True)

    # ---- logs ------------------------------------------------------------------------

    def expect_log(self, *patterns):
        """Declares lines at warning or above, in any error log."""
        self.expected += [re.compile(pattern) for pattern in patterns]

    def log(self, name="a.example"):
        path = self.root / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def access_line(self, path):
        """The last line about a path, or None."""
        lines = (self.root / "logs" / "access.log").read_text().splitlines()
        return next((line for line in reversed(lines) if f" {path} " in line), None)

    def wait_log(self, pattern, name="a.example"):
        """Waits for a line; returns the match."""
        compiled = re.compile(pattern, re.M)
        return until(lambda: compiled.search(self.log(name)),
                     f"{pattern!r} in the log of {name}")

    def error_logs(self):
        return [p for p in sorted((self.root / "logs").glob("*.log"))
                if p.name != "access.log"]

    def all_logs(self):
        files = [self.root / "logs" / "start.txt", *self.error_logs()]
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-12000:]}"
                         for p in files if p.exists())

    # ---- afterwards --------------------------------------------------------------------

    def check(self):
        """What is wrong once the test is over: texts."""
        faults = []
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            faults.append("httpd does not stop")
            self.kill_parent()
        faults += self.check_processes()
        faults += self.check_files()
        faults += [f"before anybody told httpd to stop: {line}" for line in
                   self.log("main")[:self.undisturbed or 0].splitlines()
                   if AT_STOP.search(line)]
        for path in self.error_logs():
            faults += [f"{path.name}: undeclared: {line}" for line in log.undeclared(
                path.read_text(errors="replace"), self.expected)]
        return faults

    def check_processes(self):
        private_httpd.wait_until(lambda: not self.processes(), PATIENCE)
        left = [f"process left: {pid} {b' '.join(raw_arguments(pid))[:200]!r}"
                for pid in self.processes()]
        private_httpd.end_processes(self.processes())
        return left

    def check_files(self):
        left = [f"left in the runtime directory: {p}" for p in
                sorted((self.root / "run").glob("*"))]
        if self.process and (self.root / "run").exists():
            left.append("the runtime directory is left")
        known = self.ready_files
        shm = private_httpd.wait_until(lambda: not new_shared_memory(known), PATIENCE)
        return left + ([] if shm else [f"left in /dev/shm: {new_shared_memory(known)}"])

    def remove(self):
        shutil.rmtree(self.root)


def with_sanitizer(text):
    """Workers load an extension that needs the sanitizers' runtimes first."""
    if not PRELOAD:
        return text
    return re.sub(r"^( *)(CGatewayApplication .*)$",
                  rf'\1\2\n\1CGatewayEnv LD_PRELOAD "{PRELOAD}"'
                  rf'\n\1CGatewayEnv ASAN_OPTIONS "{ASAN_OPTIONS}"', text, flags=re.M)


def killed_for_memory():
    """How many processes the kernel has killed for want of memory, of the whole machine:
    it does not say which."""
    with open("/proc/vmstat", encoding="ascii") as table:
        return next((int(line.split()[1]) for line in table
                     if line.startswith("oom_kill ")), 0)


def new_shared_memory(known):
    return sorted(n for n in set(os.listdir("/dev/shm")) - known if "cgw" in n.lower()
                  or "cgateway" in n.lower())


def raw_arguments(pid):
    return private_httpd.read_proc(pid, "cmdline").split(b"\0")


def arguments(pid):
    return [a.decode(errors="replace") for a in raw_arguments(pid)]


def group_of(pid):
    """The group that a template or worker belongs to, or None."""
    words = arguments(pid)
    for at, word in enumerate(words[:-1]):
        if word.endswith("/cgateway/bootstrap.py"):
            return words[at + 1]
    return None


def is_stopped(pid):
    """Whether all of its threads are."""
    tasks = [private_httpd.read_proc(pid, f"task/{task}/stat").decode(errors="replace")
             for task in os.listdir(f"/proc/{pid}/task")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in tasks)


def accepts(pid):
    """Whether it is a worker: a template has one thread, or it could not fork."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    return False
