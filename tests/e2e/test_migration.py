# SPDX-License-Identifier: Apache-2.0
"""mod_wsgi-to-cgateway: a configuration of mod_wsgi is served by mod_wsgi, converted,
and served by mod_cgateway, with the same answers."""

import base64
import hashlib
import re
import subprocess
import sys

import pytest

from harness.httpd import until
from harness.paths import AS_ROOT, APPS, HTTPD_MODULES, PATIENCE, PRELOAD, ROOT

sys.path.insert(0, str(ROOT / "worker"))
from cgateway.migrate import tables  # noqa: E402
from cgateway.migrate.reading import options_of, words_of  # noqa: E402

CONVERTER = ROOT / "tools" / "mod_wsgi-to-cgateway"
MOD_WSGI = HTTPD_MODULES / "mod_wsgi.so"
needs_mod_wsgi = pytest.mark.skipif(
    bool(PRELOAD) or not MOD_WSGI.exists(),
    reason="libapache2-mod-wsgi-py3 is not installed, or is no friend of sanitizers")
OTHER_USER = "daemon"

SITES = """\
<IfModule mod_wsgi.c>
WSGISocketPrefix {root}/wsgi
WSGIRestrictEmbedded Off
</IfModule>
Define APPS {root}/apps

# One site, as Django's documentation has it.
<VirtualHost *:{port}>
    ServerName daemon.example
    ErrorLog {root}/logs/daemon.log
    WSGIDaemonProcess site threads=3 \\
        display-name=%{{GROUP}} python-path={root}/libs/one:{root}/libs/two \\
        home='{root}/home dir' umask=0027 lang='C.UTF-8' maximum-requests=1000 \\
        inactivity-timeout=300 restart-interval=3600 startup-timeout=60 \\
        queue-timeout=45 cpu-priority=1 stack-size=1048576 listen-backlog=50 {user}
    wsgiprocessgroup site
    WSGIApplicationGroup %{{GLOBAL}}
    WSGIScriptAlias / "${{APPS}}/answers.wsgi"
    Alias /static {root}/static
    SetEnv FROM_SETENV yes
    <Directory {root}/apps>
        <Files answers.wsgi>
            Require all granted
        </Files>
    </Directory>
</VirtualHost>

# The same process group and name on another port, as certbot makes it.
<VirtualHost *:{other}>
    ServerName daemon.example
    ErrorLog {root}/logs/daemon-2.log
    WSGIScriptAlias / ${{APPS}}/answers.wsgi process-group=site
    WSGIPassAuthorization On
</VirtualHost>

# Within httpd, one file twice, one directory with a password.
<VirtualHost *:{port}>
    ServerName embedded.example
    ErrorLog {root}/logs/embedded.log
    WSGIScriptAlias /one ${{APPS}}/answers.wsgi
    WSGIScriptAlias /two/ ${{APPS}}/answers.wsgi/ callable-object=other
    WSGIScriptAlias /closed {root}/closed/answers.wsgi
    WSGIPassAuthorization On
    Include {root}/closed.conf
</VirtualHost>

# A part of a site in other processes; error pages by httpd; a regular expression.
<VirtualHost *:{port}>
    ServerName parts.example
    ErrorLog {root}/logs/parts.log
    WSGIDaemonProcess front processes=1 threads=2
    WSGIDaemonProcess admin processes=1 threads=2 deadlock-timeout=30
    WSGIProcessGroup front
    WSGIScriptAlias / ${{APPS}}/answers.wsgi
    WSGIErrorOverride On
    ErrorDocument 404 "not here"
    <Location /admin>
        WSGIProcessGroup admin
    </Location>
</VirtualHost>

# What the main server has, virtual hosts have.
WSGIScriptAlias /everywhere ${{APPS}}/answers.wsgi process-group=everywhere
WSGIDaemonProcess everywhere processes=1 threads=1
"""
CLOSED = """\
<Directory "{root}/closed">
    AuthType Basic
    AuthName "closed \\"area\\""
    AuthUserFile {root}/users
    Require user alice
    Options None
</Directory>
"""
PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"alice:secret").decode()}
# host, path, headers
REQUESTS = [
    ("daemon.example", "/a/b?home&lang", {}),
    ("daemon.example", "/a%20b", {"X-Mark": "m", **PASSWORD}),
    ("daemon.example", "/static/x.txt", {}),
    ("daemon.example", "/everywhere/x", {}),
    ("embedded.example", "/everywhere/x", {}),
    ("embedded.example", "/one", {}),
    ("embedded.example", "/one/x", PASSWORD),
    ("embedded.example", "/two/x", {}),
    ("embedded.example", "/nowhere", {}),
    ("embedded.example", "/closed/x", {}),
    ("embedded.example", "/closed/x", PASSWORD),
    ("parts.example", "/x", PASSWORD),
    ("parts.example", "/admin/x", {}),
    ("parts.example", "/lost", {}),
    ("main.example", "/everywhere/y", {}),
]


