# SPDX-License-Identifier: Apache-2.0
"""The Django projects of examples/ as virtual hosts of a test's httpd."""

import os
import shutil
import subprocess

import private_httpd
from harness.paths import AS_ROOT, EXAMPLES, HTTPD_USER, PYTHON


class Site:
    """One virtual host of a project; several may share the project's code."""

    def __init__(self, httpd, project, host, settings, user=None, python=PYTHON):
        self.httpd = httpd
        self.project = project
        self.host = host
        self.settings = settings
        self.user = user if AS_ROOT else None
        self.python = str(python)
        self.code = httpd.root / "sites"
        if not self.code.exists():
            shutil.copytree(EXAMPLES, self.code,
                            ignore=shutil.ignore_patterns("__pycache__", "data"))
            private_httpd.make_readable(self.code)
        self.data = httpd.mkdir(f"data/{host}", owner=self.user or HTTPD_USER)
        httpd.mkdir(f"data/{host}/media", owner=self.user or HTTPD_USER)
        self.configure()

    def configure(self, *lines):
        user = [f"CGatewayUser {self.user}"] if self.user else []
        self.httpd.vhost(
            self.host,
            f"CGatewayApplication {self.project}.wsgi",
            f"CGatewaySettings {self.settings}",
            f'CGatewayPath "{self.code}/{self.project}" "{self.code}/lib"',
            f'CGatewayPython "{self.interpreter()}"',
            f'CGatewayEnv SITE_DATA "{self.data}"',
            f"CGatewayEnv SITE_HOSTS {self.host}",
            f'Alias /static "{self.data}/static"',
            f'Alias /media "{self.data}/media"', *user, *lines)

    def interpreter(self):
        return self.python

    def python_program(self):
        candidate = os.path.join(self.python, "bin", "python3")
        return candidate if os.path.exists(candidate) else self.python

    def manage(self, *command):
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SITE_DATA": str(self.data),
               "DJANGO_SETTINGS_MODULE": self.settings, "PYTHONPATH": f"{self.code}/lib",
               "PYTHONDONTWRITEBYTECODE": "1", "DJANGO_SUPERUSER_PASSWORD": "secret"}
        account = self.user or HTTPD_USER
        switch = dict(user=account, extra_groups=[]) if AS_ROOT else {}
        subprocess.run([self.python_program(), "manage.py", *command], env=env,
                       cwd=self.code / self.project, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **switch)

    def populate(self):
        """Database, a few rows, static files and an administrator."""
        self.manage("migrate")
        self.manage("loaddata", "demo")
        self.manage("collectstatic", "--noinput")
        self.manage("createsuperuser", "--noinput", "--username", "admin", "--email",
                    "a@example.com")
        return self

    def get(self, path, **options):
        return self.httpd.get(path, host=self.host, **options)

    def whoami(self):
        return self.get("/whoami").json()
