# SPDX-License-Identifier: Apache-2.0
"""What httpd's own modules do before, around and after the application."""

import base64
import gzip
import hashlib
import ssl
import zlib

import pytest

from harness import tls
from harness.paths import HTTPD_USER
from harness.starters import one_process

# Tells its environ where nothing else is asked for, and counts what it was run for.
APP = r'''
import json
import os
import tempfile
import time

RUNS = []


def plain(start_response, text, *headers, status="200 OK", type="text/plain"):
    start_response(status, [("Content-Type", type), *headers])
    return [text.encode()]


def parts(count):
    for number in range(count):
        yield b"%07d\n" % number * 1000


def waiting(body):
    yield b"first "
    yield body.readline()
    yield b" last"


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/runs":
        return plain(start_response, json.dumps(RUNS))
    RUNS.append(environ["REQUEST_METHOD"] + " " + path)
    if path.startswith("/page"):
        return plain(start_response, "words " * 1000, ("ETag", '"page"'), type="text/html")
    if path == "/parts":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return parts(100)
    if path == "/waiting":
        start_response("200 OK", [("Content-Type", "text/html")])
        return waiting(environ["wsgi.input"])
    if path == "/file":
        file = tempfile.TemporaryFile()
        file.write(b"0123456789" * 10000)
        file.seek(0)
        start_response("200 OK", [("Content-Type", "text/html")])
        return environ["wsgi.file_wrapper"](file)
    if path == "/fresh":
        return plain(start_response, f"run {len(RUNS)}", ("Cache-Control", "max-age=600"))
    if path == "/stale":
        if environ.get("HTTP_IF_NONE_MATCH") == '"v1"':
            start_response("304 Not Modified", [("ETag", '"v1"'),
                                                ("Cache-Control", "max-age=0")])
            return []
        return plain(start_response, f"run {len(RUNS)}", ("ETag", '"v1"'),
                     ("Cache-Control", "max-age=0"))
    if path == "/private":
        return plain(start_response, f"run {len(RUNS)}",
                     ("Cache-Control", "private, max-age=600"))
    if path.startswith("/status/"):
        return plain(start_response, "the application's page",
                     status=path[8:] + " Reason")
    if path == "/raise":
        raise RuntimeError("as asked")
    if path == "/shtml":
        return plain(start_response, 'a <!--#echo var="REQUEST_METHOD" --> '
                     '<!--#include virtual="/part?q" --> z', type="text/html")
    if path == "/part":
        return plain(start_response, " ".join([
            "part", environ["REQUEST_METHOD"], environ["PATH_INFO"],
            environ["QUERY_STRING"], environ["REQUEST_URI"],
            environ.get("CONTENT_LENGTH", "none"),
            repr(environ["wsgi.input"].read())]), ("X-Part", "1"))
    told = {k: v for k, v in environ.items() if isinstance(v, str)}
    told["body"] = environ["wsgi.input"].read().decode("latin-1")
    return plain(start_response, json.dumps(told))
'''


site = one_process("modules.wsgi", APP)


def runs(httpd):
    return httpd.get("/runs").json()


# ---- who it is: authentication, certificates, addresses ---------------------------

def password_file(httpd):
    digest = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    return httpd.write("passwords", f"ann:{{SHA}}{digest}\n")


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(
        f"{user}:{password}".encode()).decode()}


def test_auth_basic(httpd, site):
    httpd.load("auth_basic", "authn_file", "authz_user")
    httpd.expect_log("AH01617", "AH01618")
    site("<Location /in>", "AuthType Basic", "AuthName own",
         f'AuthUserFile "{password_file(httpd)}"', "Require valid-user",
         "CGatewayPassAuthorization Off", "</Location>")
    refused = httpd.get("/in")
    assert refused.status == 401 and "Basic" in refused.headers["WWW-Authenticate"]
    assert httpd.get("/in", headers=basic("ann", "wrong")).status == 401
    assert runs(httpd) == []
    environ = httpd.get("/in", headers=basic("ann", "secret")).json()
    assert (environ["REMOTE_USER"], environ["AUTH_TYPE"]) == ("ann", "Basic")
    assert "HTTP_AUTHORIZATION" not in environ, "Off"
    environ = httpd.get("/out", headers=basic("ann", "secret")).json()
    assert not {"REMOTE_USER", "AUTH_TYPE"} & set(environ)
    assert environ["HTTP_AUTHORIZATION"] == basic("ann", "secret")["Authorization"]


