# SPDX-License-Identifier: Apache-2.0
"""Loading the application: what CGatewayApplication may name, and what the
log says when it cannot be loaded."""

import os
import subprocess

import pytest

import worker_harness as h

IMPORT, CALLABLE, INTERPRETER = 1, 2, 3
SIMPLE = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [(__name__ + "|" + __file__).encode()]
"""

pytestmark = pytest.mark.skipif(
    not os.path.exists(os.path.join(h.LIBRARY, "_cgateway.abi3.so")),
    reason="build first: make -f Makefile.apxs")


def served(application, path, **options):
    g = h.Group(application, path, **options).start()
    response = g.ask()
    assert g.stop() == 0
    assert response.fail is None, response.fail[1]
    return response.body.decode()


def refused(application, path, **options):
    """(kind of failure, what the log says)"""
    g = h.Group(application, path, **options)
    kind, arg = g.launch()
    assert kind == h.FAILED, g.log()
    assert g.stop() == 1
    return arg, g.log()


@pytest.mark.parametrize("text, application", [
    (SIMPLE, "app"), (SIMPLE, "app:application"), (SIMPLE, "app:"),
    (SIMPLE + "class site: app = staticmethod(application)", "app:site.app")])
def test_modules(tmp_path, text, application):
    (tmp_path / "app.py").write_text(text)
    assert served(application, [str(tmp_path)]).startswith("app|")


@pytest.mark.parametrize("name", ["site.wsgi", "with space-and.dot.wsgi",
                                  "app.py", "no-suffix"])
def test_files(tmp_path, name):
    script = tmp_path / name
    script.write_text(SIMPLE + "import sys\nassert sys.modules[__name__]\n")
    module, _, file = served(str(script), []).partition("|")
    assert file == str(script)
    assert module.isidentifier()
    assert sorted(os.listdir(tmp_path)) == [name]


def test_the_callable_of_a_file(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SIMPLE + "class site: app = staticmethod(application)\n")
    assert served(f"{script}:site.app", []).endswith("/run.py")


def test_site_packages_bring_their_pth_files(tmp_path):
    packages = tmp_path / "site-packages"
    (tmp_path / "extra").mkdir()
    packages.mkdir()
    (packages / "extra.pth").write_text(str(tmp_path / "extra") + "\n")
    (tmp_path / "extra" / "app.py").write_text(SIMPLE)
    assert "/extra/app.py" in served("app", [str(packages)])


def test_entries_come_first_and_in_order(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "json.py").write_text(SIMPLE)
    body = served("json", [str(tmp_path / "two"), str(tmp_path / "one")])
    assert body.endswith("/two/json.py")


def test_unknown_module():
    kind, log = refused("shop.wsgi", ["/nowhere"])
    assert kind == IMPORT
    assert "ModuleNotFoundError" in log and "CGW0411" in log
    assert "CGatewayPath" in log and "/nowhere" in log
    assert "bootstrap.py" not in log and "importlib" not in log


def test_missing_dependency(tmp_path):
    (tmp_path / "app.py").write_text("import not_there_at_all\n")
    kind, log = refused("app", [str(tmp_path)])
    assert kind == IMPORT and "CGatewayPython" in log
    assert "app.py" in log and "_application.py" not in log


def test_missing_settings(tmp_path):
    (tmp_path / "app.py").write_text("import shop_settings\n")
    _, log = refused("app", [str(tmp_path)], environ={
        "DJANGO_SETTINGS_MODULE": "shop_settings.live"})
    assert "correct CGatewaySettings" in log


@pytest.mark.parametrize("statement, name", [
    ("raise SystemExit(0)", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("1 / 0", "ZeroDivisionError"), ("def (", "SyntaxError")])
def test_import_that_raises(tmp_path, statement, name):
    (tmp_path / "app.py").write_text(statement)
    kind, log = refused("app", [str(tmp_path)])
    assert kind == IMPORT and name in log
    assert "CGW0411: group 'shop': the application 'app' was not loaded" in log


def test_missing_callable(tmp_path):
    (tmp_path / "app.py").write_text("def app(environ, start): pass\n")
    kind, log = refused("app", [str(tmp_path)])
    assert kind == CALLABLE
    assert "CGatewayApplication app:callable" in log and "(it has app)" in log


@pytest.mark.parametrize("definition, words", [
    ("def application(): pass", "if it makes one"),
    ("def application(config): pass", "if it makes one"),
    ("def application(config, *, debug, **more): pass", "if it makes one"),
    ("class Site:\n    def __call__(self): pass\napplication = Site()", "if it makes one"),
    ("async def application(scope, receive, send): pass", "a2wsgi"),
    ("class Site:\n    async def __call__(self, scope, receive, send): pass\n"
     "application = Site()", "a2wsgi")])
def test_callable_that_fails_with_every_request(tmp_path, definition, words):
    (tmp_path / "app.py").write_text(definition)
    kind, log = refused("app", [str(tmp_path)])
    assert kind == CALLABLE and words in log


@pytest.mark.parametrize("definition", [
    "def application(e, s, more=1): pass", "def application(*both): pass",
    "def application(e, *others, more=1): pass", "def application(e, s=None): pass",
    "class application:\n    def __init__(self, e, s): pass",
    "class Site:\n    def __call__(*all): pass\napplication = Site()",
    "class Site:\n    @staticmethod\n    def __call__(e, s): pass\napplication = Site()",
    "class Site:\n    def wsgi(self, e, s): pass\napplication = Site().wsgi",
    "import functools\n"
    "@functools.wraps(lambda request: None)\ndef application(*both): pass",
    "import functools\n"
    "application = functools.partial(lambda site, e, s: None, 'shop')",
    "import unittest.mock\napplication = unittest.mock.Mock()"])
def test_callables_of_all_kinds(tmp_path, definition):
    (tmp_path / "app.py").write_text(definition)
    g = h.Group("app", [str(tmp_path)])
    kind, _ = g.launch()
    assert kind == h.READY, g.log()
    assert g.stop() == 0


def test_file_without_its_path(tmp_path):
    (tmp_path / "app.py").write_text("def application(e, s): pass")
    kind, log = refused("app.py", [str(tmp_path)])
    assert kind == IMPORT and "a file is written with its path" in log


def test_missing_file(tmp_path):
    kind, log = refused(str(tmp_path / "x.wsgi"), [])
    assert kind == IMPORT and "does not exist" in log


@pytest.mark.parametrize("statement, words", [
    ("import threading; threading.Thread(target=threading.Event().wait, "
     "daemon=True, name='watcher').start()", "threads: watcher"),
    ("import socket; kept = socket.socket()", "sockets: descriptor "),
    ("import socket; server = socket.create_server(('127.0.0.1', 0)); "
     "kept = socket.create_connection(server.getsockname())",
     "to 127.0.0.1 port "),
    ("import concurrent.futures; pool = concurrent.futures.ThreadPoolExecutor(2); "
     "pool.submit(int)", "threads: ThreadPoolExecutor-0_0"),
    ("import multiprocessing.pool; pool = multiprocessing.pool.ThreadPool(1)",
     "threads: Thread-1"),
    ("import threading; timer = threading.Timer(3600, print); timer.daemon = True; "
     "timer.start()", "threads: Thread-1"),
    ("import asyncio; loop = asyncio.new_event_loop()", "sockets: to descriptor "),
    ("import socket; kept = socket.socketpair()", "sockets: to descriptor "),
    ("import ctypes; libc = ctypes.CDLL(None); "
     "libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)",
     "threads: 1 not of Python"),
    ("import threading, socket; kept = socket.socket(); "
     "threading.Thread(target=threading.Event().wait, daemon=True, name='w').start()",
     "threads: w; sockets: descriptor ")])
@pytest.mark.parametrize("preload, forkable, log_id", [
    ("auto", 0, "CGW0412"), ("on", 1, "CGW0450"), ("off", 0, None)])
def test_unforkable_applications_are_told(tmp_path, statement, words, preload,
                                          forkable, log_id):
    (tmp_path / "app.py").write_text(SIMPLE + statement)
    g = h.Group("app", [str(tmp_path)], preload=preload)
    assert g.launch() == (h.READY, forkable)
    if log_id:
        assert log_id in g.log() and words in g.log()
    else:
        assert g.log() == ""
    g.stop()


@pytest.mark.parametrize("statement", [
    "",
    "import sqlite3; kept = sqlite3.connect(':memory:')",
    "import os; kept = os.pipe()",
    "import asyncio; asyncio.run(asyncio.sleep(0))",
    "import socket; socket.create_server(('127.0.0.1', 0)).close()",
    # nobody has collected it yet
    "import gc, socket; gc.disable(); kept = [socket.socket()]; kept.append(kept); "
    "del kept",
    "import concurrent.futures, gc; gc.disable(); "
    "pool = concurrent.futures.ThreadPoolExecutor(4); pool.submit(int); pool.me = pool; "
    "del pool",
])
def test_forkable_applications_are_told(tmp_path, statement):
    (tmp_path / "app.py").write_text(SIMPLE + statement)
    g = h.Group("app", [str(tmp_path)])
    assert g.launch() == (h.READY, 1)
    assert g.stop() == 0
    assert g.log() == ""


def test_threads_that_have_just_ended_are_none(tmp_path):
    """For the kernel they are there a little longer, where others keep it busy."""
    (tmp_path / "app.py").write_text(SIMPLE + """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(abs, range(1000)))
