# SPDX-License-Identifier: Apache-2.0
"""CGatewayErrorOverride: httpd's page in place of the application's."""

import pytest

from harness.httpd import until
from harness.starters import one_process

# Answers with the status that the query names, a header of each kind, and a long page.
APP = '''
CLOSED = []


class Page:
    def __init__(self, path, parts):
        self.path = path
        self.parts = iter(parts)

    def __iter__(self):
        return self.parts

    def close(self):
        CLOSED.append(self.path)


def boom():
    yield b"half a page"
    raise RuntimeError("boom in the error page")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/closed":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(CLOSED).encode()]
    start_response(environ["QUERY_STRING"] + " Reason", [
        ("Content-Type", "text/x-own"), ("X-Own", "1"), ("ETag", '"own"'),
        ("Content-Language", "de"), ("Cache-Control", "max-age=99"),
        ("WWW-Authenticate", 'Bearer realm="a"'), ("Retry-After", "77"),
        ("Allow", "GET, MKCOL, DELETE"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
        ("Content-Length", "200000") if path == "/long" else ("X-Other", "2")])
    if path == "/page":
        return [b"the application's page"]
    if path == "/long":
        return [b"the application's page" + b"." * 199978]
    if path == "/boom":
        return boom()
    if path == "/file":
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    return Page(path, [b"the ", b"application's ", b"page"] * 1000)
'''
OWN = "the application's page"


site = one_process("errors.wsgi", APP)


def test_without_the_directive_every_page_is_the_application_s(site):
    httpd = site("ErrorDocument 404 httpds")
    answer = httpd.get("/page?404")
    assert (answer.status, answer.text) == (404, OWN)
    assert answer.headers["X-Own"] == "1"


def test_listed_statuses_get_httpd_s_document_and_others_stay(site):
    httpd = site("CGatewayErrorOverride 404 503", 'ErrorDocument 404 "not here"')
    with httpd.connection() as connection:
        missing = connection.get("/page?404")
        assert (missing.status, missing.text) == (404, "not here")
        plain = connection.get("/page?503")
        assert (plain.status, OWN in plain.text) == (503, False)
        assert "503 Service Unavailable" in plain.text
        assert connection.get("/page?403").text == OWN
        assert connection.get("/page?200").text == OWN


def test_what_is_about_the_page_goes_and_what_is_about_the_status_stays(site):
    httpd = site("CGatewayErrorOverride On")
    answer = httpd.get("/page?401")
    assert answer.status == 401
    for name in ("X-Own", "ETag", "Content-Language", "Cache-Control"):
        assert name not in answer.headers
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="a"'
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert httpd.get("/page?503").headers["Retry-After"] == "77"


@pytest.mark.parametrize("document", [[], ["ErrorDocument 405 /page.html"],
                                      ["ErrorDocument 405 text"]])
def test_a_405_keeps_its_methods(httpd, site, document):
    httpd.write("htdocs/page.html", "a file")
    httpd.load("dir")
    site("CGatewayErrorOverride 405", *document, f'DocumentRoot "{httpd.root}/htdocs"',
         "<Location /page.html>", "SetHandler None", "</Location>")
    answer = httpd.get("/page?405")
    assert (answer.status, OWN in answer.text) == (405, False)
    allowed = ",".join(answer.headers.get_all("Allow")).replace(" ", "").split(",")
    assert {"GET", "MKCOL", "DELETE"} <= set(allowed)


def test_on_covers_every_error_that_httpd_knows(site):
    httpd = site("CGatewayErrorOverride On")
    for status in (400, 404, 429, 451, 500, 511):
        answer = httpd.get(f"/page?{status}")
        assert (answer.status, OWN in answer.text) == (status, False)
    for status in (200, 302, 418, 499, 599, 799):
        answer = httpd.get(f"/page?{status}")
        assert (answer.status, answer.text) == (status, OWN)


def test_a_document_may_be_a_file(httpd, site):
    httpd.write("htdocs/lost.html", "<p>lost</p>")
    site("CGatewayErrorOverride 404", "ErrorDocument 404 /errors/lost.html",
         f'Alias /errors "{httpd.root}/htdocs"')
    answer = httpd.get("/page?404")
    assert (answer.status, answer.text) == (404, "<p>lost</p>")
    assert answer.headers["Content-Type"] == "text/html"


def test_a_document_of_the_application_that_fails_too_is_no_loop(site):
    httpd = site("CGatewayErrorOverride 404 500", "ErrorDocument 404 /page?500")
    answer = httpd.get("/page?404")
    assert answer.status == 404
    assert OWN not in answer.text and "404 Not Found" in answer.text


def test_locations_inherit_extend_and_end_it(site):
    httpd = site("CGatewayErrorOverride 404", "CGatewayErrorOverride 500",
                 "<Location /page>", "CGatewayErrorOverride Off", "</Location>",
                 "<Location /long>", "CGatewayErrorOverride 503", "</Location>")

    def is_own(path):
        return httpd.get(path).text.startswith("the application's")
    assert not is_own("/other?404") and not is_own("/other?500")
    assert is_own("/page?404") and is_own("/page?500")
    assert is_own("/long?404") and not is_own("/long?503")


@pytest.mark.parametrize("path", ["/long", "/page", "/other", "/file"])
def test_the_replaced_page_leaves_the_connection_in_step(site, path):
    httpd = site("CGatewayErrorOverride 404")
    with httpd.connection() as connection:
        for method in ("GET", "HEAD", "GET"):
            answer = connection.request(f"{path}?404", method)
            assert answer.status == 404 and b"application" not in answer.body
        body = b"x" * 300000
        assert connection.request(f"{path}?404", "POST", body).status == 404
        assert connection.get("/page?200").text == OWN


def test_the_replaced_page_is_read_to_its_end_and_closed(site):
    httpd = site("CGatewayErrorOverride 404")
    assert httpd.get("/streamed?404").status == 404
    until(lambda: httpd.get("/closed").text == "/streamed", "close() to be called")


def test_an_exception_in_the_replaced_page_is_logged_and_the_status_stays(site):
    httpd = site("CGatewayErrorOverride 404", 'ErrorDocument 404 "not here"')
    httpd.expect_log("CGW0121")
    answer = httpd.get("/boom?404")
    assert (answer.status, answer.text) == (404, "not here")
    httpd.wait_log("RuntimeError: boom in the error page")
