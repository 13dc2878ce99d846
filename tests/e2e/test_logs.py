# SPDX-License-Identifier: Apache-2.0
"""What applications and the gateway write for administrators: levels, who wrote it, for
which request, lines that belong together, and variables for the access log."""

import concurrent.futures
import pathlib
import re
import socket
import subprocess
import sys

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.paths import ASAN_OPTIONS, BUILD, PRELOAD

APP = """
import logging, logging.config, sys, threading
logging.config.dictConfig({
    "version": 1,
    "formatters": {"short": {"format": "%(name)s: %(message)s"}},
    "handlers": {"httpd": {"class": "cgateway.LogHandler", "formatter": "short"}},
    "root": {"handlers": ["httpd"], "level": "DEBUG"}})
log = logging.getLogger("shop")

def everything():
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("a %s message", level)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/log":
        everything()
    elif path == "/thread":
        thread = threading.Thread(target=everything)
        thread.start()
        thread.join()
    elif path == "/raise":
        try:
            raise ValueError("asked for")
        except ValueError:
            log.exception("it failed")
    elif path == "/evil":
        log.error("one\\n[Wed Nov 25 00:00:00 2026] [core:emerg] forged \\x1b[2J\\0hidden")
    elif path == "/fail":
        raise ValueError("not caught")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


def serve(httpd, *lines):
    httpd.wsgi(httpd.app("log.wsgi", APP), *lines)
    httpd.expect_log(r"a (warning|error|critical) message", "it failed", "forged", "one$",
                     "ValueError", "CGW0121")
    return httpd.start()


def levels_of(httpd, pattern):
    return {found[1]: found[0] for found in re.findall(
        rf"\[cgateway:(\w+)\].*{pattern}", httpd.log())}


# ---- levels ---------------------------------------------------------------------------

def test_python_s_levels_are_httpds(httpd):
    serve(httpd, "LogLevel cgateway:debug")
    httpd.get("/log")
    httpd.wait_log("a critical message")
    assert levels_of(httpd, r"shop: a (\w+) message") == {
        "debug": "debug", "info": "info", "warning": "warn", "error": "error",
        "critical": "crit"}


def test_loglevel_filters(httpd):
    serve(httpd, "LogLevel cgateway:warn")
    httpd.get("/log")
    httpd.get("/thread")
    until(lambda: httpd.log().count("a critical message") == 2, "both")
    assert "a info message" not in httpd.log() and "a debug message" not in httpd.log()
    assert httpd.log().count("a warning message") == 2


def test_a_thread_without_a_request_logs_with_its_level(httpd):
    serve(httpd, "LogLevel cgateway:info")
    httpd.get("/thread")
    httpd.wait_log("a critical message")
    assert levels_of(httpd, r"a\.example: shop: a (\w+) message") == {
        "info": "info", "warning": "warn", "error": "error", "critical": "error"}
    assert "<6>" not in httpd.log() and "<3>" not in httpd.log()


def test_django_s_style_of_configuration_needs_only_the_name(httpd):
    """dictConfig finds "cgateway.LogHandler" although it is loaded late."""
    serve(httpd)
    assert httpd.get("/log").status == 200


# ---- whose and for whom -----------------------------------------------------------------

def test_lines_of_a_request_have_its_client_and_id_in_httpds_own_format(httpd):
    httpd.load("unique_id")
    serve(httpd, 'ErrorLogFormat "<%v> {%L} (%a) %l: %M"',
          f'CustomLog "{httpd.root}/logs/ids.txt" "%L %U"')
    httpd.get("/log")
    found = httpd.wait_log(r"^<a\.example> \{([^}]+)\} \(127\.0\.0\.1:\d+\) error: "
                           "a.example: shop: a error message$")
    ids = until(lambda: (httpd.root / "logs" / "ids.txt").read_text(), "the access log")
    assert f"{found[1]} /log" in ids
    httpd.expect_log(".")   # a format of its own


def test_what_processes_print_has_the_format_of_their_virtual_host(httpd):
    """%v, what is absent, and a format of the main server's own beside it."""
    httpd.main('ErrorLogFormat "MAIN %l %M"')
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS),
               'ErrorLogFormat "%{cu}t <%v> [client\\ %a] {%-L} [%P] %l: %M"',
               'ErrorLogFormat request "request %L"')
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS), name="b.example")
    httpd.expect_log(".")
    httpd.start()
    httpd.get("/x")
    httpd.get("/y", host="b.example")
    httpd.wait_log(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} <a\.example> \{-\} "
                   r"\[\d+\] error: a\.example: printed for /x$")
    httpd.wait_log(r"^MAIN error b\.example: printed for /y$", "b.example")