def test_client_certificate(httpd, site):
    """The variables of mod_ssl, a certificate over several lines among them."""
    lines = tls.server_certificate(httpd, "SSLVerifyClient optional",
                                   f'SSLCACertificateFile "{httpd.root}/cert.pem"',
                                   "SSLOptions +StdEnvVars +ExportCertData")
    client = tls.client_certificate(httpd, "/CN=Ann/emailAddress=ann@a.example")
    port = httpd.listen()
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("modules.wsgi", APP)}"',
                "CGatewayProcesses 1", *lines, port=port)
    site()
    environ = httpd.get(port=port, tls=tls.trust(httpd, client)).json()
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert "Ann" in environ["SSL_CLIENT_S_DN"]
    assert environ["SSL_CLIENT_S_DN_CN"] == "Ann"
    assert ssl.PEM_cert_to_DER_cert(environ["SSL_CLIENT_CERT"]) == \
        ssl.PEM_cert_to_DER_cert(client[0].read_text())
    assert environ["HTTPS"] == "on" and environ["wsgi.url_scheme"] == "https"
    environ = httpd.get(port=port, tls=tls.trust(httpd)).json()
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert not environ.get("SSL_CLIENT_CERT")
    assert "SSL_CLIENT_VERIFY" not in httpd.get().json(), "the other port has no TLS"


def test_remoteip(httpd, site):
    httpd.load("remoteip")
    site("RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1")
    environ = httpd.get(headers={"X-Forwarded-For": "10.1.2.3, 192.0.2.7"}).json()
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert environ.get("HTTP_X_FORWARDED_FOR") == "10.1.2.3", "what was not trusted"
    assert httpd.get().json()["REMOTE_ADDR"] == "127.0.0.1"


# ---- where it goes: mod_rewrite, mod_setenvif -------------------------------------

def test_rewrite(httpd, site):
    httpd.load("rewrite")
    httpd.write("static/there.txt", "a file")
    site(f'DocumentRoot "{httpd.root}/static"', "RewriteEngine On",
         "RewriteRule ^/old/(.*)$ /new/$1 [PT,QSA,E=REWRITTEN:$1]",
         "RewriteRule ^/gone - [G]",
         "RewriteRule ^/moved http://a.example/new [R=301]",
         'RewriteCond "%{DOCUMENT_ROOT}%{REQUEST_URI}" -f',
         'RewriteRule ^ "%{DOCUMENT_ROOT}%{REQUEST_URI}" [L]')
    environ = httpd.get("/old/a%20b?q=1").json()
    assert {k: environ[k] for k in ("PATH_INFO", "REQUEST_URI", "QUERY_STRING",
                                    "REWRITTEN", "SCRIPT_NAME")} == {
        "PATH_INFO": "/new/a b", "REQUEST_URI": "/old/a%20b?q=1", "QUERY_STRING": "q=1",
        "REWRITTEN": "a b", "SCRIPT_NAME": ""}
    assert httpd.get("/gone").status == 410
    moved = httpd.get("/moved")
    assert (moved.status, moved.headers["Location"]) == (301, "http://a.example/new")
    assert httpd.get("/there.txt").text == "a file", "a file comes first"
    assert httpd.get("/not/there.txt").json()["PATH_INFO"] == "/not/there.txt"
    assert runs(httpd) == ["GET /new/a b", "GET /not/there.txt"]


def test_setenvif(httpd, site):
    site('SetEnvIf X-Forwarded-Proto "^https$" HTTPS=on',
         'SetEnvIf Request_URI "^/(\\w+)" FIRST=$1', "SetEnvIf X-Drop . !FIRST",
         "SetEnvIfExpr \"req('X-Tenant') =~ /^(t\\d+)$/\" TENANT=$1")
    environ = httpd.get("/shop/x", headers={"X-Forwarded-Proto": "https",
                                            "X-Tenant": "t12"}).json()
    assert (environ["FIRST"], environ["TENANT"], environ["HTTPS"],
            environ["wsgi.url_scheme"]) == ("shop", "t12", "on", "https")
    environ = httpd.get("/shop/x", headers={"X-Drop": "1", "X-Tenant": "evil"}).json()
    assert not {"FIRST", "TENANT", "HTTPS"} & set(environ)
    assert environ["wsgi.url_scheme"] == "http"


