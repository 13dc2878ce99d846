# SPDX-License-Identifier: Apache-2.0
"""A newcomer's path (newcomer.sh beside this file) passes as it is written."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import private_httpd
from harness.httpd import until
from harness.paths import HTTPD, PATIENCE, PRELOAD, PYTHON, ROOT

pytestmark = pytest.mark.skipif(bool(PRELOAD), reason="serves a plain build")
SCRIPT = pathlib.Path(__file__).with_name("newcomer.sh")


def program(directory, name, text):
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)


def machine(httpd):
    """PATH and variables, as on a machine where the package is installed."""
    programs = httpd.mkdir("bin")
    library = httpd.root / "modules" / "cgateway"
    serve = (ROOT / "tools" / "cgateway-serve").read_text()
    program(programs, "cgateway-serve",
            serve.replace('LIBRARY = ""', f'LIBRARY = "{library}"'))
    shutil.copy(ROOT / "tools" / "cgatewayctl", programs)
    os.symlink(PYTHON, programs / "python3")
    program(programs, "apachectl", f"""#!/bin/sh
case $1 in configtest) set -- -t ;; *) set -- -k "$1" ;; esac
exec {HTTPD} -d {httpd.root} -f {httpd.config} "$@"
""")
    home = httpd.mkdir("srv")
    return dict(args=["sh", SCRIPT], cwd=home, text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={
                    "PATH": f"{programs}:/usr/bin:/bin", "PORT": str(httpd.port),
                    "TRY": str(private_httpd.free_port()), "LANG": "C.UTF-8",
                    "SITES": str(httpd.mkdir("sites")), "LOGS": str(httpd.root / "logs"),
                    "CGATEWAY_RUNTIME_DIR": str(httpd.root / "run")})


def test_a_newcomers_path(httpd):
    httpd.main(f'IncludeOptional "{httpd.root}/sites/*.conf"')
    httpd.write_config()
    # what the path itself breaks
    httpd.expected += [re.compile(text) for text in (
        "CGW0221", "CGW0230", "CGW0411", r"\] shop\.example\.com: ", "CGW0213", "CGW0133",
        "CGW0222", "CGW0132", "CGW03")]
    run = subprocess.run(**machine(httpd), timeout=10 * PATIENCE)
    print(run.stdout)
    until(lambda: not httpd.processes(), "httpd to end")
    assert run.returncode == 0, run.stdout
    assert "== The end" in run.stdout