def convert(path, *options):
    run = subprocess.run([CONVERTER, *options, path], capture_output=True, text=True,
                         timeout=PATIENCE)
    assert run.returncode in (0, 1), run.stderr
    return run


def prepare(httpd, other):
    for directory in ("libs/one", "libs/two", "static", "closed"):
        httpd.mkdir(directory)
    httpd.mkdir("home dir")
    for path in ("apps/answers.wsgi", "closed/answers.wsgi"):
        httpd.write(path, (APPS / "answers.wsgi").read_text())
    httpd.write("static/x.txt", "static\n")
    digest = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    httpd.write("users", f"alice:{{SHA}}{digest}\n")
    httpd.write("closed.conf", CLOSED.format(root=httpd.root))
    user = f"user={OTHER_USER}" if AS_ROOT else ""
    return httpd.write("sites.conf", SITES.format(root=httpd.root, port=httpd.port,
                                                  other=other, user=user))


def ask(httpd, other):
    answers = []
    for host, path, headers in REQUESTS:
        answers.append(answer(httpd, host, path, headers, httpd.port))
    answers.append(answer(httpd, "daemon.example", "/tls", PASSWORD, other))
    response = httpd.request("/post", "POST", b"body", host="daemon.example")
    answers.append((response.status, response.json()))
    return answers


def answer(httpd, host, path, headers, port):
    def once():
        response = httpd.get(path, host=host, headers=headers, port=port)
        return response if response.status != 503 else None
    response = until(once, f"an answer from {host}{path}")
    told = response.json() if "json" in response.headers["Content-Type"] else \
        response.headers.get("WWW-Authenticate") or response.body
    return host, path, response.status, told


@needs_mod_wsgi
def test_the_converted_configuration_gives_the_same_answers(httpd):
    other = httpd.listen()
    sites = prepare(httpd, other)
    httpd.load("wsgi", "auth_basic", "authn_file", "authz_user")
    # mod_wsgi's processes stop slowly
    httpd.expected += [re.compile(r"\[wsgi:(warn|error)\]"), re.compile("AH0004[56]")]
    httpd.main(f'Include "{sites}"')
    httpd.start()
    before = ask(httpd, other)
    httpd.stop()

    run = convert(sites)
    assert run.returncode == 0 and "WSGI" not in without_comments(run.stdout)
    converted = httpd.write("converted.conf", run.stdout)
    httpd.modules.remove("wsgi")
    httpd.main(f'Include "{converted}"')
    test = httpd.configtest()
    assert "Syntax OK" in test.stdout and "CGW" not in test.stdout, test.stdout
    httpd.start()
    assert ask(httpd, other) == before
    assert before[0][3]["cwd"] == f"{httpd.root}/home dir", "the test tests something"
    assert before[10][3]["REMOTE_USER"] == "alice"


def without_comments(text):
    return "\n".join(one for one in text.splitlines() if not one.lstrip().startswith("#"))


# ---- what differs is said ---------------------------------------------------------

def converted(tmp_path, text):
    path = tmp_path / "site.conf"
    path.write_text(text)
    return convert(path)