# ---- error documents ---------------------------------------------------------------

def test_an_error_of_httpd_is_answered_by_the_application(httpd, site):
    httpd.mkdir("static")
    httpd.expect_log("AH01630")
    site(f'Alias /static "{httpd.root}/static"', "ErrorDocument 404 /sorry?from=httpd",
         "ErrorDocument 403 /status/451", "<Location /closed>", "Require all denied",
         "</Location>")
    answer = httpd.get("/static/lost?x=1")
    environ = answer.json()
    assert answer.status == 404, "the application said 200, httpd knows better"
    assert {k: environ.get(k) for k in (
        "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "REDIRECT_STATUS", "REDIRECT_URL",
        "REDIRECT_QUERY_STRING", "REQUEST_URI")} == {
        "PATH_INFO": "/sorry", "QUERY_STRING": "from=httpd", "REQUEST_METHOD": "GET",
        "REDIRECT_STATUS": "404", "REDIRECT_URL": "/static/lost",
        "REDIRECT_QUERY_STRING": "x=1", "REQUEST_URI": "/static/lost?x=1"}
    closed = httpd.get("/closed")
    assert (closed.status, closed.text) == (451, "the application's page")


@pytest.mark.parametrize("buffer", ["64K", "0"])
def test_the_application_as_error_document_of_a_post_has_no_body(httpd, site, buffer):
    """httpd has thrown the body away, and the method is GET."""
    httpd.mkdir("static")
    site(f'Alias /static "{httpd.root}/static"', "ErrorDocument 404 /sorry",
         f"CGatewayBodyBuffer {buffer}")
    with httpd.connection() as connection:
        for options in (dict(body=b"x" * 100000),
                        dict(body=iter([b"x" * 100000]), chunked=True)):
            answer = connection.request("/static/lost", "POST", **options)
            environ = answer.json()
            assert answer.status == 404
            assert (environ["REQUEST_METHOD"], environ["body"]) == ("GET", "")
            assert environ["REDIRECT_REQUEST_METHOD"] == "POST"
            assert "CONTENT_LENGTH" not in environ
            assert "HTTP_TRANSFER_ENCODING" not in environ
            assert connection.get("/next").json()["PATH_INFO"] == "/next"


def test_the_application_says_what_a_413_means(httpd, site):
    site("LimitRequestBody 1000", "ErrorDocument 413 /too-large")
    answer = httpd.curl("/read", "--data-binary", "x" * 2000, "--write-out",
                        " %{http_code}")
    assert b'"PATH_INFO": "/too-large"' in answer.stdout
    assert answer.stdout.endswith(b" 413")


def test_the_user_of_the_original_request_is_known_to_the_error_document(httpd, site):
    httpd.load("auth_basic", "authn_file", "authz_user")
    site("<Location /in>", "AuthType Basic", "AuthName own",
         f'AuthUserFile "{password_file(httpd)}"', "Require valid-user", "</Location>",
         f'Alias /in/files "{httpd.mkdir("static")}"', "ErrorDocument 404 /sorry")
    environ = httpd.get("/in/files/lost", headers=basic("ann", "secret")).json()
    assert environ["PATH_INFO"] == "/sorry" and environ["REMOTE_USER"] == "ann"


def test_an_error_of_the_application_is_answered_by_a_file_and_by_itself(httpd, site):
    httpd.write("static/lost.html", "a file of httpd")
    httpd.expect_log("CGW0121")
    site(f'Alias /static "{httpd.root}/static"', "CGatewayErrorOverride 404 410",
         "ErrorDocument 404 /static/lost.html", "ErrorDocument 410 /gone",
         "ErrorDocument 500 /oops")
    with httpd.connection() as connection:
        answer = connection.get("/status/404")
        assert (answer.status, answer.text) == (404, "a file of httpd")
        answer = connection.get("/status/410")
        assert answer.status == 410 and answer.json()["REDIRECT_URL"] == "/status/410"
        answer = connection.request("/raise", "POST", b"x" * 1000)
        environ = answer.json()
        assert answer.status == 500 and environ["PATH_INFO"] == "/oops"
        assert (environ["REDIRECT_STATUS"], environ["body"]) == ("500", "")
        assert connection.request("/status/404", "HEAD").body == b""
        assert connection.get("/last").json()["PATH_INFO"] == "/last"