def test_a_traceback_stays_together(httpd):
    serve(httpd)
    httpd.get("/raise")
    httpd.wait_log("ValueError: asked for")
    lines = [line.split("a.example: ", 1)[1] for line in httpd.log().splitlines()
             if "[cgateway:error]" in line]
    at = lines.index("shop: it failed")
    assert lines[at + 1].startswith("Traceback") and "ValueError: asked for" in lines[-1]


def test_nobody_forges_a_line(httpd):
    serve(httpd)
    httpd.get("/evil")
    httpd.wait_log("forged")
    for line in httpd.log().splitlines():
        assert "forged" not in line or re.match(
            r"\[[^]]*\] \[cgateway:error\] .*a\.example: \[Wed Nov 25 00", line)
    assert "\x1b" not in httpd.log()
    assert "x00hidden" in httpd.log(), "nothing hides behind a NUL"


# ---- access log -------------------------------------------------------------------------

def test_the_access_log_can_tell_who_served_and_how_long(httpd, ctl):
    serve(httpd, f'CustomLog "{httpd.root}/logs/notes.txt" "%U %{{cgateway-group}}n '
          '%{cgateway-pid}n %{cgateway-generation}n %{cgateway-queue-us}n '
          '%{cgateway-app-us}n"')
    assert ctl("wait-ready").returncode == 0
    assert ctl("reload", "a.example").returncode == 0
    until(lambda: len(ctl.group("a.example")["generations"]) == 1, "the old one's end")
    for path in ("/a", "/fail"):
        httpd.get(path)
        line = until(lambda p=path: re.search(rf"^{p} .*$", (
            httpd.root / "logs" / "notes.txt").read_text(), re.M), "the line")[0].split()
        assert line[1] == "a.example"
        assert int(line[2]) in httpd.workers("a.example")
        assert line[3] == "2"
        assert 0 <= int(line[4]) < 60e6 and 0 < int(line[5]) < 60e6


def test_an_error_document_does_not_hide_who_failed(httpd, ctl):
    (httpd.root / "logs" / "sorry.html").write_text("sorry")
    serve(httpd, f'CustomLog "{httpd.root}/logs/notes.txt" "%>s %{{cgateway-pid}}n"',
          f'Alias /sorry "{httpd.root}/logs/sorry.html"', "ErrorDocument 500 /sorry",
          "<Location /sorry>", "SetHandler None", "</Location>")
    assert ctl("wait-ready").returncode == 0
    answer = httpd.get("/fail")
    assert (answer.status, answer.text) == (500, "sorry")
    line = until(lambda: (httpd.root / "logs" / "notes.txt").read_text(), "the line")
    assert line.split()[0] == "500" and int(line.split()[1]) in httpd.workers("a.example")


def test_what_no_worker_served_has_no_such_notes(httpd, ctl):
    serve(httpd, f'CustomLog "{httpd.root}/logs/notes.txt" "%U %{{cgateway-pid}}n"')
    assert ctl("wait-ready").returncode == 0
    assert ctl("stop", "a.example").returncode == 0
    assert httpd.get("/a").status == 503
    until(lambda: (httpd.root / "logs" / "notes.txt").read_text() == "/a -\n", "the line")


