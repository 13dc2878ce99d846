# SPDX-License-Identifier: Apache-2.0
"""What the directives do to requests and to processes."""

import os
import pwd
import re
import subprocess

import pytest

from harness import tls
from harness.httpd import until
from harness.paths import HTTPD_USER, PYTHON, ROOT

# The main thread, the watchdog, and the one that asks for the interpreter lock.
OTHER_THREADS = 3

GROUP = """\
<CGatewayGroup {name}>
    CGatewayApplication "{app}"
    CGatewayPython {python}
    CGatewayProcesses 1
    CGatewayEnv GROUP {name}
</CGatewayGroup>
"""


def group(httpd, name):
    return GROUP.format(name=name, app=httpd.app("info.wsgi"), python=PYTHON)


def where(answer):
    """(group, SCRIPT_NAME, PATH_INFO) of an answer of info.wsgi."""
    told = answer.json()
    return (told["environ"].get("GROUP"), told["request"]["SCRIPT_NAME"],
            told["request"]["PATH_INFO"])


# ---- precedence of httpd's own -----------------------------------------------------

def test_alias_keeps_precedence(httpd):
    httpd.write("static/style.css", "body {}")
    httpd.wsgi("info.wsgi", f'Alias /static "{httpd.root}/static"')
    httpd.start()
    css = httpd.get("/static/style.css")
    assert (css.text, css.headers["Content-Type"]) == ("body {}", "text/css")
    assert httpd.get("/static/missing.css").status == 404
    assert httpd.get("/statically").json()["request"]["PATH_INFO"] == "/statically"


def test_set_handler_none_takes_a_location_out(httpd):
    httpd.write("htdocs/plain/file.txt", "a file")
    httpd.load("dir")
    httpd.wsgi("info.wsgi", f'DocumentRoot "{httpd.root}/htdocs"',
               "<Location /plain>", "SetHandler None", "</Location>")
    httpd.start()
    assert httpd.get("/plain/file.txt").text == "a file"
    assert httpd.get("/other").json()["request"]["PATH_INFO"] == "/other"


def test_redirect_rewrite_and_access_control_keep_precedence(httpd):
    httpd.load("rewrite")
    httpd.wsgi("info.wsgi", "Redirect /old /new", "RewriteEngine On",
               "RewriteRule ^/short$ /long?x=1 [PT,E=FROM:rewrite]",
               "<Location /secret>", "Require all denied", "</Location>")
    httpd.expect_log(r"AH01630")
    httpd.start()
    assert httpd.get("/old/a").headers["Location"].endswith("/new/a")
    told = httpd.get("/short").json()["request"]
    assert (told["PATH_INFO"], told["QUERY_STRING"]) == ("/long", "x=1")
    assert told.get("FROM", told.get("REDIRECT_FROM")) == "rewrite"
    assert httpd.get("/secret").status == 403


@pytest.mark.parametrize("name", ["tools", "Tools"])
def test_set_handler_gives_a_location_to_a_group(httpd, name):
    """Also to one with capitals: SetHandler puts its value into lower case."""
    httpd.main(group(httpd, name))
    httpd.vhost("a.example", f'DocumentRoot "{httpd.mkdir("htdocs")}"',
                "<Location /tools>", f"SetHandler cgateway:{name}", "</Location>")
    httpd.start()
    assert where(httpd.get("/tools/x"))[0] == name
    assert httpd.get("/elsewhere").status == 404


def test_a_handler_of_an_undefined_group_is_a_500_that_names_it(httpd):
    httpd.wsgi("info.wsgi", "<Location /x>", "SetHandler cgateway:nobody", "</Location>")
    httpd.expect_log(r"CGW0140.*nobody")
    httpd.start()
    assert httpd.get("/x").status == 500
    httpd.wait_log(r"CGW0140.*<CGatewayGroup nobody>")


# ---- mounts ---------------------------------------------------------------------------

@pytest.mark.parametrize("path, expected", [
    ("/", ("own", "", "/")),
    ("/a", ("outer", "/a", "")),
    ("/a/", ("outer", "/a", "/")),
    ("/a/x", ("outer", "/a", "/x")),
    ("/a/b", ("inner", "/a/b", "")),
    ("/a/b/c", ("inner", "/a/b", "/c")),
    ("/a/bc", ("outer", "/a", "/bc")),
    ("/ab", ("own", "", "/ab")),
    ("/a%2fb", None),
    ("/a//b", ("inner", "/a/b", ""))])
