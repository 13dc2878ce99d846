# SPDX-License-Identifier: Apache-2.0
"""An httpd of one's own: its directory, its configuration, its life."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from cgateway.serve import httpd
from cgateway.serve.processes import end_httpd, is_run_from, processes, wait_until
from cgateway.serve.site import directive, quoted, site_lines

MODULES = ["unixd", "mpm_event", "authz_core", "mime", "alias", "log_config", "headers",
           "setenvif", "env", "reqtimeout", "deflate", "filter"]
# Accounts for httpd's children where root starts it.
HTTPD_USERS = ["www-data", "apache", "httpd", "daemon", "nobody"]
START_SECONDS = 60
STOP_SECONDS = 40
PREFIX = "cgw-serve-"
PR_SET_PDEATHSIG = 1
# httpd's own words at start and end, which only fill a terminal.
NOISE = re.compile(rb"\[(?:core|mpm_\w+|ssl):notice\]")
# A terminal shows the time of day.
DATE = re.compile(rb"^\[\w+ \w+ \d+ (\d\d:\d\d:\d\d)\.\d+ \d+\]")
# What keeps a port from being had, and what to do.
PORT_ERRORS = {
    errno.EADDRINUSE: "port {port} is in use; choose another one with --port",
    errno.EACCES: "port {port} is only for root here; choose one above 1023 with --port",
    errno.EADDRNOTAVAIL: "{host} is no address of this machine; name one of its own, or "
                         "0.0.0.0 for all",
    socket.EAI_NONAME: "{host} is neither an address nor a name that is known here",
}
END_OF_LOG = b"\0\n"
# Of the environment of whoever starts it, what a worker has of its own.
OWN = {"HOME", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "_"}

MAIN = """\
ServerRoot "{root}"
DefaultRuntimeDir "{root}"
PidFile "{root}/httpd.pid"
ServerName {name}
Listen {listen}
{load}
LoadModule cgateway_module "{module}"
{user}
CGatewayRuntimeDir "{root}/run"
ErrorLog "{root}/log"
LogLevel {level}
TypesConfig "{types}"
AddDefaultCharset Off
StartServers 1
ServerLimit 4
ThreadsPerChild 32
MaxRequestWorkers 128
MinSpareThreads 16
MaxSpareThreads 128
GracefulShutdownTimeout 5
{access_log}
<Directory />
    AllowOverride None
    Require all denied
