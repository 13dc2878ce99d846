# SPDX-License-Identifier: Apache-2.0
"""PEP 3333 over real HTTP: environ, input, errors, responses."""

import getpass
import json
import pwd
import re

import pytest

from harness.httpd import until
from harness.paths import AS_ROOT, HTTPD_USER

LINES = b"first line\nsecond\n\nlast without newline"


def chunks(data, size=7):
    return (data[at:at + size] for at in range(0, len(data), size))


@pytest.fixture
def site(httpd):
    """Starts a virtual host with one application of tests/apps, in one process, so
    that what the application remembers is all there is."""
    def start(app, *lines):
        httpd.wsgi(app, "CGatewayProcesses 1", *lines)
        return httpd.start()
    return start


# ---- the validator ------------------------------------------------------------

VALIDATED = {"/plain": b"plain\n", "/several": b"one two three\n",
             "/generator": b"0,1,2,3,4,", "/late_start": b"late\n",
             "/written": b"first second third\n", "/errors": b"logged\n",
             "/cookies": b"cookies\n", "/file": b"0123456789" * 10000}


def exercise(connection):
    """Every view of the validated application, on one connection."""
    for path, body in VALIDATED.items():
        answer = connection.get(path)
        status = 201 if path == "/late_start" else 200
        assert (answer.status, answer.body) == (status, body), path
        assert connection.request(path, "HEAD").body == b""
    assert connection.get("/replaced").status == 503
    assert connection.get("/nothing").status == 204
    assert connection.get("/unchanged").status == 304
    for send in (LINES, b"", b"x" * 100000):
        for options in (dict(body=send), dict(body=chunks(send), chunked=True)):
            answer = connection.request("/input_read", "POST", **options)
            assert (answer.status, answer.body) == (200, send)
    for options in (dict(body=LINES), dict(body=chunks(LINES), chunked=True)):
        answer = connection.request("/input_lines", "POST", **options)
        assert answer.body == b"first line\n|second\n|\n|last without newline"


@pytest.mark.parametrize("threads", [1, 8])
def test_the_validator_reports_nothing(httpd, threads):
    httpd.wsgi("validated.wsgi", f"CGatewayThreads {threads}")
    httpd.start()
    httpd.expect_log(r"from write, and writelines$")
    with httpd.connection() as connection:
        for _ in range(3):
            exercise(connection)
            sock = connection.http.sock
    assert sock is not None, "the connection was kept"


# ---- environ ------------------------------------------------------------------

def test_environ_of_a_request(httpd, site):
    site("info.wsgi", "SetEnvIf User-Agent curious CURIOUS=yes")
    told = httpd.get("/a%20b//c;x=1?q=%C3%BC&r", headers={
        "User-Agent": "curious", "X-Some-Header": "v", "Accept": "a/b"}).json()
    environ = told["request"]
    wanted = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a b/c;x=1",
        "QUERY_STRING": "q=%C3%BC&r", "REQUEST_URI": "/a%20b//c;x=1?q=%C3%BC&r",
        "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "a.example",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_SOME_HEADER": "v", "HTTP_ACCEPT": "a/b", "HTTP_HOST": "a.example",
        "CURIOUS": "yes", "wsgi.url_scheme": "http", "GATEWAY_INTERFACE": "CGI/1.1"}
    assert {k: environ.get(k) for k in wanted} == wanted
    assert environ["SERVER_PORT"] in (str(httpd.port), "80")
    assert "CONTENT_LENGTH" not in environ or environ["CONTENT_LENGTH"] == ""
    assert (told["multithread"], told["multiprocess"], told["run_once"]) == \
        (True, False, False)


def test_path_info_is_latin1_of_the_bytes(httpd, site):
    site("info.wsgi")
    environ = httpd.get("/%C3%BC/%FF").json()["request"]
    assert environ["PATH_INFO"].encode("latin-1") == b"/\xc3\xbc/\xff"


@pytest.mark.parametrize("processes, threads", [(1, 1), (2, 4)])
def test_multithread_and_multiprocess_are_true_to_the_configuration(
        httpd, processes, threads):
    httpd.wsgi("info.wsgi", f"CGatewayProcesses {processes}",
               f"CGatewayThreads {threads}")
    httpd.start()
    told = httpd.get().json()
    assert (told["multithread"], told["multiprocess"]) == (threads > 1, processes > 1)


def test_proxy_header_and_odd_header_names_are_dropped(httpd, site):
    """HTTP_PROXY is httpoxy; X_Under would be taken for X-Under."""
    site("info.wsgi")
    environ = httpd.get(headers={
        "Proxy": "http://evil", "X-Under": "honest", "X_Under": "forged",
        "Authorization": "Basic eDp5"}).json()["request"]
    assert "HTTP_PROXY" not in environ
    assert environ["HTTP_X_UNDER"] == "honest"
    assert environ["HTTP_AUTHORIZATION"] == "Basic eDp5"


