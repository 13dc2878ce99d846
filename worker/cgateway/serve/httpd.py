# SPDX-License-Identifier: Apache-2.0
"""httpd on this machine: its program, its modules, and mod_cgateway among them."""

import os
import pathlib
import shutil
import subprocess

SBIN = os.pathsep + os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin",
                                     "/usr/local/apache2/bin"])
MODULE_DIRECTORIES = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules",
                      "/usr/lib/httpd/modules", "/usr/local/apache2/modules",
                      "/usr/libexec/apache2"]


class NotFound(Exception):
    """Something is not installed; the text says what to do."""


def which(*names):
    path = os.environ.get("PATH", os.defpath) + SBIN
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def apxs(query):
    """What apxs knows, or None."""
    program = which("apxs", "apxs2")
    if not program:
        return None
    run = subprocess.run([program, "-q", query], capture_output=True, text=True)
    return run.stdout.strip() or None


def find_httpd():
    """The program; where apxs belongs to an httpd, that one."""
    directory, name = apxs("SBINDIR"), apxs("PROGNAME")
    if directory and name and os.access(os.path.join(directory, name), os.X_OK):
        return os.path.join(directory, name)
    program = which("apache2", "httpd")
    if not program:
        raise NotFound("neither apache2 nor httpd is installed: apt-get install "
                       "apache2-bin, or your system's package of httpd")
    return program


def find_modules():
    """The directory of httpd's loadable modules."""
    directories = [apxs("LIBEXECDIR"), *MODULE_DIRECTORIES]
    found = next((d for d in directories if d and os.path.isdir(d)), None)
    if not found:
        raise NotFound("the directory of httpd's modules is not found; install "
                       "apache2-dev or httpd-devel, which know it")
    return pathlib.Path(found)


def builtin_modules(httpd):
    """Names of the modules that are linked into this httpd, as "so", "unixd"."""
    run = subprocess.run([httpd, "-l"], capture_output=True, text=True)
    words = run.stdout.split()
    return {w[4:-2] for w in words if w.startswith("mod_")} | \
        {w[:-2] for w in words if w.endswith(".c") and not w.startswith("mod_")}


def load_lines(httpd, modules, needed=()):
    """LoadModule for those of the modules that are neither built in nor missing.
    Raises NotFound where one of needed is missing."""
    directory = find_modules()
    builtin = builtin_modules(httpd)
    lines = []
    for name in modules:
        path = directory / f"mod_{name}.so"
        if name in builtin:
            continue
        if path.exists():
            lines.append(f'LoadModule {name}_module "{path}"')
        elif name in needed:
            raise NotFound(f"httpd has no mod_{name} ({path})")
    return lines


def find_gateway():
    """mod_cgateway.so: beside the installed library, in a built checkout, or among
    httpd's modules."""
    package = pathlib.Path(__file__).resolve().parent.parent
    candidates = [package.parent.parent / "mod_cgateway.so",
                  package.parent.parent / "build" / "mod_cgateway.so"]
    try:
        candidates.append(find_modules() / "mod_cgateway.so")
    except NotFound:
        pass
    for path in candidates:
        if path.exists() and (path.parent / "cgateway" / "cgatewayd").exists():
            return path
    raise NotFound("mod_cgateway.so is not installed: make -f Makefile.apxs install; or "
                   "name a build of it with --module build/mod_cgateway.so")