# ---- elsewhere ----------------------------------------------------------------------------

def test_the_handler_works_without_a_worker():
    """In a management command the package is importable, the extension is not."""
    run = subprocess.run([sys.executable, "-c", """
import logging, cgateway
logging.basicConfig(handlers=[cgateway.LogHandler()], level=logging.INFO)
logging.info("hello"); logging.debug("not this")
"""], env={"PYTHONPATH": str(BUILD / "cgateway"), "LD_PRELOAD": PRELOAD,
            "ASAN_OPTIONS": ASAN_OPTIONS}, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "INFO:root:hello\n")


# ---- CGatewayErrorLog -----------------------------------------------------------------

PRINTS = """
print("printed while it was imported", flush=True)
def application(environ, start_response):
    print("printed for", environ["PATH_INFO"], flush=True)
    environ["wsgi.errors"].write("an error of " + environ["PATH_INFO"] + "\\n")
    start_response("200 OK", [])
    return [b"ok"]
"""


def test_a_group_has_a_log_of_its_own(httpd):
    log = httpd.root / "logs" / "shop.txt"
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS), f'CGatewayErrorLog "{log}"')
    httpd.expect_log("an error of")
    httpd.start()
    assert httpd.get("/x").status == 200
    until(lambda: "a.example: printed for /x" in log.read_text(), "the line")
    assert "printed while it was imported" in log.read_text()
    assert "starting -> ready" in log.read_text(), "the supervisor's words on the group"
    assert "printed" not in httpd.log()
    httpd.wait_log("an error of /x")    # what a request says is its virtual host's


def test_its_path_may_be_relative_and_graceful_opens_it_anew(httpd):
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS), "CGatewayErrorLog logs/shop.txt")
    httpd.expect_log("an error of")
    httpd.start()
    log = httpd.root / "logs" / "shop.txt"
    httpd.get("/x")
    until(lambda: "printed for /x" in log.read_text(), "the line")
    log.rename(httpd.root / "logs" / "shop.txt.1")
    httpd.graceful()
    httpd.get("/y")
    until(lambda: log.exists() and "printed for /y" in log.read_text(), "the new file")


def test_a_program_takes_the_lines(httpd, marks):
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS),
               f'CGatewayErrorLog "|/bin/sed -u s/printed/PIPED/w{marks}/out"')
    # httpd's own words at a graceful restart with piped logs
    httpd.expect_log("an error of", "long lost child came home")
    httpd.start()
    httpd.get("/x")
    until(lambda: (marks / "out").exists()
          and "PIPED for /x" in (marks / "out").read_text(), "the line")
    httpd.graceful()
    httpd.get("/y")
    until(lambda: "PIPED for /y" in (marks / "out").read_text(), "the line")
    assert "printed" not in httpd.log()


@pytest.mark.parametrize("log,begin", [("syslog", rb"<187>cgateway"),
                                       ("syslog:local3:shop", rb"<155>shop")])
def test_syslog_takes_the_lines(httpd, as_root, log, begin):
    path = pathlib.Path("/dev/log")
    if path.exists() or path.is_symlink():
        pytest.skip("this machine has a syslog service")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(path))
        try:
            httpd.wsgi(httpd.app("prints.wsgi", PRINTS), f"CGatewayErrorLog {log}")
            httpd.expect_log("an error of")
            httpd.start()
            httpd.get("/x")
            service.settimeout(60)
            line = b""
            while b"printed for /x" not in line:
                line = service.recv(10000)
        finally:
            path.unlink()
    assert re.fullmatch(begin + rb"\[\d+\]: a\.example: printed for /x", line), line


