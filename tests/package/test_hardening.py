# SPDX-License-Identifier: Apache-2.0
"""What docs/packaging.md gives to systemd and AppArmor is what they understand. What it
does, tests/vm shows."""

import os
import re
import subprocess

import pytest

import private_httpd
from harness.paths import ROOT

PAGE = (ROOT / "docs" / "packaging.md").read_text()
UNIT = """\
[Service]
Type=forking
ExecStart=/bin/true
KillMode=mixed
"""
PROFILE = """\
#include <tunables/global>
profile apache2 /usr/sbin/apache2 {
#include <abstractions/base>
%s}
"""


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("settings", blocks("ini"))
def test_systemd_knows_every_setting(tmp_path, settings):
    (tmp_path / "apache2.service.d").mkdir()
    (tmp_path / "apache2.service").write_text(UNIT)
    (tmp_path / "apache2.service.d" / "override.conf").write_text(settings)
    run = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "apache2.service"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    assert run.returncode == 0 and "override.conf" not in run.stdout, run.stdout


def test_apparmor_understands_the_rules(tmp_path):
    profile = tmp_path / "profile"
    profile.write_text(PROFILE % blocks("apparmor")[0])
    parser = private_httpd.which("apparmor_parser")
    run = subprocess.run([parser, "--skip-kernel-load", "--skip-cache", profile], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout
