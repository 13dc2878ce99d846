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

# As Koji, Review Board and OpenStack have it: an Alias to a file that mod_wsgi runs, the
# prefix once more behind the file's name, and rules that stand in wrappers.
Define FORMS {root}/forms
<VirtualHost *:{port}>
    ServerName forms.example
    ErrorLog {root}/logs/forms.log
    WSGIDaemonProcess forms processes=1 threads=2 {user}
    <IfDefine !UNDEFINED>
        WSGIProcessGroup forms
    </IfDefine>
    <IfDefine UNDEFINED>
        ServerAlias undefined.example
    </IfDefine>
    Alias /aliased ${{FORMS}}/alias.py
    <Directory ${{FORMS}}>
        Options +ExecCGI
        <Files alias.py>
            SetHandler wsgi-script
            WSGICallableObject other
        </Files>
        <IfModule mod_authz_core.c>
            Require all granted
        </IfModule>
        <IfModule !mod_authz_core.c>
            Order deny,allow
            Deny from all
        </IfModule>
    </Directory>
    Alias /whole/static {root}/static
    <Location /api>
        WSGIPassAuthorization On
    </Location>
    <Location /api/secret>
        Require all denied
    </Location>
    <Directory {root}/ruled>
        <IfVersion >= 2.4>
            AuthType Basic
            AuthName ruled
            AuthUserFile {root}/users
            Require valid-user
        </IfVersion>
    </Directory>
    WSGIScriptAlias /whole {root}/forms/whole.wsgi/whole
    WSGIScriptAliasMatch ^(.*) {root}/ruled/ruled.wsgi$1
</VirtualHost>
Undefine FORMS

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
    ("forms.example", "/aliased/x", {}),
    ("forms.example", "/aliased", {}),
    ("forms.example", "/whole/x", {}),
    ("forms.example", "/whole", {}),
    ("forms.example", "/whole/static/x.txt", {}),
    ("forms.example", "/x", {}),
    ("forms.example", "/x", PASSWORD),
    ("forms.example", "/api/x", PASSWORD),
    ("forms.example", "/api/secret", PASSWORD),
]


def convert(path, *options):
    run = subprocess.run([CONVERTER, *options, path], capture_output=True, text=True,
                         timeout=PATIENCE)
    assert run.returncode in (0, 1), run.stderr
    return run


def prepare(httpd, other):
    for directory in ("libs/one", "libs/two", "static", "closed", "forms", "ruled"):
        httpd.mkdir(directory)
    httpd.mkdir("home dir")
    for path in ("apps/answers.wsgi", "closed/answers.wsgi", "forms/alias.py",
                 "forms/whole.wsgi", "ruled/ruled.wsgi"):
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
    httpd.expected += [re.compile(r"\[wsgi:(warn|error)\]"), re.compile("AH0004[56]"),
                       re.compile("AH01630")]
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
    ("WSGIScriptAlias / /x.wsgi process-group=elsewhere\n", 1,
     ["CGatewayMount / elsewhere"]),
    ("WSGIScriptAlias /a /x.wsgi/b\n", 1, ["/b behind the file's name"]),
    ("WSGIImportScript /other.py process-group=x\n", 1, ["import it in the .wsgi file"]),
    ("<IfDefine X>\nWSGIScriptAlias / /x.wsgi\n</IfDefine>\n"
     "WSGIScriptAlias / /y.wsgi\n", 1, ["convert again with -D NAME", "/y.wsgi"]),
    ("WSGIScriptAlias / /x/y.wsgi\n<If \"-n 'x'\">\nWSGICallableObject z\n</If>\n", 1,
     ["<If> is not all of an application"]),
    ("<VirtualHost *:80>\nDocumentRoot /srv\nAddHandler wsgi-script .py\n"
     "</VirtualHost>\n", 1, ["CGatewayMount", '<FilesMatch "\\.(py)$">',
                             "Require all denied"]),
    ("WSGIDaemonProcess x maximum-requests=${N} threads=1000 queue-timeout=1000000\n"
     "WSGIScriptAlias / /x.wsgi process-group=x\n", 0,
     ["CGatewayMaxRequests ${N}", "CGatewayThreads 512", "CGatewayQueueTimeout 86400"]),
    ("WSGIDaemonProcess x threads=3\nSetEnv GROUP x\nWSGIProcessGroup %{ENV:GROUP}\n"
     "WSGIScriptAlias / /x.wsgi\n", 0, ["CGatewayThreads 3"]),
    ("<Macro App $name>\nWSGIDaemonProcess $name\nWSGIScriptAlias /$name /$name.wsgi "
     "process-group=$name\n</Macro>\n", 0, ["<CGatewayGroup $name>",
                                            "CGatewayMount /$name $name"]),
    ("<Directory /srv>\nAuthBasicProvider file wsgi\nWSGIAuthUserScript /srv/a.wsgi\n"
     "Require not wsgi-group x\nRequire wsgi-group staff\n</Directory>\n", 1,
     ["AuthBasicProvider file cgateway", "Require not cgateway-group x",
      "\nRequire cgateway-group staff", "CGatewayAuthFunctions"]),
    ("Include nowhere.conf\n", 1, ["Include nowhere.conf"]),
    ("<VirtualHost *:80>\nServerName a\nAlias /static/ /srv/static/\n"
     "WSGIScriptAlias / /x.wsgi\n</VirtualHost>\n", 0,
     ["\nCGatewayPassAuthorization Off\n"]),
])
def test_what_differs_is_said(tmp_path, text, exit_code, words):
    run = converted(tmp_path, text)
    assert run.returncode == exit_code, run.stdout + run.stderr
    assert bool(run.stderr) == bool(exit_code)
    for word in words:
        assert word in run.stdout, run.stdout


