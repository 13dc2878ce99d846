# SPDX-License-Identifier: Apache-2.0
"""Reads error logs: which lines are at warning or above, and undeclared."""

import re

# [time] [module:level] [pid 1:tid 2] text
LINE = re.compile(r"^\[[^]]*\] \[\w*:(?P<level>\w+)\] (?P<who>\[pid [^]]*\])"
                  r"(?: \[client (?P<client>[^]]*)\])? ?(?P<text>.*)$")
GRAVE = {"emerg", "alert", "crit", "error", "warn"}
HAS_ID = re.compile(r"\b(CGW\d{4}|AH\d{5}): ")


def entries(text):
    """(writer, level, whole line) of each line; level None for a line that has
    not the form of httpd's log."""
    for line in text.splitlines():
        found = LINE.match(line)
        if found:
            yield found["who"], found["level"], line
        elif line.strip():
            yield None, None, line


def undeclared(text, expected):
    """Lines at warning or above that no expected pattern matches. A line without
    an id continues the last one of its writer: a traceback behind its message."""
    found, declared = [], {}
    last_writer = None
    for writer, level, line in entries(text):
        writer = writer or last_writer
        last_writer = writer
        if level is not None and level not in GRAVE:
            declared[writer] = False
            continue
        is_declared = any(pattern.search(line) for pattern in expected)
        if not is_declared and not HAS_ID.search(line):
            is_declared = declared.get(writer, False)
        declared[writer] = is_declared
        if not is_declared:
            found.append(line)
    return found
