# SPDX-License-Identifier: Apache-2.0
"""The life of a process of a group: import the application, then be a template
that forks workers, or a worker, as the supervisor says (cgw_control.h)."""

import errno
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
from time import monotonic, sleep   # as they are before any application's patches

import _cgateway
import cgateway
from cgateway import _application, _auth, _files, _path, _report, _threads, _watch

CONTROL_FD, LISTEN_FD = 3, 4
SWITCH_SECONDS = 0.0005
STACK_SIGNAL = signal.SIGWINCH
THREAD_SIGNAL = signal.SIGRTMAX - 1
READY_FORKABLE = 1
SETTLE_SECONDS, SETTLE_STEP, SETTLE_LOOKS = 1, 0.003, 3
WATCH_END, WATCH_NAME, WATCH_MOST = 0, 1, 1000


class Settings:
    """The command line."""

    def __init__(self, arguments):
        self.group, self.application, threads, processes = arguments[:4]
        self.threads = int(threads)
        self.processes = int(processes)
        self.generation = 0
        self.check = None       # not None: for _check.py, with this path
        self.stacks = None      # descriptor that they are written to
        options = [a for a in arguments[4:] if a.startswith("--")]
        self.preload = "auto"
        self.owner = os.geteuid()
        self.deadlock_ms = 0
        self.watch = []
        self.watch_application = "--watch-application" in options
        for option in options:
            name, _, value = option.partition("=")
            if name == "--generation":
                self.generation = int(value)
            elif name == "--check":
                self.check = value
            elif name == "--preload":
                self.preload = value
            elif name == "--owner":
                self.owner = int(value)
            elif name == "--deadlock-timeout":
                self.deadlock_ms = int(value)
            elif name == "--watch":
                self.watch.append(value)
        self.path = [a for a in arguments[4:] if not a.startswith("--")]