def test_each_file_has_its_own_variables(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.conf").write_text(
            f"Define TDIR /srv/{name}\nWSGIDaemonProcess {name} threads=5\n"
            f"WSGIScriptAlias /{name} ${{TDIR}}/x.wsgi\n<Directory ${{TDIR}}>\n"
            f"WSGIProcessGroup {name}\n</Directory>\nUndefine TDIR\n")
    run = converted(tmp_path, "Include one.conf\nInclude two.conf\n")
    assert run.returncode == 0, run.stderr
    for name in ("one", "two"):
        assert f"    CGatewayApplication /srv/{name}/x.wsgi\n" in run.stdout
        assert f"CGatewayMount /{name} {name}\n" in run.stdout
    assert run.stdout.count("CGatewayThreads 5") == 2


def test_a_name_that_httpd_is_given_is_given_here_too(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text("<IfDefine X>\nWSGIScriptAlias / /x.wsgi\n</IfDefine>\n"
                    "<IfDefine !X>\nWSGIScriptAlias / /y.wsgi\n</IfDefine>\n")
    run = convert(path, "-D", "X")
    assert "CGatewayApplication /x.wsgi" in run.stdout
    assert "CGatewayApplication /y.wsgi" not in run.stdout


def test_djangos_users_need_no_script(tmp_path):
    (tmp_path / "wsgi.py").write_text(
        "from django.contrib.auth.handlers.modwsgi import check_password\n")
    run = converted(tmp_path, f"<Location /x>\nAuthBasicProvider wsgi\n"
                    f"WSGIAuthUserScript {tmp_path}/wsgi.py\n</Location>\n")
    assert run.returncode == 0 and "AuthBasicProvider cgateway" in run.stdout


def test_an_htaccess_that_no_longer_applies_is_told(tmp_path):
    for name in ("x.wsgi", ".htaccess"):
        (tmp_path / name).write_text("")
    run = converted(tmp_path, f"WSGIScriptAlias / {tmp_path}/x.wsgi\n"
                    f"<Directory {tmp_path}>\nAllowOverride All\n</Directory>\n")
    assert run.returncode == 1 and ".htaccess no longer applies" in run.stderr


def test_a_section_without_an_end_is_told(tmp_path):
    path = tmp_path / "site.conf"
    path.write_text("<VirtualHost *:80>\n")
    run = subprocess.run([CONVERTER, path], capture_output=True, text=True)
    assert run.returncode == 2 and "<VirtualHost> is not closed" in run.stderr


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
