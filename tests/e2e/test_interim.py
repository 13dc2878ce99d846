# SPDX-License-Identifier: Apache-2.0
"""Interim responses (1xx) that the application sends ahead of its response."""

import pytest

from harness.starters import one_process

APP = '''
import threading

import cgateway

GO_ON = threading.Event()
HINTS = ("103 Early Hints", [("Link", "</s.css>; rel=preload; as=style"),
                             ("Link", "</s.js>; rel=preload; as=script"),
                             ("Content-Type", "text/x-hint")])
REFUSED = {
    "final": ("200 OK", []), "switching": ("101 Switching Protocols", []),
    "low": ("099 Low", []), "short": ("10", []), "number": (103, []),
    "split-status": ("103 a\\r\\nX-Evil: 1", []),
    "split-value": ("103 Early Hints", [("X-A", "1\\r\\nX-Evil: 2")]),
    "split-name": ("103 Early Hints", [("X-A: 1\\r\\nX-Evil", "2")]),
    "hop": ("103 Early Hints", [("Connection", "close")]),
    "length": ("103 Early Hints", [("Content-Length", "3")]),
    "tuple": ("103 Early Hints", (("X-A", "1"),)),
    "triple": ("103 Early Hints", [("X-A", "1", "2")]),
    "wide": ("103 Early Hints", [("X-A", "\\u20ac")]),
    "large": ("103 Early Hints", [("X-A", "a" * 70000)]),
}


def text(start_response, *headers):
    start_response("200 OK", [("Content-Type", "text/plain"), *headers])


def attempt(call, *arguments):
    """The name of what it raises, and what that says."""
    try:
        return "sent %r" % call(*arguments)
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)


def late(send, start_response):
    text(start_response)
    yield b"begun "
    yield attempt(send, *HINTS).encode()


KEPT = []


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    send = environ["cgateway.send_interim"]
    if path == "/go-on":
        GO_ON.set()
    if path == "/hints":
        send(*HINTS)
        GO_ON.wait(60)
    if path == "/package":
        cgateway.send_interim(environ, *HINTS)
        cgateway.send_interim({}, *HINTS)
    if path == "/several":
        send("102 Processing", [])
        send(status="103 Early Hints", headers=[("Link", "</1>")])
        send("103 Early Hints", [("Link", "</2>")])
        send("199 My Own", [("X-Own", "1")])
    if path == "/thread":
        thread = threading.Thread(target=send, args=HINTS)
        thread.start()
        thread.join()
    if path == "/started":
        text(start_response, ("X-Final", "1"))
        send(*HINTS)
        return [b"ok"]
    if path == "/late":
        return late(send, start_response)
    if path == "/keep":
        KEPT.append(send)
    if path == "/kept":
        text(start_response)
        return [attempt(KEPT[0], *HINTS).encode()]
    if path == "/refused":
        outcome = attempt(send, *REFUSED[query])
        text(start_response)
        return [outcome.encode()]
    if path == "/boom":
        send(*HINTS)
        raise RuntimeError("boom after the hints")
    if path == "/continue":
        send("100 Continue", [])
    if path == "/body":
        send(*HINTS)
        text(start_response)
        return [environ["wsgi.input"].read()]
    text(start_response)
    return [b"ok"]
'''
REFUSED = ["final", "switching", "low", "short", "number", "split-status", "split-value",
           "split-name", "hop", "length", "tuple", "triple", "wide", "large"]
GET = "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n"


site = one_process("interim.wsgi", APP)


def heads(received):
    """The heads of a response without a body, as (status line, {name: values})."""
    found = []
    for head in received.split(b"\r\n\r\n")[:-1]:
        line, *fields = head.decode("latin-1").split("\r\n")
        values = {}
        for field in fields:
            name, value = field.split(": ", 1)
            values.setdefault(name, []).append(value)
        found.append((line, values))
    return found


def ask(httpd, path, protocol="1.1"):
    with httpd.raw() as raw:
        raw.send(f"GET {path} HTTP/{protocol}\r\nHost: a.example\r\n"
                 "Connection: close\r\n\r\n".encode())
        return raw.receive_all()[0]


LINKS = ["</s.css>; rel=preload; as=style", "</s.js>; rel=preload; as=script"]