def test_the_longest_mount_wins(httpd, path, expected):
    httpd.main(group(httpd, "outer") + group(httpd, "inner"))
    httpd.wsgi("info.wsgi", "CGatewayEnv GROUP own", "CGatewayMount /",
               "CGatewayMount /a outer", "CGatewayMount /a/b inner")
    httpd.start()
    answer = httpd.get(path)
    if expected is None:
        assert answer.status == 404, "httpd refuses encoded slashes"
    else:
        assert where(answer) == expected


def test_the_own_group_moves_to_its_prefix(httpd):
    httpd.wsgi("info.wsgi", "CGatewayMount /shop",
               f'DocumentRoot "{httpd.mkdir("htdocs")}"')
    httpd.start()
    assert where(httpd.get("/shop/x"))[1:] == ("/shop", "/x")
    assert httpd.get("/").status in (403, 404)


def test_one_group_in_two_virtual_hosts_is_one_set_of_processes(httpd):
    httpd.main(group(httpd, "shared"))
    httpd.vhost("a.example", "CGatewayMount /x shared")
    httpd.vhost("b.example", "CGatewayMount /y shared")
    httpd.start()
    a, b = httpd.get("/x/1").json(), httpd.get("/y/2", host="b.example").json()
    assert a["pid"] == b["pid"]
    assert (a["request"]["SCRIPT_NAME"], b["request"]["SCRIPT_NAME"]) == ("/x", "/y")


# ---- a virtual host that certbot copied -------------------------------------------

