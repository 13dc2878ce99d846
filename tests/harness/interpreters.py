# SPDX-License-Identifier: Apache-2.0
"""Other Pythons than the system's: virtual environments made for the tests, and
whatever CPython builds the machine has."""

import fcntl
import glob
import os
import shutil
import subprocess

from harness.paths import AS_ROOT, HTTPD_USER, PYTHON, ROOT

VENVS = ROOT / "build" / "venvs"
OLDEST = (3, 9)


def create(path, requirement):
    subprocess.run([PYTHON, "-m", "venv", path], check=True)
    subprocess.run([path / "bin" / "python3", "-m", "pip", "install", "--quiet",
                    *requirement.split()], check=True, stdin=subprocess.DEVNULL)
    (path / "complete").touch()


def venv(requirement):
    """A virtual environment with packages from PyPI, kept below build/."""
    VENVS.mkdir(parents=True, exist_ok=True)
    path = VENVS / requirement.replace("==", "-").replace(" ", "_")
    with open(VENVS / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)    # xdist's processes share it
        if not (path / "complete").exists():
            shutil.rmtree(path, ignore_errors=True)
            create(path, requirement)
    return path


def venv_for(httpd, requirement):
    """The environment where every user can reach it."""
    path = venv(requirement)
    if AS_ROOT and not can_run(path / "bin" / "python3"):
        copy = httpd.root / path.name
        shutil.copytree(path, copy, symlinks=True)
        return copy
    return path


def switch_user():
    """Subprocess arguments to try a Python as httpd's user."""
    return dict(user=HTTPD_USER, extra_groups=[]) if AS_ROOT else {}


def describe(python, library=""):
    """((3, 12, 1), is a debug build), or None where it is none of ours."""
    try:
        run = subprocess.run(
            [python, "-c", "import sys; print(sys.implementation.name, *sys.version_info"
             "[:3], hasattr(sys, 'gettotalrefcount'))"], capture_output=True, text=True,
            cwd="/", env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": library},
            **switch_user())
    except OSError:
        return None
    words = run.stdout.split()
    if run.returncode or words[0] != "cpython" or tuple(map(int, words[1:3])) < OLDEST:
        return None
    return tuple(map(int, words[1:4])), words[4] == "True"


def can_run(python):
    return describe(python) is not None


def installed():
    """Paths of the CPythons that lie where every user can run them."""
    patterns = ["/usr/bin/python3*", "/usr/local/bin/python3*", "/opt/*/bin/python3"]
    paths = {os.path.realpath(p) for pattern in patterns for p in glob.glob(pattern)
             if not p.endswith("config")}
    return sorted(path for path in paths if can_run(path))


def pyenv_prefixes():
    """Installations in this user's home directory that are new enough."""
    prefixes = glob.glob(os.path.expanduser("~/.pyenv/versions/3.*"))
    return sorted(p for p in prefixes if version_of(p) >= OLDEST)


def version_of(prefix):
    numbers = os.path.basename(prefix).split(".")
    return tuple(int(n) for n in numbers[:2]) if all(n.isdigit() for n in numbers) else ()


def copy_for_others(prefix, target):
    """A copy of an installation, without what no test needs, that every user can
    run with LD_LIBRARY_PATH=<target>/lib: a home directory cannot be entered."""
    number = ".".join(map(str, version_of(prefix)))
    (target / "bin").mkdir(parents=True)
    (target / "lib").mkdir()
    shutil.copy(f"{prefix}/bin/python{number}", target / "bin")
    (target / "bin" / "python3").symlink_to(f"python{number}")
    for library in glob.glob(f"{prefix}/lib/libpython{number}*"):
        shutil.copy(library, target / "lib", follow_symlinks=False)
    shutil.copytree(f"{prefix}/lib/python{number}", target / "lib" / f"python{number}",
                    symlinks=True, ignore=shutil.ignore_patterns(
                        "test", "tests", "site-packages", "idlelib", "tkinter",
                        "config-*", "ensurepip"))
    return target