def test_hints_arrive_while_the_application_still_works(site):
    httpd = site()
    with httpd.raw() as raw:
        raw.send((GET % "/hints").encode())
        (line, fields), = heads(raw.receive_until(b"\r\n\r\n"))
        assert line == "HTTP/1.1 103 Early Hints"
        assert fields == {"Link": LINKS, "Content-Type": ["text/x-hint"]}
        assert httpd.get("/go-on").text == "ok"
        raw.received = b""
        line, fields = heads(raw.receive_until(b"ok"))[0]
    assert line == "HTTP/1.1 200 OK"
    assert "Link" not in fields and fields["Content-Type"] == ["text/plain"]


@pytest.mark.parametrize("path", ["/package", "/thread", "/started"])
def test_every_way_to_send_them(site, path):
    answers = heads(ask(site(), path))
    assert [line.split()[1] for line, _ in answers] == ["103", "200"]
    assert answers[0][1]["Link"] == LINKS
    assert ("X-Final" in answers[1][1]) == (path == "/started")


def test_several_interim_responses_keep_their_order_and_reasons(site):
    answers = heads(ask(site(), "/several"))
    assert [line for line, _ in answers] == [
        "HTTP/1.1 102 Processing", "HTTP/1.1 103 Early Hints", "HTTP/1.1 103 Early Hints",
        "HTTP/1.1 199 My Own", "HTTP/1.1 200 OK"]
    assert [fields.get("Link") for _, fields in answers] == [
        None, ["</1>"], ["</2>"], None, None]


def test_clients_of_http_1_0_get_none(site):
    """RFC 9110, 15.2."""
    answers = heads(ask(site(), "/several", "1.0"))
    assert [line.split()[1] for line, _ in answers] == ["200"]


def test_clients_of_http_2_get_them(httpd, site):
    """mod_http2 has a directive of its own for 103."""
    httpd.load("http2")
    site("Protocols h2c http/1.1", "H2EarlyHints on")
    run = httpd.curl("/package", "--http2-prior-knowledge", "--include")
    assert run.returncode == 0
    answers = heads(run.stdout)
    assert [line.split()[1] for line, _ in answers] == ["103", "200"]
    assert answers[0][1]["link"] == [", ".join(LINKS)]


def test_after_the_head_it_is_an_error_that_says_so(site):
    httpd = site()
    told = httpd.get("/late").text
    assert told.startswith("begun RuntimeError: ") and "before the first part" in told
    assert httpd.get("/keep").text == "ok"
    assert httpd.get("/kept").text.startswith("RuntimeError: ")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_interim_response_is_refused_and_nothing_is_sent(site, kind):
    received = ask(site(), f"/refused?{kind}")
    assert received.startswith(b"HTTP/1.1 200 ")
    head, outcome = received.split(b"\r\n\r\n")
    assert b"X-Evil" not in head
    assert outcome.split(b":")[0] in (b"ValueError", b"TypeError")
    if kind == "switching":
        assert b"101" in outcome


def test_an_exception_after_the_hints_is_a_500(site):
    httpd = site()
    httpd.expect_log("CGW0121")
    answers = heads(ask(httpd, "/boom"))
    assert [line.split()[1] for line, _ in answers] == ["103", "500"]
    assert "Link" not in answers[1][1]


def test_100_continue_goes_only_to_a_client_that_expects_it(site):
    httpd = site("CGatewayBodyBuffer 0")
    assert ask(httpd, "/continue").startswith(b"HTTP/1.1 200 ")
    with httpd.raw() as raw:
        raw.send(b"POST /body HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
                 b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        raw.receive_until(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.send(b"hello")
        answers = heads(raw.receive_all()[0])
    assert [line.split()[1] for line, _ in answers] == ["103", "100", "200"]


def test_head_requests_and_pipelined_ones_stay_in_step(site):
    httpd = site()
    with httpd.raw() as raw:
        raw.send(b"HEAD /several HTTP/1.1\r\nHost: a.example\r\n\r\n" * 2
                 + b"HEAD /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        answers = heads(raw.receive_all()[0])
    assert [line.split()[1] for line, _ in answers] == [
        "102", "103", "103", "199", "200", "102", "103", "103", "199", "200", "200"]


def test_a_subrequest_sends_none_into_the_page_that_includes_it(httpd, site):
    httpd.write("htdocs/page.shtml", 'before <!--#include virtual="/package" --> after')
    httpd.load("include", "dir")
    site(f'Alias /pages "{httpd.root}/htdocs"', f'<Directory "{httpd.root}/htdocs">',
         "Options +Includes", "AddOutputFilter INCLUDES .shtml", "</Directory>")
    with httpd.connection() as connection:
        assert connection.get("/pages/page.shtml").text == "before ok after"
