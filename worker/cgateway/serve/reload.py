# SPDX-License-Identifier: Apache-2.0
"""Looks for changed files of an application in development. It looks again and again
rather than being told: that works on every file system, also one of a container."""

import os
import threading

SUFFIXES = (".py", ".wsgi", ".html", ".txt", ".toml", ".json", ".yaml", ".yml", ".mo")
SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv", "env"}
MOST = 20000            # files; a directory such as / is not looked through
PAUSE = 0.5


def files(directories):
    """(path, time of change) of the files of the application."""
    count = 0
    stack = [d for d in directories if os.path.isdir(d)]
    while stack and count < MOST:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED and not entry.name.startswith("."):
                        stack.append(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    count += 1
                    yield entry.path, entry.stat().st_mtime_ns
            except OSError:
                continue


class Watcher(threading.Thread):
    """Touches a file whenever a file of the directories has changed."""

    def __init__(self, directories, trigger, say):
        super().__init__(daemon=True)
        self.directories, self.trigger, self.say = directories, trigger, say
        self.known = dict(files(directories))
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(PAUSE):
            found = dict(files(self.directories))
            changed = sorted(path for path, _ in found.items() ^ self.known.items())
            self.known = found
            if changed:
                self.say(f"{os.path.relpath(changed[0])} has changed: reloading")
                os.utime(self.trigger)
