# SPDX-License-Identifier: Apache-2.0
"""sys.path of a group."""

import os
import site
import sys


def _is_site_packages(entry):
    return os.path.basename(os.path.normpath(entry)) == "site-packages"


def put_in_front(entries):
    """Put the entries of CGatewayPath in front of sys.path, in their order. A
    site-packages directory brings along what its .pth files name."""
    before = list(sys.path)
    front = []
    for entry in entries:
        front.append(entry)
        if entry not in before and _is_site_packages(entry):
            known = set(sys.path)
            site.addsitedir(entry)
            front += [path for path in sys.path if path not in known]
    front = list(dict.fromkeys(front))
    sys.path[:] = front + [path for path in before if path not in front]


def stay():
    """Follow the links in sys.path now: where one of them is switched to another release,
    what this process has still to import is that of the release which it began with."""
    sys.path[:] = dict.fromkeys(os.path.realpath(entry) if os.path.isabs(entry) else entry
                                for entry in sys.path)


def staying(path):
    """The same for a file; its own name may be a link to elsewhere."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)
