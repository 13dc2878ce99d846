# SPDX-License-Identifier: Apache-2.0
"""Exceptions as text for the log."""

import importlib
import os
import sys
import traceback

_OURS = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = os.path.dirname(_OURS)


def _is_ours(frame_file):
    return (os.path.dirname(frame_file) in (_OURS, _LIBRARY)
            or frame_file == importlib.__file__
            or frame_file.startswith("<frozen importlib"))


def trim(tb):
    """The traceback without the frames of the gateway that lead to it."""
    while tb is not None and _is_ours(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb


def surroundings(group):
    """What a developer asks first: which process, Python and path."""
    return "\n".join(["group: %s" % group, "pid: %d" % os.getpid(),
                      "Python: %s" % sys.version.replace("\n", " "),
                      "interpreter: %s" % sys.executable,
                      "directory: %s" % os.getcwd(), "sys.path:"]
                     + ["    %s" % entry for entry in sys.path])


def _text(kind, value, tb):
    try:
        if kind is None:
            return str(value)
        return "".join(traceback.format_exception(kind, value, trim(tb)))
    except Exception:   # a __str__ that fails must not hide the rest
        return "".join(traceback.format_tb(tb)) + type(value).__name__


def _encode(text):
    return text.rstrip("\n").encode("utf-8", "backslashreplace").replace(
        b"\0", b"\\x00")


def describe(kind, value, tb, group=None):
    """The exception as `traceback` prints it, or, where kind is None, what it
    says: bytes, without the last newline. With a group, behind a NUL, what is
    around it. Called by the extension for what an application raised."""
    data = _encode(_text(kind, value, tb))
    if group is not None:
        try:
            data += b"\0" + _encode(surroundings(group))
        except Exception:   # the directory is gone, sys.path is no list
            pass
    return data


def tell(text):
    """Lines to stderr at once; to where it was at first, when the application has put
    something else in its place that cannot be written."""
    text = text.rstrip("\n") + "\n"
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        os.write(2, text.encode("utf-8", "backslashreplace"))


def warn(text):
    """A line to stderr, as tell(); nothing has failed. The supervisor takes the
    level from the line's beginning."""
    tell("<4>" + text)
