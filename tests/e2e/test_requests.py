# SPDX-License-Identifier: Apache-2.0
"""Requests that httpd refuses, requests that are unusual, and connections that stay
in step whatever the application announces."""

import json

import pytest

from harness.client import answers
from harness.starters import one_process

# Remembers every request it was run for, in order, and whether it read the whole body.
APP = '''
import json
import tempfile

SEEN = []
LENGTHS = {"/longer": "3", "/shorter": "20", "/negative": "-1", "/word": "nine",
           "/signed": "+9", "/twice": "9, 9"}


def spooled(data):
    file = tempfile.TemporaryFile()
    file.write(data)
    file.seek(0)
    return file


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/seen":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(SEEN).encode()]
    SEEN.append(path)
    headers = [("Content-Type", "text/plain")]
    if path == "/read":
        environ["wsgi.input"].read()
        SEEN.append("complete")
    if path in LENGTHS:
        headers.append(("Content-Length", LENGTHS[path]))
    if path == "/file-shorter":
        headers.append(("Content-Length", "20"))
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](spooled(b"of /file-"))
    if path == "/split":
        headers.append(("X-A", "1\\r\\nContent-Length: 0\\r\\n\\r\\nHTTP/1.1 200 Evil"))
    if path == "/chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    start_response("200 OK", headers)
    if path == "/unknown-length":
        return (part for part in [b"of ", b"/unknown-length"])
    return [b"of " + path.encode()[:6]]
'''
HEAD = b"%s HTTP/1.1\r\nHost: a.example\r\n"
GET_SECOND = HEAD % b"GET /second" + b"Connection: close\r\n\r\n"


site = one_process("requests.wsgi", APP)


def post(path, *headers, body=b""):
    return HEAD % (b"POST " + path) + b"".join(h + b"\r\n" for h in headers) + \
        b"\r\n" + body


def exchange(httpd, data):
    """Everything that httpd sends in return, until it closes."""
    with httpd.raw() as raw:
        raw.send(data)
        return raw.receive_all()[0]


def seen(httpd):
    return httpd.get("/seen").json()


# ---- refused by httpd ------------------------------------------------------------

@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_a_length_beyond_limitrequestbody_is_a_413_and_runs_nothing(
        httpd, site, buffer):
    site("LimitRequestBody 1000", f"CGatewayBodyBuffer {buffer}")
    received = exchange(httpd, post(b"/read", b"Content-Length: 1001"))
    assert received.startswith(b"HTTP/1.1 413 ")
    assert seen(httpd) == []
    assert httpd.request("/read", "POST", b"x" * 1000).status == 200
    assert seen(httpd) == ["/read", "complete"], "the limit itself is allowed"


