# SPDX-License-Identifier: Apache-2.0
"""The packaged module in Debian's own httpd, as systemd runs it."""

import os
import pathlib
import re
import subprocess

import private_httpd
from harness.client import Connection
from harness.httpd import until
from harness.paths import PATIENCE, ROOT

UNIT = "apache2.service"
HOST = "shop.example"
PORT = 80
SITE = pathlib.Path("/etc/apache2/sites-enabled/shop.conf")
DROP_IN = pathlib.Path(f"/etc/systemd/system/{UNIT}.d/test.conf")
LOG = pathlib.Path("/var/log/apache2/shop.log")
HOME = pathlib.Path("/srv/shop")
CGROUP = pathlib.Path("/sys/fs/cgroup/system.slice") / UNIT
RUNTIME_DIR = pathlib.Path("/run/apache2/cgateway")
PAGE = (ROOT / "docs" / "packaging.md").read_text()

VHOST = """\
{before}
<VirtualHost *:80>
    ServerName {host}
    ErrorLog {log}
    CGatewayApplication {home}/app.py
    CGatewayUser games
    {lines}
</VirtualHost>
"""


def run(*command, check=True):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def block(kind, number=0):
    """What docs/packaging.md shows."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)[number]


class Service:
    """apache2.service with one site, whose application is tests/vm/uses.py."""

    def __init__(self):
        HOME.mkdir(exist_ok=True)
        (HOME / "app.py").write_text((ROOT / "tests" / "vm" / "uses.py").read_text())
        self.before = ""

    def site(self, *lines):
        SITE.write_text(VHOST.format(before=self.before, host=HOST, log=LOG, home=HOME,
                                     lines="\n    ".join(lines)))

    def drop_in(self, text):
        DROP_IN.parent.mkdir(exist_ok=True)
        DROP_IN.write_text(text)
        run("systemctl", "daemon-reload")

    def start(self, *lines):
        self.site(*lines)
        run("systemctl", "start", UNIT)
        until(lambda: self.get().status == 200, "the site")

    def remove(self):
        """As if there had been none."""
        run("systemctl", "stop", UNIT, check=False)
        run("systemctl", "reset-failed", UNIT, check=False)
        for path in (SITE, DROP_IN):
            path.unlink(missing_ok=True)
        run("systemctl", "daemon-reload")
        print(LOG.read_text() if LOG.exists() else "")
        print(run("journalctl", "-b", "-n", "30", "-u", UNIT, check=False))

    # ---- what is there ---------------------------------------------------------------

    def get(self, path="/", method="GET", body=None):
        with Connection(PORT, HOST, PATIENCE, None) as connection:
            return connection.request(path, method, body, (), False)

    def show(self, name):
        return run("systemctl", "show", "--value", "-p", name, UNIT).strip()

    def pids(self, program=""):
        """Of the service, with its subgroups; a program's, by its name."""
        found = set()
        for procs in CGROUP.rglob("cgroup.procs"):
            found |= {int(pid) for pid in procs.read_text().split()}
        return {pid for pid in found if program.encode()
                in private_httpd.read_proc(pid, "cmdline")}

    def workers(self):
        return self.pids("bootstrap.py")

    def log(self):
        return LOG.read_text(errors="replace") if LOG.exists() else ""

    def wait_log(self, pattern):
        return until(lambda: re.search(pattern, self.log()), f"{pattern!r} in the log")


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}")
