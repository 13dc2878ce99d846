# SPDX-License-Identifier: Apache-2.0
"""The same requests to the same application under mod_wsgi and under mod_cgateway,
in one httpd: the same environ, but for what docs/applications.md lists."""

import json
import re

import pytest

from harness.paths import HTTPD_MODULES, ROOT

MOD_WSGI = HTTPD_MODULES / "mod_wsgi.so"
pytestmark = pytest.mark.skipif(not MOD_WSGI.exists(), reason="mod_wsgi is not installed")

APP = '''
import json


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    told = {name: value if isinstance(value, (str, bool, int, tuple)) else "object"
            for name, value in environ.items()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([told, body.decode("latin-1")]).encode()]
'''
CHUNKED = ["Transfer-Encoding: chunked"]
SOME_HEADERS = [
    "X-A: 1", "X-A: 2", "X-Empty;", "X_Under: 1", "Proxy: x", "X.Dot: 1", "Cookie: b=2",
    "Content-Type: a/b", "Cookie: a=1", "Accept-Encoding: gzip", "TE: trailers",
    "Proxy-Authorization: Basic eDp5", "Authorization: Basic eDp5", "X-Latin: \udcfc",
    "Referer: http://x/", "X-Forwarded-Proto: https", "Range: lines=0-1",
    "If-None-Match: \"x\"", "Upgrade-Insecure-Requests: 1", "Content-MD5: x"]

# name: (path, options of curl, headers)
REQUESTS = {
    "plain": ("/", [], []),
    "escapes": ("/a%20b/%C3%BC//c;x=1/%FF/%5C?q=%20&b", [], []),
    "empty query": ("/p?", [], []),
    "dots": ("/a/../b/./c", [], []),
    "mount": ("/sub", [], []),
    "mount with slash": ("/sub/", [], []),
    "below a mount": ("/sub/x%20y", [], []),
    "nested mount": ("/sub/in/x", [], []),
    "slashes before a mount": ("//sub//x", [], []),
    "beside a mount": ("/subx", [], []),
    "form": ("/p", ["--data", "a=b"], []),
    "json": ("/p", ["--data", "{}"], ["Content-Type: application/json"]),
    "put": ("/p", ["--request", "PUT", "--data", "x" * 100000], []),
    "empty body": ("/p", ["--request", "POST"], ["Content-Length: 0"]),
    "expect": ("/p", ["--data", "x"], ["Expect: 100-continue"]),
    "chunked": ("/p", ["--data", "a=b"], CHUNKED),
    "options": ("/p", ["--request", "OPTIONS"], []),
    "webdav": ("/p", ["--request", "PROPFIND", "--data", "<a/>"], ["Depth: 1"]),
    "own method": ("/p", ["--request", "FROB"], []),
    "headers": ("/p", [], SOME_HEADERS),
    "old client": ("/p", ["--http1.0"], []),
    "rewritten": ("/old/x%20y?q", [], []),
    "error document": ("/static/lost?z", [], []),
    "error document of a post": ("/static/lost", ["--data", "abc"], []),
    "user": ("/in/x", ["--user", "ann:secret"], []),
}

# As docs/applications.md has them: keys that one of the two has, or whose value differs
# by nature; then those of single requests.
OURS = {"RAW_URI", "cgateway.group", "cgateway.client_disconnected",
        "cgateway.send_interim"}
THEIRS = {"PATH_TRANSLATED", "apache.version", "mod_wsgi.*"}
DIFFERENT = {"chunked": {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"},
             "error document of a post": {"CONTENT_LENGTH"}}
BY_NATURE = {"REMOTE_PORT", "SERVER_PORT"}

HOST = [
    "SetEnv SET value", "SetEnvIf User-Agent (curl).* BROWSER=$1",
    'Alias /static "{root}/static"', 'DocumentRoot "{root}/static"',
    "ErrorDocument 404 /sorry", "RewriteEngine On", "ServerAdmin me@a.example",
    "RewriteRule ^/old/(.*) /new/$1 [PT,E=REWRITTEN:$1]", "<Location /in>",
    "AuthType Basic", "AuthName own", 'AuthUserFile "{root}/passwords"',
    "Require valid-user", "</Location>"]
THEIR_HOST = [
    "WSGIDaemonProcess peer processes=2 threads=8", "WSGIProcessGroup peer",
    "WSGIApplicationGroup %{GLOBAL}", "WSGIPassAuthorization On",
    "WSGIChunkedRequest On", 'WSGIScriptAlias /sub/in "{app}"',
    'WSGIScriptAlias /sub "{app}"', 'WSGIScriptAlias / "{app}"']


@pytest.fixture
def sides(httpd):
    """The ports: (ours, theirs)."""
    httpd.load("rewrite", "auth_basic", "authn_file", "authz_user")
    httpd.mkdir("static")
    httpd.write("passwords", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
    app = httpd.app("side.wsgi", APP)
    lines = [line.replace("{root}", str(httpd.root)) for line in HOST]
    theirs = httpd.listen()
    httpd.main(f'LoadModule wsgi_module "{MOD_WSGI}"\n'
               f'WSGISocketPrefix "{httpd.root}/wsgi"')
    httpd.vhost("a.example", *lines,
                *[line.replace("{app}", str(app)) for line in THEIR_HOST], port=theirs)
    httpd.wsgi(app, "CGatewayMount /", "CGatewayMount /sub", "CGatewayMount /sub/in",
               *lines)
    httpd.start()
    return httpd.port, theirs


def ask(httpd, port, path, options, headers):
    words = [w for header in headers for w in ("--header", header)]
    run = httpd.curl(path, "--path-as-is", "--header", "Host: a.example", *options, *words,
                     port=port)
    assert run.returncode == 0, run.stderr
    told, body = json.loads(run.stdout)
    return told, body


def differences(ours, theirs):
    """Names that are not the same in both; all of mod_wsgi's own count as one."""
    names = {name for name in ours.keys() | theirs.keys()
             if ours.get(name) != theirs.get(name)}
    return {re.sub(r"^mod_wsgi\..*", "mod_wsgi.*", name) for name in names}


def test_the_environ_is_the_same_but_for_what_is_documented(httpd, sides):
    found = {}
    for name, request in REQUESTS.items():
        ours, theirs = (ask(httpd, port, *request) for port in sides)
        assert ours[1] == theirs[1], f"the body of {name}"
        found[name] = (differences(ours[0], theirs[0]) - BY_NATURE, ours[0], theirs[0])
    for name, (names, ours, theirs) in found.items():
        told = {n: (ours.get(n), theirs.get(n)) for n in names}
        assert names - OURS - THEIRS == DIFFERENT.get(name, set()), (name, told)
        assert OURS <= set(ours) and not OURS & set(theirs)
        assert not {n for n in ours if n in THEIRS or n.startswith("mod_wsgi.")}


def test_the_list_is_the_documented_one():
    text = (ROOT / "docs" / "applications.md").read_text()
    section = text.split("## Coming from mod_wsgi\n")[1].split("\n## ")[0]
    wanted = OURS | THEIRS | BY_NATURE | set().union(*DIFFERENT.values())
    table = set(re.findall(r"^\| `([\w.*]+)`", section, re.M))
    assert table == wanted - BY_NATURE