</Directory>
"""


class Failed(Exception):
    pass


def remove_stale():
    """Directories whose owner was killed before it could remove them."""
    for path in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid != os.geteuid():
                continue
            with open(path / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)


def certificate(root, name):
    """A key and a certificate that signs itself. Returns their paths."""
    key, cert = root / "key.pem", root / "cert.pem"
    openssl = shutil.which("openssl")
    if not openssl:
        raise Failed("--https-self-signed needs the program openssl")
    run = subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
         "-subj", f"/CN={name}", "-addext",
         f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1", "-addext",
         "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
        capture_output=True, text=True, umask=0o077)
    if run.returncode:
        raise Failed(f"openssl cannot make a certificate:\n{run.stderr}")
    return key, cert


class PrivateHttpd:
    """Removes its directory and ends its processes when it is left (with ...)."""

    def __init__(self, site, options):
        self.site, self.options = site, options
        self.process = None
        self.printer = None
        self.program = options.httpd or httpd.find_httpd()
        self.module = pathlib.Path(options.module or httpd.find_gateway()).resolve()
        remove_stale()
        # short: the path of a Unix socket is limited to 107 bytes
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self.lock = open(self.root / "lock", "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def scheme(self):
        return "https" if self.options.https_self_signed else "http"

    @property
    def url(self):
        host = self.options.host
        shown = self.site.name if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host
        return f"{self.scheme}://{shown}:{self.options.port}{self.site.mount}/"

    # ---- configuration

    def user_lines(self):
        if os.geteuid() != 0:
            return ""
        self.root.chmod(0o711)
        for name in filter(None, [self.options.user, *HTTPD_USERS]):
            with contextlib.suppress(KeyError):
                account = pwd.getpwnam(name)
                return f"User #{account.pw_uid}\nGroup #{account.pw_gid}"
        raise Failed("root does not serve as itself: name an account with --user")

    def tls_lines(self):
        if not self.options.https_self_signed:
            return []
        key, cert = certificate(self.root, self.site.name)
        return ["SSLEngine on", f"SSLCertificateFile {quoted(cert)}",
                f"SSLCertificateKeyFile {quoted(key)}"]

    def environment_lines(self):
        """In development, the application sees the environment of the terminal."""
        if self.options.clean_env:
            return []
        names = sorted(name for name in os.environ if name not in OWN
                       and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
                       and not (self.site.settings and name == "DJANGO_SETTINGS_MODULE"))
        return [directive("CGatewayPassEnv", *names)] if names else []

    def watch_lines(self):
        if not self.options.reload:
            return ["CGatewayWatch Off"]
        self.trigger.touch()
        return [f"CGatewayWatch {quoted(self.trigger)}"]

    @property
    def trigger(self):
        return self.root / "reload"

    def write_config(self):
        needed = ["authz_core", "alias", "mime"]
        modules = list(MODULES)
        level = f"warn cgateway:{self.options.log_level}"
        if self.options.https_self_signed:
            modules += ["socache_shmcb", "ssl"]
            needed.append("ssl")
            level += " ssl:error"
        types = next((p for p in ("/etc/mime.types", "/etc/httpd/conf/mime.types")
                      if os.path.exists(p)), os.devnull)
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        access_log = "" if self.options.no_access_log else (
            'LogFormat "%h \\"%r\\" %>s %B bytes %{ms}T ms" serve\n'
            f'CustomLog "{self.root}/log" serve')
        text = MAIN.format(
            root=self.root, name=self.site.name, listen=f"{host}:{self.options.port}",
            load="\n".join(httpd.load_lines(self.program, modules, needed)),
            module=self.module, user=self.user_lines(), types=types,
            level=level, access_log=access_log)
        lines = [f"ServerName {self.site.name}", *self.tls_lines(),
                 *site_lines(self.site), *self.environment_lines(), *self.watch_lines()]
        text += f"<VirtualHost *:{self.options.port}>\n" + "".join(
            f"    {line}\n" for line in lines) + "</VirtualHost>\n"
        self.config.write_text(text)
        self.config.chmod(0o600)

    @property
    def config(self):
        return self.root / "httpd.conf"

    # ---- logs

    def open_log(self):
        """A pipe with a name: httpd and its supervisor write, this process prints."""
        os.mkfifo(self.root / "log", 0o600)
        # for writing, too: it does not end when a writer does
        self.log = os.open(self.root / "log", os.O_RDWR | os.O_CLOEXEC)
        self.printer = threading.Thread(target=self.print_log, daemon=True)
        self.printer.start()

    def print_log(self):
        with open(self.log, "rb", closefd=False) as log:
            for line in log:
                if line == END_OF_LOG:
                    return
                if self.options.log_level == "debug" or not NOISE.search(line):
                    with contextlib.suppress(OSError):
                        os.write(2, DATE.sub(rb"\1", line))

    def end_log(self):
        if self.printer:
            os.write(self.log, END_OF_LOG)
            self.printer.join(STOP_SECONDS)

    # ---- life

    def command(self, *words):
        return [str(self.program), "-d", str(self.root), "-f", str(self.config), *words]

    def check(self):
        run = subprocess.run(self.command("-t"), stdin=subprocess.DEVNULL, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode:
            raise Failed("the configuration is refused:\n" + run.stdout.strip())
        for line in run.stdout.splitlines():
            if line != "Syntax OK":
                print(line, flush=True)

    def start(self):
        """Returns once it accepts connections."""
        self.check_port()
        self.write_config()
        self.open_log()
        self.check()
        # A session of its own: Ctrl-C reaches this process alone, which then ends
        # httpd in order. If this process is killed, httpd ends all the same.
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            self.command("-D", "FOREGROUND"), stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        if not wait_until(self.is_up_or_ended, START_SECONDS):
            raise Failed("httpd does not accept connections")
        if self.process.poll() is not None:
            raise Failed("httpd did not start")

    def address(self):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.options.host)
        return host or self.options.host, int(self.options.port)

    def check_port(self):
        host, port = self.options.host, int(self.options.port)
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            with socket.socket(family, kind) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(address)
        except OSError as error:
            raise Failed(PORT_ERRORS.get(
                error.errno, "{host}, port {port}: {error}").format(
                host=host, port=port, error=error.strerror)) from error

    def is_up_or_ended(self):
        if self.process.poll() is not None:
            return True
        with contextlib.suppress(OSError):
            socket.create_connection(self.address(), 1).close()
            return (self.root / "httpd.pid").exists()
        return False

    def running(self):
        """httpd and its supervisor; workers name the library, others' do, too."""
        return [pid for pid in processes(self.root, is_run_from)]

    def stop(self):
        if self.process:
            end_httpd(self.process, self.running, STOP_SECONDS)
        self.end_log()
        shutil.rmtree(self.root, ignore_errors=True)
        self.lock.close()
