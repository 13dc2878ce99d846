# SPDX-License-Identifier: Apache-2.0
"""cgatewayctl and the control socket of a test's httpd."""

import json
import shutil
import socket
import subprocess

from harness.paths import PATIENCE, ROOT


class Ctl:
    """Runs cgatewayctl, as another user where one is named."""

    def __init__(self, httpd):
        self.runtime_dir = httpd.root / "run"
        self.program = httpd.root / "cgatewayctl"    # where every user can read it
        shutil.copy(ROOT / "tools" / "cgatewayctl", self.program)
        self.program.chmod(0o755)

    def start(self, *words, user=None, **options):
        switch = dict(user=user, group=user, extra_groups=[]) if user else {}
        return subprocess.Popen(
            [self.program, "--runtime-dir", self.runtime_dir, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd="/", **switch, **options)

    def __call__(self, *words, user=None):
        """A finished process: returncode, stdout, stderr."""
        process = self.start(*words, user=user)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words, user=None):
        run = self(*words, "--json", user=user)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    def group(self, name):
        """The status of one group."""
        return self.json("status", name)["groups"][0]

    def connect(self):
        """A connection to the control socket itself."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.runtime_dir / "control"))   # waits for room in the queue
        connection.settimeout(PATIENCE)
        return connection

    def ask(self, line):
        """The answer to the bytes of a request."""
        with self.connect() as connection:
            connection.sendall(line)
            return json.loads(receive_all(connection))


def receive_all(connection):
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data
