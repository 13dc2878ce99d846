# SPDX-License-Identifier: Apache-2.0
"""Which objects given to wsgi.file_wrapper httpd can send itself."""

import io
import os
import stat
import sys

_PLAIN = (io.BufferedReader, io.BufferedRandom, io.FileIO)


def _unwrap(file):
    """The real file of what tempfile made; who has not imported that made none."""
    tempfile = sys.modules.get("tempfile")  # another thread may be at it just now
    if type(file) is getattr(tempfile, "_TemporaryFileWrapper", None):
        return file.file
    if isinstance(file, getattr(tempfile, "SpooledTemporaryFile", ())):
        return file._file
    return file


def _reads_plainly(file):
    """Neither its class nor somebody else has replaced read()."""
    if "read" in getattr(file, "__dict__", ()):
        return False
    return any(getattr(type(file), "read", None) is plain.read
               for plain in _PLAIN)


def sendable(file):
    """(descriptor, offset, length) of what is left to read, or None.

    Only files whose read() gives the bytes of the descriptor as they are: a
    GzipFile has a fileno(), too, but it is that of the compressed file.
    """
    file = _unwrap(file)
    if not _reads_plainly(file):
        return None
    try:
        if not file.readable():
            return None
        file.flush()    # what was written may wait in its buffer
        descriptor, offset = file.fileno(), file.tell()
        status = os.fstat(descriptor)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return descriptor, offset, max(0, status.st_size - offset)
