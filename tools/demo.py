#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Serves the two Django projects of examples/ from one private httpd, each with
its own settings, processes and, as root, its own user. Ends on Ctrl-C, and then
removes everything: it all lies in one new directory below /tmp."""

import argparse
import contextlib
import json
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import private_httpd

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
PYTHON = "/usr/bin/python3"
SITES = ["shop", "blog"]
MODULES = ["mpm_event", "authz_core", "mime", "alias", "dir", "headers", "reqtimeout"]
# Accounts without rights of their own that every Debian has.
HTTPD_USERS = ["www-data", "apache", "httpd", "daemon"]
SITE_USERS = ["nobody", "games", "news", "uucp", "bin"]
START_SECONDS = 90
STOP_SECONDS = 30

MAIN = """\
ServerRoot "{root}"
DefaultRuntimeDir "{root}"
PidFile "{root}/httpd.pid"
ErrorLog "{root}/error.log"
ServerName localhost
Listen 127.0.0.1:{port}
{load}
LoadModule cgateway_module "{root}/modules/mod_cgateway.so"
{user}
TypesConfig /etc/mime.types
AddDefaultCharset Off
CGatewayRuntimeDir "{root}/run"
<Directory />
    AllowOverride None
    Require all denied
</Directory>
"""

VHOST = """\
<VirtualHost *:{port}>
    ServerName {site}.localhost
    ErrorLog "{root}/{site}.error.log"

    CGatewayApplication {site}.wsgi
    CGatewaySettings    {site}.settings
    CGatewayPath        "{root}/sites/{site}" "{root}/sites/lib"
    CGatewayPython      {python}
    CGatewayEnv         SITE_DATA "{data}"
    CGatewayEnvFile     "{root}/{site}.env"
    {user}

    Alias /static "{data}/static"
    Alias /media  "{data}/media"
    <Directory "{data}/static">
        Require all granted
    </Directory>
    <Directory "{data}/media">
        # What people upload must not run in the site's name.
        Header set Content-Security-Policy sandbox
        Header set X-Content-Type-Options nosniff
        Require all granted
    </Directory>