""")
    busy = [subprocess.Popen(["/usr/bin/python3", "-c", "while True: pass"])
            for _ in range(2 * os.cpu_count())]
    try:
        for _ in range(10):
            g = h.Group("app", [str(tmp_path)])
            assert g.launch() == (h.READY, 1), g.log()
            assert g.stop() == 0
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.parametrize("python", h.interpreters(minor=range(0, 9)))
def test_interpreter_that_is_too_old(tmp_path, python):
    (tmp_path / "app.py").write_text(SIMPLE)
    kind, log = refused("app", [str(tmp_path)], python=python)
    assert kind == INTERPRETER
    assert "CGW0410" in log and "CGatewayPython" in log


def test_extension_that_cannot_be_loaded_is_a_message(tmp_path):
    (tmp_path / "bootstrap.py").symlink_to(
        os.path.join(h.LIBRARY, "bootstrap.py"))
    copy = tmp_path / "library"
    copy.mkdir()
    with open(os.path.join(h.LIBRARY, "bootstrap.py")) as file:
        (copy / "bootstrap.py").write_text(file.read())
    done = subprocess.run(["/usr/bin/python3", str(copy / "bootstrap.py"),
                           "shop", "app", "1", "1"], capture_output=True,
                          text=True)
    assert done.returncode == 1 and "CGW0410" in done.stderr