@pytest.mark.parametrize("text, exit_code, words", [
    ("WSGIDaemonProcess x display-name=x\n", 0,
     ["#      display-name: ", "no WSGIScriptAlias that was read uses it"]),
    ("WSGIDaemonProcess x chroot=/jail cpu-time-limit=60\n"
     "WSGIScriptAlias / /x.wsgi process-group=x\n", 0,
     ["CGatewayChroot /jail", "CGatewayLimit cpu 60"]),
    ("WSGIDaemonProcess x new-option=1\n", 1, ["new-option: NOT CONVERTED"]),
    ("WSGINewDirective On\n", 1, ["# was: WSGINewDirective On", "unknown"]),
    ("AddHandler wsgi-script .wsgi\n", 1, ["CGatewayMount"]),
    ("WSGIScriptAlias / /srv/scripts/\n", 1, ["a directory of applications"]),
    ("WSGIScriptAliasMatch ^/([a-z]+)/x /srv/$1.wsgi\n", 1, ["<LocationMatch>"]),
    ("WSGIScriptAliasMatch ^/shop(/.*)?$ /srv/shop.wsgi$1\n", 0, ["CGatewayMount /shop"]),
    ("LoadFile /usr/lib/libpython3.11.so\n", 0, ["# was: LoadFile"]),
    ("LoadModule wsgi_module /opt/m/mod_wsgi.so\n", 0,
     ["LoadModule cgateway_module /opt/m/mod_cgateway.so"]),
    ("WSGIScriptAlias / /srv/x.wsgi\nWSGIPythonHome /srv/venv\n", 0,
     ["CGatewayPython /srv/venv", "ran within httpd's own processes"]),
    ("WSGIScriptAlias / /srv/x.wsgi\nWSGIScriptAlias /y /srv/y.wsgi\n", 0,
     ["never reached it"]),
    ("WSGITrustedProxies 10.0.0.1\n", 1, ["mod_remoteip"]),
])
def test_what_differs_is_said(tmp_path, text, exit_code, words):
    run = converted(tmp_path, text)
    assert run.returncode == exit_code, run.stdout + run.stderr
    assert bool(run.stderr) == bool(exit_code)
    for word in words:
        assert word in run.stdout, run.stdout


def test_other_lines_stay_as_they_are(tmp_path):
    text = ("# a comment\n<VirtualHost *:80>\n\tServerName x.example  \n"
            "    RewriteRule ^/a \\\n        /b [R]\n</VirtualHost>\n")
    assert converted(tmp_path, text).stdout == text


def test_an_include_without_mod_wsgi_stays_one(tmp_path):
    (tmp_path / "plain.conf").write_text("Listen 80\n")
    (tmp_path / "wsgi.conf").write_text("WSGIScriptAlias /x /srv/x.wsgi\n")
    out = converted(tmp_path, "Include plain.conf\nInclude wsgi.conf\n").stdout
    assert "\nInclude" in "\n" + out and "# was: Include wsgi.conf" in out
    assert "CGatewayMount /x" in out


def test_words_are_taken_apart_as_httpd_does():
    assert words_of("A \"b c\" 'd \"e' \"f \\\"g\\\"\" h") == ["A", "b c", 'd "e', 'f "g"', "h"]
    assert options_of(["lang='en", "US'", "user=x"]) == {"lang": "en US", "user": "x"}


# ---- the tables are complete ---------------------------------------------------------

def guide():
    return (ROOT / "docs" / "migrating-from-mod_wsgi.md").read_text()


@pytest.mark.parametrize("table", [tables.MOVED, tables.GONE, tables.BY_HAND])
def test_the_guide_has_every_directive(table):
    missing = [name for name in table if f"| `{name}` |" not in guide()]
    assert not missing


def test_the_guide_has_every_option():
    missing = [name for name in tables.OPTIONS if f"| `{name}` |" not in guide()]
    assert not missing


@needs_mod_wsgi
def test_the_tables_have_every_directive_of_the_installed_mod_wsgi():
    found = set(re.findall(rb"\0(WSGI[A-Z][A-Za-z]+[a-z])(?=\0)", MOD_WSGI.read_bytes()))
    names = {name.decode() for name in found}
    assert len(names) > 30
    assert names <= {*tables.MOVED, *tables.GONE, *tables.BY_HAND}