</VirtualHost>
"""


class Failed(Exception):
    pass


class Interrupted(BaseException):
    """Ctrl-C, or a signal that asks to end."""


def say(text=""):
    print(text, flush=True)


def accounts(names):
    for name in names:
        with contextlib.suppress(KeyError):
            yield pwd.getpwnam(name)


def choose_users():
    """(httpd's account, {site: account}); Nones where users cannot be changed."""
    if os.geteuid() != 0:
        return None, dict.fromkeys(SITES)
    httpd = next(accounts(HTTPD_USERS), None)
    others = [a for a in accounts(SITE_USERS) if httpd and a.pw_uid != httpd.pw_uid]
    if len(others) < len(SITES):
        raise Failed("found no unprivileged accounts to run the sites as")
    return httpd, dict(zip(SITES, others))


class Demo:
    def __init__(self, build):
        self.build = pathlib.Path(build).absolute()
        # short: the path of a Unix socket is limited to 107 bytes
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="cgw-demo-", dir="/tmp"))
        self.port = private_httpd.free_port()
        self.password = secrets.token_urlsafe(9)
        self.process = None
        self.httpd_user, self.users = choose_users()

    # ---- what is served ----------------------------------------------------

    def data(self, site):
        return self.root / "data" / site

    def prepare(self):
        """Other users pass through the directory but cannot list it."""
        self.root.chmod(0o711)
        (self.root / "modules").mkdir()
        private_httpd.copy_build(self.build, self.root / "modules")
        shutil.copytree(EXAMPLES, self.root / "sites",
                        ignore=shutil.ignore_patterns("__pycache__", "data"))
        private_httpd.make_readable(self.root / "sites")
        for site in SITES:
            self.prepare_site(site)
        self.write_config()

    def prepare_site(self, site):
        say(f"  {site}: migrate, load a few rows, collect static files")
        data = self.data(site)
        (data / "media").mkdir(parents=True)
        data.chmod(0o711)
        if self.users[site]:
            for path in (data, data / "media"):
                os.chown(path, self.users[site].pw_uid, self.users[site].pw_gid)
        env_file = self.root / f"{site}.env"
        env_file.touch(mode=0o600)
        env_file.write_text(f"SITE_SECRET_KEY={secrets.token_urlsafe(40)}\n")
        self.manage(site, "migrate", "--verbosity", "0")
        self.manage(site, "loaddata", "--verbosity", "0", "demo")
        self.manage(site, "collectstatic", "--noinput", "--verbosity", "0")
        self.manage(site, "createsuperuser", "--noinput", "--verbosity", "0",
                    "--username", "admin", "--email", "admin@localhost")

    def manage(self, site, *command):
        sites = self.root / "sites"
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
               "SITE_DATA": str(self.data(site)), "PYTHONPATH": str(sites / "lib"),
               "PYTHONDONTWRITEBYTECODE": "1",
               "DJANGO_SUPERUSER_PASSWORD": self.password}
        account = self.users[site]
        switch = dict(user=account.pw_uid, group=account.pw_gid,
                      extra_groups=[]) if account else {}
        run = subprocess.run([PYTHON, "manage.py", *command], cwd=sites / site, env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, **switch)
        if run.returncode:
            raise Failed(f"{site}: manage.py {command[0]} failed:\n{run.stdout}")

    # ---- httpd ---------------------------------------------------------------

    def write_config(self):
        self.httpd = private_httpd.find_httpd()
        account = self.httpd_user
        user = f"User #{account.pw_uid}\nGroup #{account.pw_gid}" if account else ""
        text = MAIN.format(root=self.root, port=self.port, user=user,
                           load="\n".join(private_httpd.load_lines(
                               self.httpd, ["unixd", *MODULES])))
        for site in SITES:
            account = self.users[site]
            text += VHOST.format(
                root=self.root, port=self.port, site=site, python=PYTHON,
                data=self.data(site),
                user=f"CGatewayUser {account.pw_name}" if account else "")
        (self.root / "httpd.conf").write_text(text)

    def start(self):
        # A session of its own: Ctrl-C reaches this script alone, which then
        # ends httpd in order.
        self.process = subprocess.Popen(
            [self.httpd, "-d", self.root, "-f", self.root / "httpd.conf",
             "-D", "FOREGROUND"],
            stdin=subprocess.DEVNULL, start_new_session=True)
        if not private_httpd.wait_until(self.is_up_or_ended, START_SECONDS):
            raise Failed("httpd does not accept connections")
        if self.process.poll() is not None:
            raise Failed("httpd did not start")

    def is_up_or_ended(self):
        if self.process.poll() is not None:
            return True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def whoami(self, site):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/whoami",
            headers={"Host": f"{site}.localhost:{self.port}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=START_SECONDS) as response:
                return json.load(response)
        except (OSError, urllib.error.URLError) as error:
            raise Failed(f"{site}.localhost does not answer: {error}") from None

    def show(self):
        for site in SITES:
            told = self.whoami(site)
            say(f"  {site}.localhost: DJANGO_SETTINGS_MODULE={told['settings']} "
                f"pid={told['pid']} user={told['user']} "
                f"(Django {told['django']}, Python {told['python']}, \"{told['site']}\")")
        say()
        say("Open in a browser on this machine:")
        for site in SITES:
            say(f"  http://{site}.localhost:{self.port}/")
        say(f"  .../admin/ with admin and {self.password}")
        say("or on the command line:")
        for site in SITES:
            host = f"{site}.localhost:{self.port}"
            say(f"  curl --resolve {host}:127.0.0.1 http://{host}/whoami")
        say(f"Configuration and logs: {self.root}")
        say("Ctrl-C ends it and removes everything.")

    def stop(self):
        private_httpd.end_httpd(self.process, self.running, STOP_SECONDS)
        shutil.rmtree(self.root)

    def running(self):
        return private_httpd.processes(self.root / "modules", private_httpd.is_run_from)

    def show_logs(self):
        for log in sorted(self.root.glob("*error.log")):
            text = log.read_text(errors="replace")[-4000:]
            if text:
                say(f"--- {log.name}\n{text}")


def interrupt(*_):
    """Only the first signal counts: make and a terminal may each send one, and
    the second must not break off the removal."""
    on_signals(signal.SIG_IGN)
    raise Interrupted


def on_signals(action):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def run(demo):
    say("Preparing two Django sites:")
    demo.prepare()
    say("Starting httpd:")
    demo.start()
    demo.show()
    demo.process.wait()
    raise Failed("httpd has ended")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="directory of the built module")
    options = parser.parse_args()
    os.umask(0o022)
    on_signals(interrupt)
    status = 0
    try:
        demo = Demo(options.build)
    except (Failed, private_httpd.NotFound) as error:
        sys.exit(f"demo: {error}")
    try:
        run(demo)
    except Interrupted:
        say("\nEnding.")
    except (Failed, private_httpd.NotFound) as error:
        say(f"demo: {error}")
        demo.show_logs()
        status = 1
    finally:
        on_signals(signal.SIG_IGN)
        demo.stop()
    sys.exit(status)


if __name__ == "__main__":
    main()
