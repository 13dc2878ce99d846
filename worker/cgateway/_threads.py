# SPDX-License-Identifier: Apache-2.0
"""Threads of the system, whatever the application has made of Python's.

monkey.patch_all() of gevent or eventlet has threading.Thread start a greenlet. One
that waits for a request, in C code, would be the only one that ever runs.
"""

import _thread
import threading

# By the names that versions of Python have them under, as they were before any
# application was imported.
_STARTERS = {name: getattr(threading, name)
             for name in ("_start_new_thread", "_start_joinable_thread")
             if hasattr(threading, name)}
_start_new_thread = _thread.start_new_thread
_allocate_lock = _thread.allocate_lock


class _BareThread:
    """A thread of which the module threading does not know."""

    def __init__(self, function, arguments):
        self._ended = _allocate_lock()
        self._ended.acquire()
        _start_new_thread(self._run, (function, arguments))

    def _run(self, function, arguments):
        try:
            function(*arguments)
        finally:
            self._ended.release()

    def join(self):
        with self._ended:
            pass


def _are_patched():
    return any(getattr(threading, name, None) is not starter
               for name, starter in _STARTERS.items())


def start(name, function, *arguments):
    """Run function(*arguments) in a thread that does not keep the process from
    ending; returns it, for join()."""
    if _are_patched():
        return _BareThread(function, arguments)
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    thread.start()
    return thread
