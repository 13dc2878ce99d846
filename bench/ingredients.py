# SPDX-License-Identifier: Apache-2.0
"""What a run needs beside what is installed: the limits in C, the newest mod_wsgi,
data for the applications."""

import glob
import os
import pathlib
import shutil
import subprocess

import private_httpd
from harness import interpreters
from servers import CONTENDERS, PYTHON

HERE = pathlib.Path(__file__).resolve().parent
BIG_MB = 200


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout + done.stderr


def is_wanted(name, words):
    return not words or any(word in name for word in words)


def build_limits(directory):
    directory.mkdir(parents=True, exist_ok=True)
    compile = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra"]
    subprocess.run([*compile, HERE / "limits" / "server.c", "-o", directory / "server"],
                   check=True)
    apr = output(private_httpd.apxs("APR_CONFIG"), "--includes", "--cppflags").split()
    subprocess.run([*compile, "-shared", "-fPIC", *apr,
                    "-I" + private_httpd.apxs("INCLUDEDIR"),
                    HERE / "limits" / "mod_limits.c", "-o", directory / "mod_limits.so"],
                   check=True)


def debian_mod_wsgi():
    path = private_httpd.find_modules() / "mod_wsgi.so"
    return path if path.exists() else None


def newest_mod_wsgi():
    """PyPI's, built by pip against this httpd and kept below build/venvs."""
    try:
        venv = interpreters.venv("mod_wsgi")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench: pip cannot build mod_wsgi: {error}", flush=True)
        return None, ""
    path = glob.glob(f"{venv}/lib/python*/site-packages/mod_wsgi/server/*.so")[0]
    ask = "import importlib.metadata as m; print(m.version('mod_wsgi'), end='')"
    return path, output(venv / "bin" / "python3", "-c", ask)


def find_mod_wsgi(given, wanted):
    """({contender: path of mod_wsgi.so}, their versions as text)"""
    if not is_wanted("mod_wsgi 6", wanted):
        newest, version = None, ""
    else:
        newest, version = (given, given) if given else newest_mod_wsgi()
    debian = debian_mod_wsgi()
    package = output("dpkg-query", "-Wf${Version}", "libapache2-mod-wsgi-py3")
    paths = {"mod_wsgi 4.9": debian, "mod_wsgi 6": newest}
    return ({name: path for name, path in paths.items() if path},
            f"mod_wsgi {package if debian else '-'} and {version or '-'}")


def is_there(contender, mod_wsgi):
    if contender.name.startswith("mod_wsgi"):
        return contender.name in mod_wsgi
    program = contender.backend.split(" ")[0]
    return not program or "{" in program or shutil.which(program)


def choose_contenders(wanted, mod_wsgi):
    """Those whose name contains one of the wanted words, and that are installed."""
    chosen = [c for c in CONTENDERS if is_wanted(c.name, wanted)]
    for contender in chosen:
        if not is_there(contender, mod_wsgi):
            print(f"bench: {contender.name} is not there, and left out", flush=True)
    return [c for c in chosen if is_there(c, mod_wsgi)]


def make_data(run):
    """What all servers share: files, the Django site's database."""
    data = run / "data"
    data.mkdir()
    (data / "small").write_bytes(b"small\n")
    block = os.urandom(1 << 20)
    with open(data / "big", "wb") as big:
        for _ in range(BIG_MB):
            big.write(block)
    shutil.copytree(HERE / "apps" / "site", run / "site",
                    ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([PYTHON, run / "site" / "fill.py"], check=True)
    shutil.move(run / "site" / "db.sqlite3", data)
    shutil.rmtree(run / "site")