def test_a_file_that_cannot_be_opened_does_not_silence_the_group(httpd, as_root):
    directory = httpd.mkdir("logs/taken")
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS), f'CGatewayErrorLog "{directory}"')
    httpd.expect_log("an error of", "CGW0194", "printed")
    httpd.start()
    httpd.get("/x")
    httpd.wait_log("printed for /x")
    assert "CGW0194" in httpd.log() + httpd.log("main")


# ---- lines that belong together ---------------------------------------------------------

LINE_BY_LINE = """
import os, sys, time
def application(environ, start_response):
    tag = environ["QUERY_STRING"]
    lines = ["failed " + tag, "Traceback (most recent call last):",
             *(f'  File "{tag}", line {i}, in f' for i in range(6)), "ValueError: " + tag]
    if environ["PATH_INFO"] == "/dies":
        lines.pop()
    for line in lines:
        sys.stderr.write(line + "\\n")
        sys.stderr.flush()
        time.sleep(0.001 if line.startswith("failed") else 0.02)
    if environ["PATH_INFO"] == "/dies":
        os.kill(os.getpid(), 9)
    start_response("200 OK", [])
    return [b"ok"]
"""


def test_tracebacks_that_come_line_by_line_do_not_mix(httpd):
    httpd.wsgi(httpd.app("lines.wsgi", LINE_BY_LINE), "CGatewayProcesses 4",
               "CGatewayThreads 1")
    httpd.expect_log(".")
    httpd.start()
    tags = [f"tag{n}" for n in range(24)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda tag: httpd.get(f"/?{tag}").status, tags)) == {200}
    for tag in tags:
        httpd.wait_log(f"a.example: ValueError: {tag}$")
    lines = [line.split("a.example: ", 1)[1] for line in httpd.log().splitlines()
             if "[cgateway:error]" in line]
    for tag in tags:
        at = lines.index(f'  File "{tag}", line 0, in f')
        assert lines[at - 1] == "Traceback (most recent call last):"
        assert lines[at:at + 7] == [*(f'  File "{tag}", line {i}, in f' for i in range(6)),
                                    f"ValueError: {tag}"]


def test_what_is_held_back_is_not_lost_where_a_process_dies(httpd):
    httpd.wsgi(httpd.app("lines.wsgi", LINE_BY_LINE), "CGatewayProcesses 1",
               "CGatewayThreads 1")
    httpd.expect_log(".")
    httpd.start()
    assert httpd.get("/dies?last", method="POST").status == 502
    httpd.wait_log("CGW0213")
    lines = [line for line in httpd.log().splitlines() if "CGW0133" not in line]  # httpd's
    end = next(n for n, line in enumerate(lines) if "CGW0213" in line)
    assert lines[end - 1].endswith('File "last", line 5, in f')
    assert 'Last words:   File "last", line 5, in f' in lines[end]


def test_a_flood_of_lines_is_neither_held_for_ever_nor_lost(httpd):
    httpd.wsgi(httpd.app("flood.wsgi", """
import sys
def application(environ, start_response):
    sys.stderr.write("first\\n" + "".join(f"  line {n} {'x' * 100}\\n" for n in range(3000)))
    sys.stderr.flush()
    start_response("200 OK", [])
    return [b"ok"]
"""))
    httpd.expect_log(".")
    httpd.start()
    assert httpd.get("/").status == 200
    httpd.wait_log("a.example:   line 2999 x")
    found = re.findall(r"a\.example:   line (\d+) x", httpd.log())
    assert found == [str(n) for n in range(3000)]


def test_the_supervisor_s_own_lines_have_the_format_of_the_virtual_host(httpd):
    httpd.wsgi(httpd.app("prints.wsgi", PRINTS), 'ErrorLogFormat "<%v> %l (%a) %M"')
    httpd.expect_log(".")
    httpd.start()
    httpd.wait_log(r"^<a\.example> notice a\.example/1: starting -> ready \(")
    httpd.wait_log(r"^<a\.example> info a\.example/1 pid \d+: launching -> serving \(")