def _set_up(settings):
    for descriptor in (CONTROL_FD, LISTEN_FD):
        os.set_inheritable(descriptor, False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # A crash in C code tells where Python was. While the application is imported,
    # so does the supervisor's question, which goes unheard at any other time.
    if not faulthandler.is_enabled():
        faulthandler.enable(all_threads=False)
    faulthandler.register(STACK_SIGNAL, all_threads=False)
    # Caught rather than ignored: a program that the application starts must
    # not inherit that it ignores SIGINT.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    # A short page beside ones that compute waits for the interpreter lock as often
    # as there are of those: 1 ms each in place of Python's 5.
    sys.setswitchinterval(SWITCH_SECONDS)
    name = "cgw:" + settings.group
    _cgateway.name_process(name.encode("utf-8", "replace")[:15])
    cgateway.group = settings.group
    sys.argv = ["cgateway"]
    _path.put_in_front(settings.path)


def _offer_stacks(settings):
    """Has the supervisor able to see where threads are, whatever holds the
    interpreter lock. In a forked process its own pipe replaces the template's."""
    if settings.stacks is not None:
        os.close(settings.stacks)
    reader, settings.stacks = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        faulthandler.register(_cgateway.STACKS_SIGNAL, file=settings.stacks,
                              all_threads=False)
        _cgateway.send(CONTROL_FD, _cgateway.STACKS, 0, b"", reader)
    finally:
        os.close(reader)


# ---- watched files ----------------------------------------------------------

def _watch_name(settings, directory, name, is_file):
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        # a directory that is not there yet is seen to come, further up
        if is_file and not isinstance(error, FileNotFoundError):
            _report.tell("CGW0460: group %r: changes of %s are not noticed: %s; "
                         "let the group's user enter that directory, or correct "
                         "CGatewayWatch"
                         % (settings.group, os.path.join(directory, name), error))
        return
    try:
        _cgateway.send(CONTROL_FD, _cgateway.WATCH, WATCH_NAME,
                       os.fsencode(name), descriptor)
    finally:
        os.close(descriptor)


def _files_to_watch(settings):
    found = list(settings.watch)
    if settings.watch_application:
        found += _application.files(settings.application, settings.path)
    return found


def _ask_to_watch(settings):
    """Has the supervisor watch before anything is read, so that no change is
    missed. False where it has gone."""
    ways = [_watch.steps(path) for path in _files_to_watch(settings)]
    last = {way[-1] for way in ways if way}
    steps = list(dict.fromkeys(step for way in ways for step in way))
    if not steps:
        _path.stay()
        return True
    try:
        for step in steps[:WATCH_MOST]:
            _watch_name(settings, *step, step in last)
        _cgateway.send(CONTROL_FD, _cgateway.WATCH, WATCH_END)
    except OSError:
        return False
    message = _cgateway.receive(CONTROL_FD)
    importlib.invalidate_caches()   # of directories that were looked through
    _path.stay()
    return message is not None and message[0] == _cgateway.LOAD


# ---- import -----------------------------------------------------------------

def _tell_failure(settings, failure):
    cause = failure.__cause__
    if cause is not None:
        _report.tell(_report.describe(type(cause), cause, cause.__traceback__)
                     .decode())
    # The message is last: it is what the process is remembered by (its last words).
    _report.tell("pid %d, Python %s (%s), sys.path: %s"
                 % (os.getpid(), sys.version.split()[0], sys.executable,
                    ", ".join(map(str, sys.path))))
    _report.tell("CGW0411: group %r: the application %r was not loaded: %s"
                 % (settings.group, settings.application, failure.remedy))


def _load(settings):
    """The application, or the end of this process."""
    try:
        return _application.load(settings.application)
    except _application.StartFailure as failure:
        _tell_failure(settings, failure)
        _flush()
        _cgateway.send(CONTROL_FD, _cgateway.FAILED, failure.kind)
        os._exit(1)


def _flush():
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:
            pass    # nobody reads it any more, or it is the application's own


def _names_in(directory):
    """Empty where there is no /proc, or a security module keeps it from us."""
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _open_sockets():
    found = []
    for name in _names_in("/proc/self/fd"):
        if int(name) in (CONTROL_FD, LISTEN_FD):
            continue
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue    # the descriptor of the listing itself
        if target.startswith("socket:"):
            found.append(int(name))
    # The output pipe may be a socket under a test or another supervisor.
    return [number for number in found if number > 2]


def _describe_socket(descriptor):
    """Whom it is connected to, or its number."""
    import socket   # who left none need not have loaded it
    try:
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            peer = copy.getpeername()
    except (OSError, ValueError):
        return "descriptor %d" % descriptor
    if isinstance(peer, tuple):
        return "to %s port %s" % peer[:2]
    return "to %s" % (peer or "descriptor %d" % descriptor)


def _leftovers():
    """What the import left behind that a copy of this process would lack, or
    share with it: texts. A thread would be missing in the copy, a connection
    would have two users."""
    found = []
    tasks = len(_names_in("/proc/self/task")) - 1
    if tasks < 0:
        return ["what cannot be seen, since /proc is not there, or not to be read"]
    if tasks:
        names = [thread.name for thread in threading.enumerate()
                 if thread is not threading.main_thread()]
        names += ["%d not of Python" % (tasks - len(names))] * (tasks > len(names))
        found.append("threads: " + ", ".join(names))
    sockets = _open_sockets()
    if sockets:
        found.append("sockets: " + ", ".join(map(_describe_socket, sockets)))
    return found


def _other_threads_sleep():
    """Whether each of them waits for something."""
    own = threading.get_native_id()
    for name in _names_in("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/stat" % name, "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            continue    # it has ended
        if int(name) != own and state != b"S":
            return False
    return True


def _lasting_leftovers():
    """Those that are more than garbage which nobody has collected, and threads that
    have ended for Python, but not yet for the kernel."""
    if not _leftovers():
        return []
    gc.collect()
    end, calm = monotonic() + SETTLE_SECONDS, 0
    while calm < SETTLE_LOOKS and monotonic() < end and _leftovers():
        sleep(SETTLE_STEP)
        calm = calm + 1 if _other_threads_sleep() else 0
    return _leftovers()


def forkable(settings):
    """May this process be a template?"""
    if settings.preload == "off":
        return False
    found = "; ".join(_lasting_leftovers())
    if found and settings.preload == "on":
        _report.warn(
            "CGW0450: group %r: importing the application left behind %s. It is "
            "forked all the same, since CGatewayPreload is on: the workers do "
            "not have such threads, and share such sockets"
            % (settings.group, found))
    elif found:
        _report.warn(
            "CGW0412: group %r: importing the application left behind %s. So "
            "each worker imports it by itself, which takes longer and more "
            "memory; start threads and connections at the first request "
            "instead, or set CGatewayPreload" % (settings.group, found))
        return False
    return True


# ---- template ---------------------------------------------------------------

def _become_worker(control, output):
    """In the forked process: take over the descriptors it was given."""
    os.setsid()
    os.dup2(control, CONTROL_FD, inheritable=False)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(control)
    os.close(output)


def _tell_no_worker(settings, error):
    _report.tell("CGW0413: group %r: no worker could be forked: %s; the supervisor tries "
                 "again. Look at the limits on processes and open files, and at free "
                 "memory" % (settings.group, error))


def _fork_worker(settings, control, output):
    """True in the worker, which is the supervisor's child."""
    _flush()
    try:
        if not _cgateway.fork_worker():
            return False
    except OSError as error:
        _tell_no_worker(settings, error)
        return False
    try:
        _become_worker(control, output)
        _cgateway.send(CONTROL_FD, _cgateway.HELLO)
        _offer_stacks(settings)
    except BaseException as error:
        try:
            _report.tell("CGW0414: group %r: a forked worker could not start: "
                         "%s; look at the limits on processes and open files"
                         % (settings.group, error))
        finally:
            os._exit(1)
    return True


def _close_all(descriptors):
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _await_role(settings):
    """Follow the supervisor: (how many requests this process may serve, 0 being
    any number, the descriptor of its scoreboard), being a worker from here on;
    None where it has done its work."""
    frozen = False
    while True:
        try:
            message = _cgateway.receive(CONTROL_FD)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            _tell_no_worker(settings, error)    # no room for its descriptors
            continue
        if message is None or message[0] == _cgateway.DRAIN:
            return None
        kind, max_requests, descriptors = message
        if kind == _cgateway.SERVE:
            return max_requests, descriptors[0]
        if kind == _cgateway.FORK and min(descriptors) >= 0:
            if not frozen:
                # The young alone: to look at every object of a large
                # application once more took a tenth of its import.
                gc.collect(1)
                gc.freeze()
                frozen = True
            if _fork_worker(settings, *descriptors[:2]):
                return max_requests, descriptors[2]
        _close_all(descriptors)


# ---- worker -----------------------------------------------------------------

def _forget_in_child():
    """The application forked: the child must not hold the supervisor's channel
    or the group's socket open."""
    _cgateway.forget()
    for descriptor in (CONTROL_FD, LISTEN_FD):
        try:
            os.close(descriptor)
        except OSError:
            pass


def _run_thread(settings):
    try:
        _cgateway.run()
    except OSError as error:
        _report.tell("CGW0415: group %r: the group's socket cannot be used: "
                     "%s; this worker ends and the supervisor starts another. "
                     "Restart httpd if it happens again"
                     % (settings.group, error))
        os._exit(1)


def _start_threads(settings):
    return [_threads.start("cgateway-%d" % number, _run_thread, settings)
            for number in range(1, settings.threads + 1)]


def _await_drain():
    while True:
        message = _cgateway.receive(CONTROL_FD)
        if message is None or message[0] == _cgateway.DRAIN:
            return
        _close_all(message[2])


def _send_quietly(kind):
    try:
        _cgateway.send(CONTROL_FD, kind)
    except OSError:
        pass    # the supervisor has gone, which means the same as DRAIN


def _prepare_stacks():
    """A file to which any thread writes its Python stack when it gets
    THREAD_SIGNAL, whatever it does."""
    file = os.memfd_create("cgateway-stack", os.MFD_CLOEXEC)
    faulthandler.register(THREAD_SIGNAL, file=file, all_threads=False)
    return file


def _start_answering(settings):
    """The thread that the watchdog asks whether it gets the interpreter lock."""
    if settings.deadlock_ms:
        _threads.start("cgateway-watchdog", _cgateway.answer_watchdog)


def _serve(settings, application, max_requests, board):
    _cgateway.configure(
        application=application, answer=_auth.answer, group=settings.group,
        threads=settings.threads, processes=settings.processes,
        max_requests=max_requests, generation=settings.generation,
        listen_fd=LISTEN_FD, owner=settings.owner,
        board_fd=board, report=_report.describe,
        sendable=_files.sendable, gone_error=cgateway.ClientDisconnected,
        stack_signal=THREAD_SIGNAL, stack_file=_prepare_stacks(),
        deadlock_ms=settings.deadlock_ms)
    os.close(board)
    os.register_at_fork(after_in_child=_forget_in_child)
    try:
        threads = _start_threads(settings)
        _start_answering(settings)
    except RuntimeError as error:
        _report.tell("CGW0416: group %r: its threads could not be started: %s; "
                     "%d processes with %d threads each may be more than a limit "
                     "allows: CGatewayCgroup pids.max, CGatewayLimit nproc, or "
                     "TasksMax of httpd's service" % (
                         settings.group, error, settings.processes,
                         settings.threads))
        os._exit(1)
    _send_quietly(_cgateway.SERVING)
    try:
        _await_drain()
    finally:
        _cgateway.drain()
        _send_quietly(_cgateway.CLOSED)
        for thread in threads:
            thread.join()
        _cgateway.stop_watchdog()
        _send_quietly(_cgateway.DRAINED)


def main(arguments):
    settings = Settings(arguments)
    _set_up(settings)
    if settings.check is not None:
        from cgateway import _check
        sys.exit(_check.main(settings, _tell_failure))
    _offer_stacks(settings)
    if not _ask_to_watch(settings):
        sys.exit(0)
    application = _load(settings)
    faulthandler.unregister(STACK_SIGNAL)
    flags = READY_FORKABLE if forkable(settings) else 0
    _cgateway.send(CONTROL_FD, _cgateway.READY, flags | sys.hexversion << 32)
    role = _await_role(settings)
    if role is not None:
        _serve(settings, application, *role)
    sys.exit(0)