def test_a_chunked_body_beyond_limitrequestbody_is_a_413_and_runs_nothing(httpd, site):
    site("LimitRequestBody 1000")
    received = exchange(httpd, post(b"/read", b"Transfer-Encoding: chunked",
                                    body=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"))
    assert received.startswith(b"HTTP/1.1 413 ")
    assert seen(httpd) == []


def test_a_streamed_chunked_body_beyond_the_limit_is_never_complete(httpd, site):
    site("LimitRequestBody 1000", "CGatewayBodyBuffer 0")
    received = exchange(httpd, post(b"/read", b"Transfer-Encoding: chunked",
                                    body=b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"))
    assert received.startswith(b"HTTP/1.1 413 ")
    assert "complete" not in seen(httpd)


BROKEN_CHUNKS = {"no size": b"\r\n", "word": b"xyz\r\n", "negative": b"-5\r\nhello\r\n",
                 "overflow": b"ffffffffffffffffff\r\n", "no line end": b"5\r\nhelloXX"}
# httpd takes a size beyond 64 bits for a body that is too large.
REFUSAL = {kind: 413 if kind == "overflow" else 400 for kind in BROKEN_CHUNKS}


@pytest.mark.parametrize("buffer", ["0", "64K"])
@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
def test_malformed_chunks_are_refused_and_never_a_complete_body(
        httpd, site, kind, buffer):
    site(f"CGatewayBodyBuffer {buffer}")
    received = exchange(httpd, post(
        b"/read", b"Transfer-Encoding: chunked",
        body=b"5\r\nfirst\r\n" + BROKEN_CHUNKS[kind] + b"0\r\n\r\n" + GET_SECOND))
    assert received.startswith(b"HTTP/1.1 %d " % REFUSAL[kind])
    told = seen(httpd)
    assert "complete" not in told and "/second" not in told
    if buffer != "0":
        assert told == []


@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_a_stalled_body_is_a_408(httpd, site, buffer):
    httpd.load("reqtimeout")
    site("RequestReadTimeout body=1", f"CGatewayBodyBuffer {buffer}")
    received = exchange(httpd, post(b"/read", b"Content-Length: 10", body=b"half-"))
    assert received.startswith(b"HTTP/1.1 408 ")
    told = seen(httpd)
    assert "complete" not in told
    if buffer != "0":
        assert told == []


# ---- unusual requests -------------------------------------------------------------

def test_a_refused_body_is_not_asked_for(httpd, site):
    """413 instead of 100, so that the client need not send it."""
    site("LimitRequestBody 1000")
    received = exchange(httpd, post(b"/read", b"Content-Length: 1001",
                                    b"Expect: 100-continue"))
    assert received.startswith(b"HTTP/1.1 413 ")


def test_an_unknown_expectation_is_a_417_and_runs_nothing(httpd, site):
    site()
    received = exchange(httpd, post(b"/read", b"Content-Length: 0", b"Expect: wonders"))
    assert received.startswith(b"HTTP/1.1 417 ")
    assert seen(httpd) == []


@pytest.mark.parametrize("size, buffer", [(5, "64K"), (100000, "64K"), (5, "0")])
def test_100_continue_comes_before_a_body_that_is_kept_or_streamed(httpd, site, size,
                                                                   buffer):
    site(f"CGatewayBodyBuffer {buffer}")
    with httpd.raw() as raw:
        raw.send(post(b"/read", b"Content-Length: %d" % size, b"Expect: 100-continue",
                      b"Connection: close"))
        interim = raw.receive_until(b"\r\n\r\n")
        assert interim.startswith(b"HTTP/1.1 100 ")
        raw.send(b"x" * size)
        final = raw.receive_all()[0][len(interim):]
    assert answers(final, "POST") == [(200, b"of /read")]
    assert seen(httpd) == ["/read", "complete"]


def test_a_streamed_body_that_nobody_reads_is_not_asked_for(httpd, site):
    site("CGatewayBodyBuffer 0")
    received = exchange(httpd, post(b"/second", b"Content-Length: 1000000",
                                    b"Expect: 100-continue", b"Connection: close"))
    assert answers(received, "POST") == [(200, b"of /secon")]


def test_a_client_of_http_1_0_gets_no_chunks(httpd, site):
    """The length is not known, so the end of the connection is the end."""
    site()
    received = exchange(httpd, b"GET /unknown-length HTTP/1.0\r\nHost: a.example\r\n\r\n")
    head, body = received.split(b"\r\n\r\n", 1)
    assert head.split(b"\r\n")[0].endswith(b" 200 OK")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"of /unknown-length"


def test_a_client_of_http_1_0_may_keep_its_connection(httpd, site):
    site()
    received = exchange(httpd, b"GET /first HTTP/1.0\r\nHost: a.example\r\n"
                        b"Connection: keep-alive\r\n\r\n"
                        b"GET /second HTTP/1.0\r\nHost: a.example\r\n\r\n")
    assert answers(received, "GET", "GET") == [(200, b"of /first"), (200, b"of /secon")]


def test_the_protocol_of_a_client_of_http_1_0_is_told(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    received = exchange(httpd, b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n")
    environ = json.loads(received.split(b"\r\n\r\n", 1)[1])["request"]
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_a_client_of_http_0_9_gets_the_body_alone(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    environ = json.loads(exchange(httpd, b"GET /x?q\r\n"))["request"]
    assert (environ["SERVER_PROTOCOL"], environ["REQUEST_URI"], environ["PATH_INFO"],
            environ["QUERY_STRING"]) == ("HTTP/0.9", "/x?q", "/x", "q")


@pytest.mark.parametrize("method", [
    "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "LOCK",
    "X-OWN"])
def test_every_method_reaches_the_application(httpd, method):
    httpd.wsgi("info.wsgi")
    httpd.start()
    told = httpd.request("/", method, b"<a/>").json()
    assert (told["request"]["REQUEST_METHOD"], told["body"]) == (method, "<a/>")


@pytest.mark.parametrize("uri, path_info, query", [
    ("/caf%C3%A9/%E2%82%AC", b"/caf\xc3\xa9/\xe2\x82\xac", ""),
    ("/%25C3%2541?a=%41%2F+b", b"/%C3%41", "a=%41%2F+b"),
    ("/a%3Fb?c?d", b"/a?b", "c?d"),
    ("/a%0Ab", b"/a\nb", ""),
    ("/a/./b/../c", b"/a/c", ""),
    ("/?", b"/", "")])
def test_path_info_is_decoded_once_and_request_uri_is_raw(
        httpd, uri, path_info, query):
    httpd.wsgi("info.wsgi")
    httpd.start()
    environ = httpd.get(uri).json()["request"]
    assert environ["PATH_INFO"].encode("latin-1") == path_info
    assert (environ["REQUEST_URI"], environ["QUERY_STRING"]) == (uri, query)


@pytest.mark.parametrize("uri", [b"/a%00b", b"/a%2", b"/a%zz", b"/%2e%2e/a"])
def test_a_path_that_httpd_refuses_runs_nothing(httpd, site, uri):
    site()
    httpd.expect_log(r"AH10244: invalid URI path")
    received = exchange(httpd, HEAD % (b"GET " + uri) + b"Connection: close\r\n\r\n")
    assert received.split()[1] in (b"400", b"404")
    assert seen(httpd) == []


@pytest.mark.parametrize("lines, uri, path_info", [
    (["AllowEncodedSlashes On"], "/a%2Fb", "/a/b"),
    (["AllowEncodedSlashes NoDecode"], "/a%2Fb", "/a%2Fb"),
    (["MergeSlashes Off"], "//a///b//", "/a///b//"),
    ([], "//a///b//", "/a/b/"),
    ([], "/%2561;p=1/x&y=%26", "/%61;p=1/x&y=&")])
def test_slashes_are_what_httpd_s_directives_make_of_them(httpd, lines, uri, path_info):
    httpd.wsgi("info.wsgi", *lines)
    httpd.start()
    environ = httpd.get(uri).json()["request"]
    assert (environ["PATH_INFO"], environ["REQUEST_URI"], environ["RAW_URI"],
            environ["SCRIPT_NAME"]) == (path_info, uri, uri, "")


def test_an_encoded_slash_is_httpd_s_404_by_default(httpd, site):
    site()
    httpd.expect_log("AH00026")
    assert httpd.get("/a%2Fb").status == 404
    assert seen(httpd) == []


def test_the_absolute_form_of_a_request_is_the_same_request(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    received = exchange(httpd, b"GET http://a.example/x%20y?q HTTP/1.1\r\n"
                        b"Host: other\r\nConnection: close\r\n\r\n")
    environ = json.loads(received.split(b"\r\n\r\n", 1)[1])["request"]
    assert (environ["REQUEST_URI"], environ["PATH_INFO"], environ["QUERY_STRING"],
            environ["SERVER_NAME"]) == ("/x%20y?q", "/x y", "q", "a.example")


@pytest.mark.parametrize("target, request_uri, server_name", [
    (b"http://a.example", "/", "a.example"),
    (b"http://a.example?q=1", "/?q=1", "a.example"),
    (b"http://a.example?next=/x", "/?next=/x", "a.example"),
    (b"HTTP://A.example:81/x?u=http://b.example/y", "/x?u=http://b.example/y", "a.example"),
    (b"http:/x?u=http://b.example/y", "http:/x?u=http://b.example/y", "a.example"),
    (b"http:///x", "/x", "a.example")])
def test_nothing_behind_an_authority_is_lost_or_taken_for_another_path(
        httpd, target, request_uri, server_name):
    """PEP 3333: the name of the server is never empty, which RFC 9110, 4.2.1, forbids
    in the client's URL, too."""
    httpd.wsgi("info.wsgi")
    httpd.start()
    received = exchange(httpd, b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\n"
                        b"Connection: close\r\n\r\n")
    environ = json.loads(received.split(b"\r\n\r\n", 1)[1])["request"]
    assert (environ["REQUEST_URI"], environ["SERVER_NAME"]) == (request_uri, server_name)


@pytest.mark.parametrize("request_line, status", [
    (b"OPTIONS *", 200), (b"GET *", 400), (b"CONNECT a.example:443", 405),
    (b"GET x", 400)])
def test_a_request_about_no_path_runs_nothing(httpd, site, request_line, status):
    """OPTIONS * is about the server, and httpd answers it."""
    site()
    httpd.expect_log("AH10244|AH00127|AH0252")
    received = exchange(httpd, HEAD % request_line + b"Connection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert seen(httpd) == []


@pytest.mark.parametrize("setting, status", [("On", b"200"), ("Off", b"405")])
def test_trace_is_httpd_s_and_traceenable_s(httpd, site, setting, status):
    site(f"TraceEnable {setting}")
    received = exchange(httpd, HEAD % b"TRACE /x" + b"Connection: close\r\n\r\n")
    assert received.split()[1] == status
    assert seen(httpd) == []


# ---- long requests ------------------------------------------------------------------

def test_urls_and_headers_reach_the_application_up_to_httpd_s_limits(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    path = "/" + "p" * 4000
    query = "q" * 4000
    headers = {f"X-{number}": f"{number}" * 1000 for number in range(80)}
    headers["X-Long"] = "v" * 8000
    headers["X-" + "n" * 8000] = "long name"
    told = httpd.get(f"{path}?{query}", headers=headers).json()["request"]
    assert (told["PATH_INFO"], told["QUERY_STRING"]) == (path, query)
    for name, value in headers.items():
        assert told["HTTP_" + name.upper().replace("-", "_")] == value


def test_what_is_longer_is_refused_by_httpd_and_runs_nothing(httpd, site):
    site()
    httpd.expect_log("AH0056|AH10244|AH00036")
    assert httpd.get("/" + "p" * 9000).status == 414
    assert httpd.get("/", headers={"X-Long": "v" * 9000}).status == 400
    many = {f"X-{number}": "1" for number in range(120)}
    assert httpd.get("/", headers=many).status == 400
    assert seen(httpd) == []


RAISED = ["LimitRequestLine 200000", "LimitRequestFieldSize 1000000",
          "LimitRequestFields 1000"]


def test_raised_limits_are_raised_for_the_application(httpd):
    httpd.main("\n".join(RAISED))
    httpd.wsgi("info.wsgi")
    httpd.start()
    path, value = "/" + "p" * 99000, "v" * 900000
    headers = {f"X-{number}": "1" * 1000 for number in range(900)}
    with httpd.connection() as connection:
        told = connection.get(f"{path}?{path}", {"X-Long": value}).json()["request"]
        assert (told["PATH_INFO"], told["QUERY_STRING"]) == (path, path)
        assert told["HTTP_X_LONG"] == value
        told = connection.get("/", headers).json()["request"]
        assert sum(name.startswith("HTTP_X_") for name in told) == 900
        assert connection.get("/last").json()["request"]["PATH_INFO"] == "/last"


def test_more_than_can_be_passed_on_is_a_431_that_says_so(httpd, site):
    """The frame of a request has a bound, whatever httpd lets through."""
    httpd.main("\n".join(RAISED))
    site()
    httpd.expect_log("CGW0131")
    headers = {f"X-{number}": "v" * 900000 for number in range(6)}
    assert httpd.get("/", headers=headers).status == 431
    assert seen(httpd) == []
    assert httpd.get("/next").status == 200


# ---- trailers, and lengths that contradict -------------------------------------------

@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_trailers_are_read_and_dropped(httpd, buffer):
    httpd.wsgi("info.wsgi", f"CGatewayBodyBuffer {buffer}")
    httpd.start()
    first = post(b"/", b"Transfer-Encoding: chunked", b"Trailer: X-Evil", body=(
        b"5\r\nhello\r\n0\r\nX-Evil: 1\r\nContent-Length: 99\r\n\r\n"))
    received = exchange(httpd, first + GET_SECOND)
    told = [json.loads(body) for _, body in answers(received, "POST", "GET")]
    assert (told[0]["body"], told[1]["request"]["PATH_INFO"]) == ("hello", "/second")
    for each in told:
        assert not [n for n in each["request"] if n.startswith("HTTP_X_EVIL")]
        assert each["request"].get("CONTENT_LENGTH", "5") == "5"


@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_chunks_outrank_a_length(httpd, buffer):
    """RFC 9112, 6.3: what is smuggled behind it is not a request."""
    httpd.wsgi("info.wsgi", f"CGatewayBodyBuffer {buffer}")
    httpd.start()
    received = exchange(httpd, post(
        b"/", b"Content-Length: 60", b"Transfer-Encoding: chunked",
        body=b"5\r\nhello\r\n0\r\n\r\n") + GET_SECOND)
    told = [json.loads(body) for _, body in answers(received, "POST", "GET")]
    assert told[0]["body"] == "hello"
    assert told[0]["request"].get("CONTENT_LENGTH", "5") == "5"
    assert [t["request"]["PATH_INFO"] for t in told[1:]] in ([], ["/second"])


# Ways to write a coding that one server understands and another does not, as the
# collections of smuggled requests have them.
ODD_CODINGS = [
    b" Transfer-Encoding: chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding:\n chunked", b"Transfer-Encoding: chunked\r",
    b"Transfer-Encoding:\xa0chunked", b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked, cow",
    b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"X: X\nTransfer-Encoding: chunked", b"X: X\rTransfer-Encoding: chunked",
    b"Transfer\xffEncoding: chunked", b"Transfer-Encoding:", b"Transfer-Encoding: ,"]
# One that is none, or is understood and then outranks the length.
READ_BY_LENGTH = [b"Transfer_Encoding: chunked", b"X-Transfer-Encoding: chunked",
                  b"Content-Encoding: chunked", b"TE: chunked"]
READ_AS_CHUNKS = [b"Transfer-Encoding:chunked", b"Transfer-Encoding: ,chunked",
                  b"TRANSFER-ENCODING:\tCHUNKED\t", b"Transfer-Encoding:\r\n chunked"]


@pytest.mark.parametrize("buffer", ["0", "64K"])
def test_a_coding_that_may_be_read_in_two_ways_is_refused_or_ends_the_connection(
        httpd, buffer):
    """The application's view of a body is the one by which httpd finds the next
    request."""
    httpd.wsgi("info.wsgi", f"CGatewayBodyBuffer {buffer}")
    httpd.expect_log("AH0\\d+: ")
    httpd.start()
    body = b"5\r\nhello\r\n0\r\n\r\n"

    def told(coding):
        received = exchange(httpd, post(b"/", b"Content-Length: %d" % len(body), coding,
                                        body=body) + GET_SECOND)
        assert b"evil" not in received
        return [(status, status == 200 and json.loads(text)) for status, text in
                answers(received, "POST", "GET")]
    for coding in ODD_CODINGS:
        assert [status for status, _ in told(coding)] in ([400], [501]), coding
    for coding in READ_BY_LENGTH:
        first, second = told(coding)
        assert first[1]["body"].encode() == body and second[0] == 200, coding
        assert first[1]["request"]["CONTENT_LENGTH"] == str(len(body))
    for coding in READ_AS_CHUNKS:
        (_, first), = told(coding)
        assert first["body"] == "hello", coding
        assert first["request"].get("CONTENT_LENGTH", "5") == "5"


@pytest.mark.parametrize("codings, status", [
    (b"gzip, chunked", 501), (b"x-gzip,Chunked", 501), (b"br;q=1, chunked", 501),
    (b"CHUNKED", 200), (b"identity, chunked", 200)])
def test_a_transfer_coding_that_nobody_undoes_is_a_501(httpd, site, codings, status):
    """The application would take the coded bytes for the body."""
    site()
    received = exchange(httpd, post(b"/read", b"Transfer-Encoding: " + codings,
                                    body=b"5\r\nhello\r\n0\r\n\r\n") + GET_SECOND)
    assert int(received.split()[1]) == status
    assert ("/read" in seen(httpd)) == (status == 200)


@pytest.mark.parametrize("headers", [
    [b"Content-Length: 5", b"Content-Length: 6"], [b"Content-Length: 5, 6"],
    [b"Content-Length: +5"], [b"Content-Length: five"], [b"Content-Length: -5"],
    [b"Transfer-Encoding: gzip, chunked, identity"], [b"Transfer-Encoding: cow"],
    [b"X Y: 1"], [b"X-Z : 1"], [b": 1"], [b"X-N: a\0b"]])
def test_headers_that_make_no_sense_are_refused_and_run_nothing(httpd, site, headers):
    site()
    httpd.expect_log("AH0\\d+: ")
    received = exchange(httpd, post(b"/read", *headers, body=b"hello") + GET_SECOND)
    assert received.split()[1] in (b"400", b"501")
    assert "/read" not in seen(httpd)


# ---- mounts -----------------------------------------------------------------------

@pytest.mark.parametrize("uri, group, script_name, path_info", [
    ("/a%20%C3%BC", "outer", "/a \xc3\xbc", ""),
    ("/a%20%C3%BC/", "outer", "/a \xc3\xbc", "/"),
    ("/%61%20%c3%bc/x", "outer", "/a \xc3\xbc", "/x"),
    ("/a%20%C3%BC/in/y", "inner", "/a \xc3\xbc/in", "/y"),
    ("/a%20%C3%BC/x/../in/", "inner", "/a \xc3\xbc/in", "/"),
    ("/a%20%C3%BC/inn", "outer", "/a \xc3\xbc", "/inn")])
def test_nested_mounts_match_the_decoded_path(
        httpd, uri, group, script_name, path_info):
    app = httpd.app("info.wsgi")
    httpd.main("\n".join(f"<CGatewayGroup {name}>\n"
                         f'CGatewayApplication "{app}"\nCGatewayEnv GROUP {name}\n'
                         "</CGatewayGroup>" for name in ("outer", "inner")))
    httpd.vhost("a.example", 'CGatewayMount "/a ü" outer',
                'CGatewayMount "/a ü/in" inner')
    httpd.start()
    told = httpd.get(uri).json()
    request = told["request"]
    assert (told["environ"]["GROUP"], request["SCRIPT_NAME"], request["PATH_INFO"],
            request["REQUEST_URI"]) == (group, script_name, path_info, uri)


# ---- connections stay in step -----------------------------------------------------

def pipelined(httpd, path):
    """Answers to a request for path and to a second one behind it."""
    received = exchange(httpd, HEAD % (b"GET " + path) + b"\r\n" + GET_SECOND)
    return received, answers(received, "GET", "GET")


SECOND = (200, b"of /secon")


def test_a_response_longer_than_announced_does_not_leak_into_the_next(httpd, site):
    site()
    httpd.expect_log("CGW0404")
    _, told = pipelined(httpd, b"/longer")
    assert told[0] == (200, b"of ")
    assert told[1:] in ([], [SECOND])


def test_a_list_shorter_than_announced_is_a_500_and_the_next_answer_intact(httpd, site):
    site()
    httpd.expect_log("CGW0121")
    _, told = pipelined(httpd, b"/shorter")
    assert told[0][0] == 500 and b"of /short" not in told[0][1]
    assert told[1:] in ([], [SECOND])


def test_a_file_shorter_than_announced_ends_the_connection(httpd, site):
    """Its head has gone: whatever followed would be taken for the rest of it."""
    site()
    httpd.expect_log("CGW0121", "CGW0123")
    received, told = pipelined(httpd, b"/file-shorter")
    assert told == [(200, None)]
    assert b"of /secon" not in received


@pytest.mark.parametrize("path", [b"/negative", b"/word", b"/signed", b"/twice",
                                  b"/split", b"/chunked"])
def test_a_head_that_is_refused_is_a_500_and_the_next_answer_intact(httpd, site, path):
    site()
    httpd.expect_log("CGW0121")
    received, told = pipelined(httpd, path)
    assert told[0][0] == 500 and b"Evil" not in received
    assert told[1:] in ([], [SECOND])


@pytest.mark.parametrize("buffer", ["0", "64K"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_the_application_ignores_is_not_the_next_request(
        httpd, site, buffer, chunked):
    site(f"CGatewayBodyBuffer {buffer}")
    evil = HEAD % b"GET /evil" + b"\r\n"
    if chunked:
        first = post(b"/ignored", b"Transfer-Encoding: chunked",
                     body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(evil), evil))
    else:
        first = post(b"/ignored", b"Content-Length: %d" % len(evil), body=evil)
    told = answers(exchange(httpd, first + GET_SECOND), "POST", "GET")
    assert told[0] == (200, b"of /ignor")
    assert told[1:] in ([], [SECOND])
    assert "/evil" not in seen(httpd)
