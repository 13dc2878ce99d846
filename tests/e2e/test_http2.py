# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, through mod_http2: streams instead of connections, curl as the client."""

import hashlib
import json
import subprocess

import pytest

from harness import tls
from harness.http2 import Http2
from harness.httpd import until
from harness.paths import MPM, PATIENCE, PYTHON

pytestmark = pytest.mark.skipif(MPM == "prefork", reason="mod_http2 needs threads")

APP = '''
import hashlib
import json
import os
import pathlib
import threading
import time

GO_ON = threading.Event()
MARKS = pathlib.Path(os.environ.get("MARKS", "/nowhere"))


def parts():
    yield b"first "
    GO_ON.wait(60)
    yield b"second"


def paused(parts):
    """Each arrives by itself."""
    for part in parts:
        yield part
        time.sleep(0.05)


def broken():
    yield b"begun "
    raise RuntimeError("half way")


def endless():
    try:
        while True:
            yield b"x" * 10000
    except GeneratorExit:
        (MARKS / "generator-exit").touch()
        raise


def until_gone(gone):
    yield b"begun"
    while not gone():
        time.sleep(0.005)
    (MARKS / "gone").touch()


def read_all(body):
    (MARKS / "reading").touch()
    try:
        body.read()
    except OSError as error:
        (MARKS / type(error).__name__).touch()
        raise


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("as asked")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/go-on":
        GO_ON.set()
    if path == "/endless":
        return endless()
    if path == "/until-gone":
        return until_gone(environ["cgateway.client_disconnected"])
    if path == "/read":
        read_all(environ["wsgi.input"])
    if path == "/parts":
        return parts()
    if path == "/broken":
        return broken()
    if path == "/outer":
        include = b'<!--#include virtual="/big" -->'
        return paused([b"[", include, b"|", include, b"]"])
    if path == "/big":
        return (b"%07d " % number * 1000 for number in range(1000))
    if path == "/huge":
        return (b"x" * 60000 for _ in range(1000))
    if path == "/sum":
        body = environ["wsgi.input"].read()
        return [b"%d " % len(body), hashlib.sha1(body).hexdigest().encode()]
    if path == "/environ":
        return [json.dumps({k: v for k, v in environ.items()
                            if isinstance(v, str)}).encode()]
    return [b"of " + path.encode()]
'''
PRIOR = "--http2-prior-knowledge"


@pytest.fixture
def site(httpd):
    def start(*lines):
        httpd.load("http2")
        httpd.wsgi(httpd.app("http2.wsgi", APP), "CGatewayProcesses 1",
                   "Protocols h2 h2c http/1.1", *lines)
        return httpd.start()
    return start


def ask(httpd, path, *options):
    """(status, protocol, body) of curl's answer, which it must have whole."""
    run = httpd.curl(path, PRIOR, "--write-out", "\n%{http_code} %{http_version}",
                     *options)
    assert run.returncode == 0, run.stderr.decode()
    body, told = run.stdout.rsplit(b"\n", 1)
    status, version = told.split()
    return int(status), version.decode(), body


def test_a_get_by_prior_knowledge_and_by_upgrade(site):
    httpd = site()
    for option in (PRIOR, "--http2"):
        run = httpd.curl("/environ?q=1", option, "--header", "X-Some: value")
        environ = json.loads(run.stdout)
        assert {k: environ.get(k) for k in (
            "SERVER_PROTOCOL", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING",
            "REQUEST_URI", "HTTP_HOST", "HTTP_X_SOME", "wsgi.url_scheme")} == {
            "SERVER_PROTOCOL": "HTTP/2.0", "REQUEST_METHOD": "GET",
            "PATH_INFO": "/environ", "QUERY_STRING": "q=1", "HTTP_X_SOME": "value",
            "REQUEST_URI": "/environ?q=1", "HTTP_HOST": f"a.example:{httpd.port}",
            "wsgi.url_scheme": "http"}
        assert "CONTENT_LENGTH" not in environ
    assert ask(httpd, "/environ", "--head")[:2] == (200, "2")