def test_an_error_document_that_fails_too_ends_in_httpd_s_page(httpd, site):
    httpd.expect_log("CGW0121")
    site("ErrorDocument 500 /raise")
    answer = httpd.get("/raise")
    assert answer.status == 500 and "Internal Server Error" in answer.text
    assert runs(httpd) == ["GET /raise", "GET /raise"]


# ---- pages within pages: mod_include ----------------------------------------------

def test_a_page_of_httpd_includes_the_application(httpd, site):
    httpd.load("include")
    httpd.write("static/page.shtml", 'a <!--#include virtual="/part?q=1" --> z')
    httpd.write("static/broken.shtml", 'a <!--#include virtual="/raise" --> z')
    httpd.expect_log("CGW0121", "AH01356: |unable to include")
    site(f'Alias /static "{httpd.root}/static"', f'<Directory "{httpd.root}/static">',
         "Options +Includes", "AddOutputFilter INCLUDES .shtml", "</Directory>")
    with httpd.connection() as connection:
        answer = connection.get("/static/page.shtml")
        assert answer.text == ("a part GET /part q=1 /static/page.shtml none b'' z")
        assert "X-Part" not in answer.headers
        answer = connection.request("/static/page.shtml", "POST", b"body")
        assert "b''" in answer.text, "the body is the page's"
        broken = connection.get("/static/broken.shtml").text
        assert broken.startswith("a ") and broken.endswith(" z")
        assert "error" in broken
        assert connection.get("/last").json()["PATH_INFO"] == "/last"


def test_a_page_of_the_application_includes_another(httpd, site):
    httpd.load("include")
    site("<Location /shtml>", "Options +Includes", "SetOutputFilter INCLUDES",
         "</Location>")
    with httpd.connection() as connection:
        for _ in range(2):
            text = connection.get("/shtml").text
            assert text == "a GET part GET /part q /shtml none b'' z"
        assert connection.request("/shtml", "HEAD").body == b""
        assert connection.get("/last").json()["PATH_INFO"] == "/last"


# ---- what happens to bodies: mod_deflate, mod_ratelimit ---------------------------

GZIP = {"Accept-Encoding": "gzip"}


def test_deflate_compresses_every_kind_of_response(httpd, site):
    httpd.load("deflate", "filter")
    site("SetOutputFilter DEFLATE")
    with httpd.connection() as connection:
        page = connection.get("/page", GZIP)
        assert page.headers["Content-Encoding"] == "gzip"
        assert page.headers["Vary"] == "Accept-Encoding"
        assert page.headers["ETag"] == '"page-gzip"'
        assert gzip.decompress(page.body) == b"words " * 1000
        assert len(gzip.decompress(connection.get("/parts", GZIP).body)) == 800000
        assert gzip.decompress(connection.get("/file", GZIP).body) == b"0123456789" * 10000
        plain = connection.get("/page")
        assert plain.text == "words " * 1000
        for status in (204, 304):
            assert connection.get(f"/status/{status}", GZIP).status == status


def test_head_is_get_only_where_a_filter_makes_headers_from_the_body(httpd, site):
    httpd.load("deflate", "filter", "expires")
    site("Header set X-Frame-Options DENY", "ExpiresActive On",
         'ExpiresDefault "access plus 1 hour"', "<Location /page/packed>",
         "SetOutputFilter DEFLATE", "</Location>", "<Location /page/typed>",
         "AddOutputFilterByType DEFLATE text/html", "</Location>")
    with httpd.connection() as connection:
        for path in ("/page", "/page/packed", "/page/typed"):
            get = connection.get(path, GZIP)
            head = connection.request(path, "HEAD", headers=GZIP)
            assert head.body == b"" and len(get.body) > 0
            for name in ("Content-Encoding", "ETag", "Vary", "X-Frame-Options",
                         "Content-Length"):
                assert head.headers[name] == get.headers[name], (path, name)
    assert runs(httpd) == ["GET /page", "HEAD /page", "GET /page/packed",
                           "GET /page/packed", "GET /page/typed", "GET /page/typed"]