def test_repeated_request_headers_are_joined(httpd, site):
    site("info.wsgi")
    with httpd.raw() as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nX-A: 2\r\n"
                 b"Connection: close\r\n\r\n")
        body = raw.receive_all()[0].split(b"\r\n\r\n", 1)[1]
    assert b'"HTTP_X_A": "1, 2"' in body


def test_a_buffered_chunked_body_has_its_length(httpd, site):
    site("info.wsgi")
    told = httpd.request("/", "POST", chunks(LINES), chunked=True).json()
    assert told["body"].encode() == LINES
    assert told["request"]["CONTENT_LENGTH"] == str(len(LINES))
    assert "HTTP_TRANSFER_ENCODING" not in told["request"]


def test_a_streamed_chunked_body_ends_by_itself(httpd, site):
    site("info.wsgi", "CGatewayBodyBuffer 16 0")
    told = httpd.request("/", "POST", chunks(b"x" * 5000, 500), chunked=True).json()
    assert len(told["body"]) == 5000
    assert told["terminated"] is True
    assert "CONTENT_LENGTH" not in told["request"]


@pytest.mark.parametrize("buffer", ["0", "64K", "64K 1M", "8M"])
def test_a_body_of_five_megabytes_arrives_whole(httpd, site, buffer):
    site("validated.wsgi", f"CGatewayBodyBuffer {buffer}")
    body = bytes(range(256)) * 4 * 5120
    assert httpd.request("/input_read", "POST", body).body == body
    assert httpd.request("/input_read", "POST", chunks(body, 100000),
                         chunked=True).body == body