def test_what_only_http_2_has_of_headers_is_made_what_cgi_has(httpd, site):
    """RFC 9113, 8.2.3: cookies in several lines are one; a body needs no length."""
    site()
    with Http2(httpd.port, timeout=PATIENCE) as client:
        told = json.loads(client.finish(client.ask("/environ", "POST", [
            ("cookie", "a=1"), ("cookie", "b=2"), ("x-same", "1"), ("x-same", "2"),
            ("x_under", "1"), ("content_length", "9"), ("proxy", "http://b.example"),
            ("te", "trailers")], b"hello")).body)
    assert (told["HTTP_COOKIE"], told["HTTP_X_SAME"], told["CONTENT_LENGTH"]) == (
        "a=1; b=2", "1, 2", "5")
    assert not {"HTTP_X_UNDER", "HTTP_CONTENT_LENGTH", "HTTP_PROXY"} & set(told)


@pytest.fixture
def secure(httpd, site):
    """Starts the virtual host with a second port, which has TLS; the address."""
    port = httpd.listen()
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("http2.wsgi", APP)}"',
                f"CGatewayPython {PYTHON}", "CGatewayProcesses 1", "Protocols h2",
                *tls.server_certificate(httpd, "SSLOptions +StdEnvVars"), port=port)
    site()
    return f"https://a.example:{port}", [
        "--http2", "--cacert", str(httpd.root / "cert.pem"), "--resolve",
        f"a.example:{port}:127.0.0.1", "--max-time", str(PATIENCE)]