def test_equal_definitions_for_http_and_https_merge(httpd):
    certificate = tls.server_certificate(httpd, "SSLOptions +StdEnvVars")
    tls_port = httpd.listen()
    lines = [f'CGatewayApplication "{httpd.app("info.wsgi")}"',
             f"CGatewayPython {PYTHON}", "CGatewayProcesses 1"]
    httpd.vhost("a.example", *lines)
    httpd.vhost("a.example", *lines, *certificate, port=tls_port)
    httpd.start()
    plain = httpd.get().json()
    secure = httpd.get(port=tls_port, tls=tls.trust(httpd)).json()
    assert plain["pid"] == secure["pid"]
    assert plain["request"]["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in plain["request"]
    request = secure["request"]
    assert (request["wsgi.url_scheme"], request["HTTPS"]) == ("https", "on")
    assert request["SSL_PROTOCOL"].startswith("TLS")


# ---- processes ----------------------------------------------------------------------

def test_processes_and_threads(httpd):
    httpd.wsgi("info.wsgi", "CGatewayProcesses 3", "CGatewayThreads 5")
    httpd.start()
    httpd.get()
    until(lambda: [len(os.listdir(f"/proc/{w}/task")) - OTHER_THREADS
                   for w in httpd.workers("a.example")] == [5, 5, 5],
          "three workers with five request threads each")


def test_environment_directives(httpd):
    secrets = httpd.write("secrets.env", "# secret\nexport SECRET='a $value' # note\n"
                          'QUOTED="say \\"hi\\""\nFIRST=file\n')
    secrets.chmod(0o600)
    httpd.wsgi("info.wsgi", f'CGatewayEnvFile "{secrets}"',
               "CGatewayPassEnv HTTPD_SECRET", "CGatewayEnv FIRST directive",
               "CGatewayEnv EMPTY",
               "CGatewaySettings any.settings")
    httpd.start()
    environ = httpd.get().json()["environ"]
    wanted = {"SECRET": "a $value", "QUOTED": 'say "hi"', "FIRST": "directive",
              "EMPTY": "", "HTTPD_SECRET": "httpd's own",
              "DJANGO_SETTINGS_MODULE": "any.settings",
              "LANG": "C.UTF-8"}
    assert {k: environ.get(k) for k in wanted} == wanted
    assert "LC_MARK" not in environ


def test_umask_and_working_directory(httpd):
    directory = httpd.mkdir("work dir")
    httpd.wsgi("info.wsgi", "CGatewayUmask 027",
               f'CGatewayWorkingDirectory "{directory}"')
    httpd.start()
    told = httpd.get().json()
    assert (told["umask"], told["cwd"]) == (0o027, str(directory))
    assert str(directory) in told["path"][:2], "it is where imports begin"


def test_path_entries_come_first_and_in_order(httpd):
    one, two = httpd.mkdir("one"), httpd.mkdir("with space")
    httpd.write("one/which.py", "NAME = 'one'\n")
    httpd.write("with space/which.py", "NAME = 'two'\n")
    httpd.write("with space/site_app.py", """\
import which
def handle(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [which.NAME.encode()]
""")
    httpd.vhost("a.example", "CGatewayApplication site_app:handle",
                f"CGatewayPython {PYTHON}", f'CGatewayPath "{one}" "{two}"')
    httpd.start()
    assert httpd.get().text == "one"


def test_user_and_group(httpd, as_root):
    httpd.wsgi("info.wsgi", "CGatewayUser games", name="user.example")
    httpd.wsgi("info.wsgi", "CGatewayUser games:news", name="group.example")
    httpd.wsgi("info.wsgi", name="default.example")
    httpd.start()
    games, default = pwd.getpwnam("games"), pwd.getpwnam(HTTPD_USER)
    told = httpd.get(host="user.example").json()
    assert (told["uid"], told["gid"]) == (games.pw_uid, games.pw_gid)
    assert {told["environ"][n] for n in ("USER", "LOGNAME")} == {"games"}
    assert told["environ"]["HOME"] == games.pw_dir
    assert 0 not in told["groups"]
    other = httpd.get(host="group.example").json()
    assert (other["uid"], other["gid"]) == (games.pw_uid, 9)
    assert httpd.get(host="default.example").json()["uid"] == default.pw_uid


def test_another_group_s_worker_cannot_connect(httpd, as_root):
    """The socket is httpd's; the directory does not even list it."""
    app = httpd.app("intruder.wsgi", """\
import socket
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(environ["QUERY_STRING"])
        return [b"connected"]
    except OSError as error:
        return [type(error).__name__.encode()]
""")
    httpd.wsgi(app, "CGatewayUser games")
    httpd.wsgi("info.wsgi", "CGatewayUser news", name="b.example")
    httpd.start()
    assert httpd.get(f"/?{httpd.socket('b.example')}").text == "PermissionError"


def test_pass_authorization(httpd):
    httpd.wsgi("info.wsgi", "<Location /hidden>", "CGatewayPassAuthorization Off",
               "</Location>")
    httpd.start()
    headers = {"Authorization": "Bearer x"}
    assert httpd.get("/", headers=headers).json()["request"][
        "HTTP_AUTHORIZATION"] == "Bearer x"
    assert "HTTP_AUTHORIZATION" not in httpd.get(
        "/hidden", headers=headers).json()["request"]


def test_application_s_own_descriptors_are_few(httpd):
    """Nothing of httpd's is inherited: logs, listening sockets, other groups."""
    app = httpd.app("descriptors.wsgi", """\
import json, os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
    return [json.dumps(found).encode()]
""")
    httpd.wsgi(app)
    httpd.start()
    found = httpd.get().json()
    assert not [t for t in found.values() if str(httpd.root) in t and "/apps/" not in t]
    assert found["0"] == "/dev/null"


# ---- the example --------------------------------------------------------------------

def test_conf_example_is_served(httpd):
    """With its paths below the private directory, as a reader would change them."""
    sites = httpd.mkdir("srv")
    for name in ("shop", "blog"):
        httpd.write(f"srv/{name}/{name}/__init__.py", "")
        httpd.write(f"srv/{name}/{name}/wsgi.py",
                    (ROOT / "tests/apps/info.wsgi").read_text())
    httpd.write("srv/tools/tools.wsgi", (ROOT / "tests/apps/info.wsgi").read_text())
    httpd.write("srv/blog/secrets.env", "SECRET=s\n")
    httpd.write("srv/shop/static/x.css", "x")
    httpd.mkdir("srv/blog/static")
    text = (ROOT / "conf.example").read_text()
    text = re.sub(r"^LoadModule.*", f'Define CGW_SITES "{sites}"\nDefine CGW_PORT '
                  f"{httpd.port}", text, count=1, flags=re.M)
    httpd.main(text)
    httpd.start()
    shop = httpd.get("/a", host="shop.example.com").json()
    assert shop["environ"]["DJANGO_SETTINGS_MODULE"] == "shop.settings"
    assert httpd.get("/static/x.css", host="shop.example.com").text == "x"
    blog = httpd.get("/blog/b", host="blog.example.com").json()
    assert blog["environ"]["SECRET"] == "s"
    assert blog["umask"] == 0o027
    tools = httpd.get("/tools/c", host="blog.example.com").json()
    assert tools["request"]["SCRIPT_NAME"] == "/tools"
    until(lambda: httpd.get("/blog/ready", host="blog.example.com").status == 200,
          "readiness")
    assert "polyline" in httpd.get("/blog/status", host="blog.example.com").text