def test_expect_100_continue(httpd, site):
    site("validated.wsgi")
    with httpd.raw() as raw:
        raw.send(b"POST /input_read HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
                 b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert b"100 Continue" in raw.receive_until(b"\r\n\r\n")
        raw.send(b"hello")
        assert b"hello" in raw.receive_all()[0]


# ---- wsgi.errors ----------------------------------------------------------------

def test_error_lines_name_client_and_virtual_host(httpd, site):
    httpd.wsgi("info.wsgi", name="other.example")
    site("responses.wsgi")
    assert httpd.get("/errors").text == "ok"
    httpd.wait_log(r"\[client 127\.0\.0\.1:\d+\].* a\.example: a line$")
    httpd.wait_log(r"\[client 127\.0\.0\.1:\d+\].* a\.example: another line$")
    httpd.wait_log(r"\[pid \d+\] a\.example: on stdout$")
    assert "a line" not in httpd.log("other.example") + httpd.log("main")
    httpd.expect_log(r"a line$", r"another line$", r"on stdout$")


# ---- responses --------------------------------------------------------------------

def test_content_length_of_one_chunk_and_of_none(httpd, site):
    site("responses.wsgi")
    assert httpd.get("/one").headers["Content-Length"] == "9"
    assert httpd.get("/empty").headers["Content-Length"] == "0"
    assert httpd.get("/tuple").body == b"ab"


@pytest.mark.parametrize("path", ["/204", "/204-body", "/304"])
def test_no_body_where_none_may_be(httpd, site, path):
    site("responses.wsgi")
    httpd.expect_log(r"CGW\d+: .*(204|Content-Length|no body)")
    with httpd.connection() as connection:
        answer = connection.get(path)
        assert (answer.status, answer.body) == (int(path[1:4]), b"")
        assert "Transfer-Encoding" not in answer.headers
        assert answer.headers["Content-Length"] in (None, "0")
        assert connection.get("/one").text == "one chunk", "the connection is in step"


def test_head_keeps_the_headers_and_has_no_body(httpd, site):
    site("responses.wsgi")
    with httpd.connection() as connection:
        answer = connection.request("/head", "HEAD")
        assert (answer.headers["Content-Length"], answer.body) == ("1000", b"")
        careless = connection.request("/head-careless", "HEAD")
        assert (careless.status, careless.body) == (200, b"")
        assert connection.get("/one").text == "one chunk"


@pytest.mark.parametrize("status", ["301 Moved", "404 Not+Here", "418 I'm+a+teapot",
                                    "500 Broken", "299 Odd", "599 Odder", "207", "207 "])
def test_the_application_s_status_and_page_are_kept(httpd, site, status):
    """PEP 3333 asks for a reason; HTTP does not, and most servers let "207" pass."""
    site("responses.wsgi")
    answer = httpd.get(f"/status?{status.replace(' ', '+')}")
    code, _, reason = status.replace("+", " ").partition(" ")
    assert (answer.status, answer.reason) == (int(code), reason)
    assert answer.text == "the application's own page"


def test_cookies_stay_apart_and_headers_are_latin1(httpd, site):
    site("validated.wsgi")
    answer = httpd.get("/cookies")
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers["X-Umlaut"] == "\xfc"


@pytest.mark.parametrize("path, size", [("/file", 300000), ("/file-part", 10),
                                        ("/file-length", 10), ("/file-memory", 50000)])
def test_file_wrapper(httpd, site, path, size):
    site("responses.wsgi")
    with httpd.connection() as connection:
        assert len(connection.get(path).body) == size
        assert connection.get("/one").text == "one chunk"


def test_a_string_of_bytes_is_an_iterable_of_integers_and_refused(httpd, site):
    site("responses.wsgi")
    answer = httpd.get("/bytes")
    if answer.status == 200:
        assert answer.body == b"abc"
    else:
        httpd.expect_log(r"CGW0121")
        assert answer.status == 500


def test_write_comes_before_the_iterable(httpd, site):
    site("responses.wsgi")
    assert httpd.get("/write").text == "written returned"


@pytest.mark.parametrize("path, expected", [
    ("/closing", 200), ("/closing-raise-first", 500), ("/write", 200), ("/204", 204),
    ("/204-body", 204), ("/304", 304)])
def test_close_is_called_exactly_once(httpd, site, path, expected):
    site("responses.wsgi")
    httpd.expect_log(r"CGW\d+")
    assert httpd.get(path).status == expected
    assert closed(httpd, 1) == [path]


def test_close_is_called_once_for_head_and_truncated_responses(httpd, site):
    site("responses.wsgi")
    httpd.expect_log(r"CGW0121", r"CGW0123")
    httpd.request("/head-careless", "HEAD")
    assert httpd.curl("/closing-raise").returncode != 0
    assert sorted(closed(httpd, 2)) == ["/closing-raise", "/head-careless"]


def closed(httpd, count):
    """The paths that were closed, once there are so many."""
    return until(lambda: len(paths := json.loads(httpd.get("/closed").body)) >= count
                 and paths, "close() to be called")


@pytest.mark.parametrize("kind", [
    "split", "newline", "split-name", "colon", "empty-name", "nul", "wide", "bytes",
    "number", "length", "negative", "lengths", "triple", "tuple", "list"])
def test_a_bad_header_is_a_500_and_says_why(httpd, site, kind):
    site("responses.wsgi")
    httpd.expect_log(r"CGW0121")
    answer = httpd.get(f"/header?{kind}")
    assert answer.status == 500
    assert "X-Evil" not in answer.headers and "X-A" not in answer.headers
    httpd.wait_log(r"(Type|Value|Assertion|Unicode\w*)Error: .*")


@pytest.mark.parametrize("kind", ["split", "short", "word", "number", "bytes", "wide",
                                  "low"])
def test_a_bad_status_is_a_500(httpd, site, kind):
    site("responses.wsgi")
    httpd.expect_log(r"CGW0121")
    answer = httpd.get(f"/bad-status?{kind}")
    assert answer.status == 500 and "X-Evil" not in answer.headers


@pytest.mark.parametrize("path", ["/bad-body?str", "/bad-body?number", "/bad-body?none",
                                  "/bad-body?not-iterable", "/no-start", "/twice"])
def test_a_broken_application_is_a_500_and_the_worker_goes_on(httpd, site, path):
    site("responses.wsgi")
    httpd.expect_log(r"CGW0121")
    pid = httpd.get("/pid").text
    assert httpd.get(path).status == 500
    assert httpd.get("/pid").text == pid


def test_a_paused_response_is_flushed(httpd, site):
    """The client has the first part while the application waits for the second
    request."""
    app = httpd.app("pausing.wsgi", """\
import threading
EVENT = threading.Event()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/go-on":
        EVENT.set()
        return [b"set"]
    def parts():
        yield b"first"
        EVENT.wait(60)
        yield b"second"
    return parts()
""")
    site(app)
    with httpd.raw() as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        assert b"first" in raw.receive_until(b"first")
        assert httpd.get("/go-on").text == "set"
        assert b"second" in raw.receive_all()[0]


def test_pipelined_requests_are_answered_in_order(httpd, site):
    site("info.wsgi")
    with httpd.raw() as raw:
        raw.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.example\r\n%s\r\n" % (
            n, b"Connection: close\r\n" if n == 9 else b"") for n in range(10)))
        received = raw.receive_all()[0]
    assert re.findall(rb'"PATH_INFO": "/(\d)"', received) == \
        [b"%d" % n for n in range(10)]


def test_the_worker_is_the_user_that_httpd_s_children_are(httpd, site):
    site("info.wsgi")
    told = httpd.get().json()
    user = HTTPD_USER if AS_ROOT else getpass.getuser()
    assert told["environ"]["USER"] == told["environ"]["LOGNAME"] == user
    assert told["uid"] == pwd.getpwnam(user).pw_uid


def test_the_environment_is_the_process_s_own(httpd, site):
    """os.environ, C's getenv and what subprocesses see are one."""
    site("info.wsgi", 'CGatewayEnv SHOP "a value = with \'signs\'"')
    told = httpd.get("/?deep").json()
    assert told["getenv"] == told["environ"]
    assert {k: v for k, v in told["subprocess"].items() if k != "_"} == told["environ"]
    assert told["environ"]["SHOP"] == "a value = with 'signs'"
    of_httpd = {"HTTPD_SECRET", "LC_MARK", "DJANGO_SETTINGS_MODULE"}
    assert not of_httpd & set(told["environ"])
