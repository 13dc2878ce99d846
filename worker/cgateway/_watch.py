# SPDX-License-Identifier: Apache-2.0
"""Which names in which directories the supervisor is to watch (CGatewayWatch).

A change of a file shows in the directory that it lies in: also where the file is
replaced. A path can also change further up, where a directory or a symbolic
link is replaced, so each directory on the way is named.
"""

import os
import sys

# A symbolic link may lead anywhere, also around in a circle.
_LINKS_MAX = 40


def _real_steps(path):
    """(directory, name) of each step on the way along the path, links followed."""
    directory, names, links = "/", [n for n in path.split("/") if n], 0
    while names:
        name = names.pop(0)
        if name == ".":
            continue
        if name == "..":
            directory = os.path.dirname(directory)
            continue
        yield directory, name
        whole = os.path.join(directory, name)
        try:
            target = os.readlink(whole)
        except OSError:
            directory = whole
            continue
        links += 1
        if links > _LINKS_MAX:
            return
        names = [n for n in target.split("/") if n] + names
        if target.startswith("/"):
            directory = "/"


def steps(path):
    """(directory, name) of what must not change, of a file's absolute path.
    What lies directly below / is not replaced by a deploy, and watching / would
    only make noise."""
    return [(directory, name) for directory, name in _real_steps(path)
            if directory != "/"]


# ---- the application's file ----------------------------------------------------

def _find_spec(name, path):
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, path) if find else None
        if spec is not None:
            return spec
    return None


def _existing(path):
    """The path, or the archive that it lies in."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def module_files(module, entries):
    """Paths whose change is one of the module: its file, or, where it is not found,
    what would have to appear. Nothing is imported."""
    name, path = "", None
    for part in module.split("."):
        name = name + "." + part if name else part
        spec = _find_spec(name, path)
        if spec is None:
            return [os.path.join(entry, part + suffix)
                    for entry in (entries if path is None else path)
                    for suffix in ("", ".py")]
        path = list(spec.submodule_search_locations or [])
    return [_existing(spec.origin)] if spec.has_location and spec.origin else []
