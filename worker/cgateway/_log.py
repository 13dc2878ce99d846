# SPDX-License-Identifier: Apache-2.0
"""cgateway.LogHandler: Python's logging goes to httpd's error log, with its level."""

import logging
import sys

import cgateway

try:
    import _cgateway
except ImportError:     # a management command
    _cgateway = None

# The lowest of Python's levels that means one of httpd's (syslog's numbers).
_LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4),
           (25, 5), (logging.INFO, 6))
_DEBUG = 7


def httpd_level(level):
    """httpd's number of a level of `logging`; 25, between INFO and WARNING, is notice."""
    return next((number for lowest, number in _LEVELS if level >= lowest), _DEBUG)


class LogHandler(logging.Handler):
    """Records of a thread that has a request go to the ErrorLog of its virtual host, in
    its ErrorLogFormat, with the request's client and log id; others through standard
    error to the log of the group. `LogLevel cgateway:info` filters both. Outside of
    mod_cgateway it writes to standard error."""

    def emit(self, record):
        try:
            self.write(httpd_level(record.levelno), self.format(record))
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def write(self, level, text):
        if _cgateway is None or cgateway.group is None:
            sys.stderr.write(text + "\n")
        elif not _cgateway.log(level, text.encode("utf-8", "backslashreplace")):
            # one write, so that its lines stay together
            sys.stderr.write("".join("<%d>%s\n" % (level, line)
                                     for line in text.splitlines() or [""]))