def test_deflate_does_not_hold_back_what_precedes_a_pause(httpd, site):
    httpd.load("deflate", "filter")
    site("SetOutputFilter DEFLATE", "CGatewayBodyBuffer 0")
    unpack = zlib.decompressobj(wbits=31)
    with httpd.connection() as connection:
        connection.http.putrequest("POST", "/waiting", skip_host=True)
        for name, value in {"Host": "a.example", "Content-Length": "3", **GZIP}.items():
            connection.http.putheader(name, value)
        connection.http.endheaders()
        answer = connection.http.getresponse()
        text = b""
        while not text.startswith(b"first "):
            text += unpack.decompress(answer.read1())
        connection.http.send(b"go\n")
        text += unpack.decompress(answer.read())
    assert text == b"first go\n last"


def test_inflated_request_bodies_have_the_length_that_the_application_reads(httpd, site):
    httpd.load("deflate", "filter")
    site("SetInputFilter DEFLATE", "<Location /streamed>", "CGatewayBodyBuffer 0",
         "</Location>")
    body = b" ".join(b"%d" % number for number in range(10000))
    packed = zlib.compressobj(wbits=31)
    packed = packed.compress(body) + packed.flush()
    headers = {"Content-Encoding": "gzip"}
    environ = httpd.request("/kept", "POST", packed, headers).json()
    assert environ["body"].encode() == body
    assert environ["CONTENT_LENGTH"] == str(len(body))
    assert "HTTP_CONTENT_ENCODING" not in environ
    environ = httpd.request("/streamed", "POST", packed, headers).json()
    assert environ["body"].encode() == body
    assert "CONTENT_LENGTH" not in environ, "that of the packed body is no use"


def test_ratelimit_sends_everything_and_holds_no_worker(httpd, site):
    httpd.load("ratelimit")
    site("CGatewayThreads 1", "<Location /parts>", "SetOutputFilter RATE_LIMIT",
         "SetEnv rate-limit 400", "</Location>")
    with httpd.connection() as slow:
        slow.http.request("GET", "/parts", headers={"Host": "a.example"})
        answer = slow.http.getresponse()
        assert httpd.get("/other").json()["PATH_INFO"] == "/other"
        body = answer.read()
        assert len(body) == 800000 and body.endswith(b"0000099\n")


# ---- mod_cache ----------------------------------------------------------------------

@pytest.mark.parametrize("quick", ["On", "Off"])
def test_cache(httpd, site, quick):
    httpd.load("cache", "cache_disk")
    store = httpd.mkdir("cache", owner=HTTPD_USER)
    site("CacheEnable disk /", f'CacheRoot "{store}"', f"CacheQuickHandler {quick}",
         "CacheHeader on", "CacheDisable /runs")
    with httpd.connection() as connection:
        assert connection.get("/fresh").text == "run 1"
        cached = connection.get("/fresh")
        assert cached.text == "run 1" and cached.headers["X-Cache"].startswith("HIT")
        assert connection.request("/fresh", "HEAD").headers["Content-Length"] == "5"
        assert connection.get("/stale").text == "run 2"
        renewed = connection.get("/stale")
        assert (renewed.status, renewed.text) == (200, "run 2"), "the application's 304"
        assert connection.get("/private").text == "run 4"
        assert connection.get("/private").text == "run 5", "not to be kept"
        assert len(connection.get("/parts").body) == 800000
        assert runs(httpd) == ["GET /fresh", "GET /stale", "GET /stale", "GET /private",
                               "GET /private", "GET /parts"]


# ---- mod_headers ----------------------------------------------------------------------

def test_headers(httpd, site):
    httpd.expect_log("CGW0121")
    site("RequestHeader set X-Tenant t1", "RequestHeader unset X-Evil",
         "RequestHeader edit X-Edit a b", "Header set X-Frame-Options DENY",
         "Header always set Strict-Transport-Security max-age=1",
         "Header edit Content-Type plain fancy", "Header unset ETag")
    answer = httpd.get("/", headers={"X-Evil": "1", "X-Edit": "a"})
    environ = answer.json()
    assert (environ["HTTP_X_TENANT"], environ["HTTP_X_EDIT"]) == ("t1", "b")
    assert "HTTP_X_EVIL" not in environ
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Type"] == "text/fancy"
    assert answer.headers["Strict-Transport-Security"] == "max-age=1"
    assert httpd.get("/page").headers["ETag"] is None
    failed = httpd.get("/raise")
    assert failed.status == 500
    assert failed.headers["Strict-Transport-Security"] == "max-age=1", "always"