def run_curl(*words):
    run = subprocess.run(["curl", "--silent", "--show-error", *words],
                         capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def test_over_tls(secure):
    address, options = secure
    environ = json.loads(run_curl(*options, f"{address}/environ"))
    assert (environ["SERVER_PROTOCOL"], environ["wsgi.url_scheme"],
            environ["HTTPS"]) == ("HTTP/2.0", "https", "on")
    assert environ["SSL_PROTOCOL"].startswith("TLS")


@pytest.fixture
def marked(httpd, site, marks):
    """Starts the application with a directory for its marks; waits for one."""
    site(f'CGatewayEnv MARKS "{marks}"', "CGatewayBodyBuffer 0")
    return lambda name: until((marks / name).exists, f"the mark {name}")


@pytest.fixture
def client(httpd):
    """Starts curl, which is killed at the end at the latest."""
    started = []

    def start(path, *options):
        with (httpd.root / "out").open("wb") as out:
            started.append(subprocess.Popen(
                ["curl", "--silent", "--no-buffer", PRIOR, "--max-time", str(PATIENCE),
                 "--header", "Host: a.example", *options,
                 f"http://127.0.0.1:{httpd.port}{path}"], stdout=out))
        return started[-1]
    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("path, mark", [("/endless", "generator-exit"),
                                        ("/until-gone", "gone")])
def test_a_client_that_goes_away_is_noticed(httpd, marked, client, path, mark):
    process = client(path)
    until(lambda: (httpd.root / "out").read_bytes(), "the response to begin")
    process.kill()
    marked(mark)
    assert ask(httpd, "/after")[2] == b"of /after"


def test_a_client_that_does_not_read_holds_no_worker(httpd, site, client):
    """Of two threads, both had to wait for as long as curl takes for 60 MB."""
    site("CGatewayThreads 2")
    slow = [client("/huge", "--limit-rate", "100K") for _ in range(2)]
    until(lambda: (httpd.root / "out").stat().st_size > 0, "a response to begin")
    for _ in range(20):
        assert httpd.get("/after").text == "of /after"
    assert [process.poll() for process in slow] == [None, None], "they still read"


def test_an_upload_that_breaks_off_raises(httpd, marked, client):
    _, file = body_file(httpd, 5_000_000)
    process = client("/read", "--data-binary", file, "--limit-rate", "100K")
    marked("reading")
    process.kill()
    marked("ClientDisconnected")
    assert ask(httpd, "/after")[2] == b"of /after"


def test_many_streams_of_one_connection_keep_apart(httpd, secure):
    address, options = secure
    downloads = []
    for number in range(60):
        downloads += ["--output", str(httpd.root / f"out-{number}"),
                      f"{address}/{number}"]
    run_curl("--parallel", "--parallel-max", "30", *options, *downloads)
    for number in range(60):
        assert (httpd.root / f"out-{number}").read_text() == f"of /{number}"


def body_file(httpd, size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    path = httpd.root / "body"
    path.write_bytes(data)
    return data, f"@{path}"


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("buffer", ["64K 16M", "0"])
@pytest.mark.parametrize("size", [0, 10, 100_000, 17_000_000])
def test_a_body_arrives_whole(httpd, site, size, buffer, length):
    site(f"CGatewayBodyBuffer {buffer}")
    data, file = body_file(httpd, size)
    upload = ["--data-binary", file]
    if not length:
        upload += ["--header", "Transfer-Encoding: chunked"]
    status, _, told = ask(httpd, "/sum", *upload)
    assert status == 200
    assert told.decode() == f"{size} {hashlib.sha1(data).hexdigest()}"


@pytest.mark.parametrize("path, status", [("/ignored", 200), ("/raise", 500)])
@pytest.mark.parametrize("buffer", ["64K 16M", "0"])
@pytest.mark.parametrize("size", [10, 100_000, 17_000_000])
def test_a_body_that_the_application_ignores_costs_no_response(
        httpd, site, size, buffer, path, status):
    """mod_http2 resets a stream whose body nobody has read; curl then drops the
    response."""
    httpd.expect_log("CGW0121")
    site(f"CGatewayBodyBuffer {buffer}")
    _, file = body_file(httpd, size)
    for _ in range(3):
        assert ask(httpd, path, "--data-binary", file)[0] == status
    assert ask(httpd, "/after")[2] == b"of /after"


def test_an_ignored_body_that_waits_for_100_continue_is_not_waited_for(httpd, site):
    """What curl 7.88 makes of the reset behind the response is its own affair."""
    site("CGatewayBodyBuffer 0")
    _, file = body_file(httpd, 1_500_000)
    run = httpd.curl("/ignored", PRIOR, "--data-binary", file, "--header",
                     "Expect: 100-continue", "--expect100-timeout", str(PATIENCE * 2))
    assert run.returncode in (0, 52, 92)
    line = until(lambda: httpd.access_line("/ignored"), "the line of the access log")
    assert '" 200 ' in line


def test_what_precedes_a_pause_arrives_before_it(httpd, site, client):
    site()
    process = client("/parts")
    until(lambda: (httpd.root / "out").read_bytes() == b"first ", "the first part")
    assert httpd.get("/go-on").text == "of /go-on"
    assert process.wait(PATIENCE) == 0
    assert (httpd.root / "out").read_bytes() == b"first second"


@pytest.mark.parametrize("upload", [(), ("--data-binary", "@body")])
def test_a_truncated_response_is_seen_as_one(httpd, site, upload):
    httpd.expect_log("CGW0121", "CGW0123")
    site("CGatewayBodyBuffer 0")
    _, file = body_file(httpd, 1_000_000)
    upload = [word.replace("@body", file) for word in upload]
    run = httpd.curl("/broken", PRIOR, *upload)
    assert run.returncode in (18, 92), "the client must see it, and soon"
    assert ask(httpd, "/after")[2] == b"of /after"


def test_a_long_response_is_whole(httpd, site):
    site()
    status, _, body = ask(httpd, "/big")
    assert status == 200 and len(body) == 8_000_000
    assert body == b"".join(b"%07d " % number * 1000 for number in range(1000))


def test_a_page_that_includes_others_is_whole(httpd, site, client):
    """Requests within a request share a stream."""
    httpd.load("include")
    page = "".join(f'<!--#include virtual="{path}" -->' for path in
                   ("/small", "/big", "/parts", "/big", "/last"))
    httpd.write("pages/page.shtml", page)
    site(f'Alias /pages "{httpd.root}/pages"', "<Location /pages>", "Options +Includes",
         "SetOutputFilter INCLUDES", "SetHandler None", "</Location>")
    process = client("/pages/page.shtml", "--limit-rate", "20M")
    big = b"".join(b"%07d " % number * 1000 for number in range(1000))
    begin = b"of /small" + big
    until(lambda: (httpd.root / "out").stat().st_size >= len(begin), "what comes before")
    assert httpd.get("/go-on").text == "of /go-on"
    assert process.wait(PATIENCE) == 0
    assert (httpd.root / "out").read_bytes() == begin + b"first second" + big + b"of /last"


def test_an_included_page_within_a_page_of_the_application(httpd, site):
    httpd.load("include")
    site("<Location /outer>", "Options +Includes", "SetOutputFilter INCLUDES",
         "</Location>")
    body = ask(httpd, "/outer")[2]
    big = b"".join(b"%07d " % number * 1000 for number in range(1000))
    assert body == b"[" + big + b"|" + big + b"]"
