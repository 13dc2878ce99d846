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


def describe(kind, value, tb):
    """The exception as `traceback` prints it: bytes, without the last newline.
    Called by the extension for what an application raised."""
    try:
        text = "".join(traceback.format_exception(kind, value, trim(tb)))
    except Exception:   # a __str__ that fails must not hide the rest
        text = "".join(traceback.format_tb(tb)) + kind.__name__
    return text.rstrip("\n").encode("utf-8", "backslashreplace")


def tell(text):
    """Lines to stderr at once."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()
