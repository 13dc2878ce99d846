# SPDX-License-Identifier: Apache-2.0
"""Applications that others wrote, with the clients that people use them with."""

import filecmp
import hashlib
import html.parser
import json
import random
import subprocess

from harness import interpreters
from harness.paths import PATIENCE
from harness.sites import Site

MERCURIAL = "mercurial==6.9.5"
FLASK = "flask==3.0.3"

HGWEB = """\
from mercurial.hgweb import hgweb
application = hgweb({repository!r})
"""
HGRC = """\
[web]
allow-push = *
push_ssl = false
"""


class Hg:
    """The hg of a virtual environment, without this machine's configuration."""

    def __init__(self, environment):
        # Not by its first line, which names where the environment was made.
        self.program = [environment / "bin" / "python3", environment / "bin" / "hg"]

    def __call__(self, *arguments, **options):
        run = subprocess.run(
            [*self.program, "--noninteractive", *arguments], capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, cwd="/",
            env={"PATH": "/usr/bin:/bin", "HGRCPATH": "", "HGPLAIN": "1",
                 "HGUSER": "tester"}, **options)
        assert run.returncode == 0, f"hg {arguments}: {run.stdout}{run.stderr}"
        return run.stdout


def serve_repository(httpd, hg, environment):
    """An empty repository of httpd's user, who runs hgweb; returns its URL."""
    repository = httpd.mkdir("repository", owner=interpreters.HTTPD_USER)
    hg("init", repository, **interpreters.switch_user())
    hgrc = httpd.write("apps/hgrc", HGRC)
    app = httpd.app("hgweb.wsgi", HGWEB.format(repository=str(repository).encode()))
    httpd.vhost("a.example", f'CGatewayApplication "{app}"',
                f'CGatewayPython "{environment}"', f'CGatewayEnv HGRCPATH "{hgrc}"')
    httpd.start()
    return f"http://127.0.0.1:{httpd.port}/"


def test_mercurial_clones_and_pushes_through_hgweb(httpd):
    environment = interpreters.venv_for(httpd, MERCURIAL)
    hg = Hg(environment)
    url = serve_repository(httpd, hg, environment)
    first, second = httpd.root / "first", httpd.root / "second"
    content = random.Random(1).randbytes(500_000)
    hg("clone", url, first)
    (first / "data.bin").write_bytes(content)
    hg("-R", first, "commit", "--addremove", "-m", "a changeset to push")
    hg("-R", first, "push")
    hg("clone", url, second)
    assert (second / "data.bin").read_bytes() == content
    pushed, arrived = (hg("-R", clone, "log", "-r", "tip", "-T", "{node} {desc}")
                       for clone in (first, second))
    assert arrived == pushed
    assert "a changeset to push" in httpd.get("/rev/tip").text
    hg("-R", second, "verify")


FLASK_APP = """\
import hashlib
from flask import Flask, request
application = Flask(__name__)


def digest(chunks):
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


@application.put("/stream")
def stream():
    return digest(iter(lambda: request.stream.read(8192), b""))


@application.put("/data")
def data():
    return digest([request.get_data()])


@application.post("/form")
def form():
    file = request.files["file"]
    return {"title": request.form["title"], "name": file.filename,
            "type": file.mimetype, "digest": digest(file.stream)}
"""


def serve_flask(httpd):
    environment = interpreters.venv_for(httpd, FLASK)
    httpd.vhost("a.example",
                f'CGatewayApplication "{httpd.app("upload.wsgi", FLASK_APP)}"',
                f'CGatewayPython "{environment}"')
    httpd.start()


def a_file(httpd, size=700_001):
    """A file to send, and its digest."""
    content = random.Random(size).randbytes(size)
    path = httpd.root / "upload.bin"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def test_flask_reads_a_chunked_upload_of_curl(httpd):
    serve_flask(httpd)
    path, digest = a_file(httpd)
    for way in ("/stream", "/data"):
        run = httpd.curl(way, "--fail", "--verbose", "--upload-file", path,
                         "--header", "Transfer-Encoding: chunked")
        assert (run.returncode, run.stdout.decode()) == (0, digest), (way, run.stderr)
        sent = run.stderr.lower()
        assert b"> transfer-encoding: chunked" in sent and b"> content-length" not in sent


def test_flask_reads_a_multipart_upload_of_curl(httpd):
    serve_flask(httpd)
    path, digest = a_file(httpd)
    run = httpd.curl("/form", "--fail", "--form", "title=Grüße",
                     "--form", f"file=@{path};type=application/x-test")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"title": "Grüße", "name": "upload.bin",
                                      "type": "application/x-test", "digest": digest}


# ---- Django: the admin, and a large file ------------------------------------------

class AdminForm(html.parser.HTMLParser):
    """The hidden fields of a page's forms."""

    def __init__(self, page):
        super().__init__()
        self.hidden = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input" and attrs.get("type") == "hidden" and attrs.get("name"):
            self.hidden[attrs["name"]] = attrs.get("value") or ""


class Browser:
    """curl with cookies, as a person at a site's forms."""

    def __init__(self, httpd, host):
        self.httpd, self.host = httpd, host
        self.cookies = ["--cookie", httpd.root / "cookies",
                        "--cookie-jar", httpd.root / "cookies"]

    def get(self, path):
        return self.curl(path)

    def submit(self, path, **fields):
        """Fills in the form of a page; a value that begins with @ is a file."""
        fields = {**AdminForm(self.get(path)).hidden, **fields}
        options = [word for name, value in fields.items()
                   for word in ("--form", f"{name}={value}")]
        return self.curl(path, "--location", *options)

    def curl(self, path, *options):
        run = self.httpd.curl(path, "--fail", *self.cookies, *options, host=self.host)
        assert run.returncode == 0, (path, run.stderr, self.httpd.log(self.host))
        return run.stdout.decode()


def test_django_admin_takes_an_upload(httpd):
    shop = Site(httpd, "shop", "a.example", "shop.settings").populate()
    httpd.start()
    browser = Browser(httpd, "a.example")
    path, digest = a_file(httpd)
    path = path.rename(path.with_suffix(".png"))
    browser.submit("/admin/login/", username="admin", password="secret", next="/admin/")
    listing = browser.submit("/admin/store/product/add/", name="Teapot", price="9.50",
                             picture=f"@{path}")
    assert "Teapot" in listing
    [stored] = (shop.data / "media" / "pictures").iterdir()
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == digest


DJANGO_FILES = """\
import os
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test",
                   MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware"])
import django
django.setup()


def download(request):
    return FileResponse(open(os.environ["LARGE"], "rb"), as_attachment=True)


urlpatterns = [path("download", download)]
application = WSGIHandler()
"""


def test_django_sends_a_file_of_100_megabytes_whole_and_in_ranges(httpd):
    size = 100 << 20
    block = random.Random(2).randbytes(1 << 20)
    large = httpd.root / "large.bin"
    with large.open("wb") as out:
        for _ in range(100):
            out.write(block)
    httpd.wsgi(httpd.app("files.wsgi", DJANGO_FILES), f'CGatewayEnv LARGE "{large}"')
    httpd.start()
    target = httpd.root / "received.bin"
    assert httpd.curl("/download", "--fail", "--output", target).returncode == 0
    assert filecmp.cmp(large, target, shallow=False)
    for first, last in ((0, 9), ((1 << 20) - 5, (1 << 20) + 4), (size - 7, size - 1)):
        part = httpd.get("/download", headers={"Range": f"bytes={first}-{last}"})
        assert part.status == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert part.body == (block + block)[first % (1 << 20):][:last - first + 1]
    target.unlink()
    with target.open("wb") as out:
        out.write(block)
    resumed = httpd.curl("/download", "--fail", "--continue-at", "-", "--output", target)
    assert resumed.returncode == 0
    assert filecmp.cmp(large, target, shallow=False)


# ---- Django REST framework, Werkzeug -------------------------------------------------

REST_FRAMEWORK = "djangorestframework==3.15.2 django==5.2.*"
REST_APP = """\
import os
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes",
                    "rest_framework", "rest_framework.authtoken"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                           "NAME": os.environ["DATABASE"]}})
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Echo(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    def post(self, request):
        return Response({"user": request.user.username, "sent": request.data})


call_command("migrate", verbosity=0)
user, _ = User.objects.get_or_create(username="tester")
Token.objects.get_or_create(user=user, key="0123456789abcdef")
connections.close_all()
urlpatterns = [path("echo", Echo.as_view())]
application = WSGIHandler()
"""


def test_django_rest_framework_knows_its_user_by_token(httpd):
    environment = interpreters.venv_for(httpd, REST_FRAMEWORK)
    data = httpd.mkdir("data", owner=interpreters.HTTPD_USER)
    app = httpd.app("rest.wsgi", REST_APP)
    httpd.vhost("a.example", f'CGatewayApplication "{app}"',
                f'CGatewayPython "{environment}"', f'CGatewayEnv DATABASE "{data}/db"')
    httpd.start()
    sent = json.dumps({"text": "Grüße", "n": [1, 2]}).encode()
    headers = {"Content-Type": "application/json"}
    assert httpd.request("/echo", "POST", sent, headers).status == 401
    headers["Authorization"] = "Token 0123456789abcdef"
    answer = httpd.request("/echo", "POST", sent, headers)
    assert answer.json() == {"user": "tester", "sent": json.loads(sent)}


WERKZEUG_APP = """\
import hashlib
from werkzeug.wrappers import Request, Response


@Request.application
def application(request):
    total = hashlib.sha256()
    while chunk := request.stream.read(8192):
        total.update(chunk)
    return Response(total.hexdigest())
"""


def test_werkzeug_reads_a_chunked_upload(httpd):
    environment = interpreters.venv_for(httpd, FLASK)
    httpd.vhost("a.example",
                f'CGatewayApplication "{httpd.app("plain.wsgi", WERKZEUG_APP)}"',
                f'CGatewayPython "{environment}"')
    httpd.start()
    path, digest = a_file(httpd)
    content = path.read_bytes()
    pieces = (content[at:at + 10_007] for at in range(0, len(content), 10_007))
    assert httpd.request("/", "POST", pieces, chunked=True,
                         headers={"Transfer-Encoding": "chunked"}).text == digest


# ---- WebDAV, git ---------------------------------------------------------------------

WEBDAV = "wsgidav==4.4.0"
WEBDAV_APP = """\
import os
from wsgidav.wsgidav_app import WsgiDAVApp
application = WsgiDAVApp({
    "provider_mapping": {"/": os.environ["FILES"]},
    "simple_dc": {"user_mapping": {"*": {"tester": {"password": "secret"}}}},
    "lock_storage": True, "property_manager": True, "logging": {"enable": False}})
"""


def test_litmus_finds_nothing_in_wsgidav(httpd):
    """Locks and properties are in the memory of a process: there is one."""
    environment = interpreters.venv_for(httpd, WEBDAV)
    files = httpd.mkdir("files", owner=interpreters.HTTPD_USER)
    httpd.vhost("a.example",
                f'CGatewayApplication "{httpd.app("dav.wsgi", WEBDAV_APP)}"',
                f'CGatewayPython "{environment}"', f'CGatewayEnv FILES "{files}"',
                "CGatewayProcesses 1")
    httpd.start()
    run = subprocess.run(
        ["litmus", "--keep-going", f"http://127.0.0.1:{httpd.port}/", "tester", "secret"],
        capture_output=True, text=True, cwd=httpd.mkdir("litmus"), timeout=PATIENCE)
    assert run.returncode == 0 and "FAIL" not in run.stdout, run.stdout + run.stderr
    assert run.stdout.count(" 0 failed. 100.0%") == 5, run.stdout


DULWICH = "dulwich==0.22.8"
GIT_APP = """\
import os
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain
application = make_wsgi_chain(DictBackend({"/": Repo(os.environ["REPOSITORY"])}))
"""


def test_git_pushes_and_clones_through_dulwich(httpd):
    """git sends what is larger than http.postBuffer in chunks."""
    environment = interpreters.venv_for(httpd, DULWICH)
    repository = httpd.mkdir("repository", owner=interpreters.HTTPD_USER)
    first, second = httpd.mkdir("first"), httpd.root / "second"
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("git.wsgi", GIT_APP)}"',
                f'CGatewayPython "{environment}"', f'CGatewayEnv REPOSITORY "{repository}"')

    def git(directory, *arguments, **options):
        run = subprocess.run(
            ["git", "-c", "user.name=tester", "-c", "user.email=tester@example.com",
             "-c", "http.postBuffer=65536", "-C", directory, *arguments],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(httpd.root), "GIT_CURL_VERBOSE": "1",
                 "GIT_CONFIG_NOSYSTEM": "1"}, **options)
        assert run.returncode == 0, f"git {arguments}: {run.stdout}{run.stderr}"
        return run

    git(repository, "init", "--quiet", "--bare", "--initial-branch=main",
        **interpreters.switch_user())
    httpd.start()
    url = f"http://127.0.0.1:{httpd.port}/"
    git(first, "init", "--quiet", "--initial-branch=main")
    (first / "data.bin").write_bytes(random.Random(3).randbytes(500_000))
    git(first, "add", ".")
    git(first, "commit", "--quiet", "-m", "first")
    assert "transfer-encoding: chunked" in git(first, "push", url, "main").stderr.lower()
    git(httpd.root, "clone", "--quiet", url, second)
    assert filecmp.cmp(first / "data.bin", second / "data.bin", shallow=False)


# ---- an ASGI application, a Paste Deploy file -------------------------------------------

STARLETTE = "starlette==0.41.3 a2wsgi==1.10.8 python-multipart==0.0.20"
STARLETTE_APP = """\
import asyncio, hashlib
from a2wsgi import ASGIMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def form(request):
    async with request.form() as sent:
        return PlainTextResponse(hashlib.sha256(await sent["file"].read()).hexdigest())


async def parts():
    yield "first"
    await going_on.wait()
    yield " second"


async def stream(request):
    global going_on
    going_on = asyncio.Event()
    return StreamingResponse(parts())


async def go_on(request):
    going_on.set()
    return PlainTextResponse("")


application = ASGIMiddleware(Starlette(routes=[
    Route("/form", form, methods=["POST"]), Route("/stream", stream),
    Route("/go-on", go_on)]))
"""


def test_starlette_streams_through_a2wsgi(httpd):
    environment = interpreters.venv_for(httpd, STARLETTE)
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("asgi.wsgi", STARLETTE_APP)}"',
                f'CGatewayPython "{environment}"', "CGatewayProcesses 1")
    httpd.expect_log("CGW0412.*threads.*sockets")    # its event loop
    httpd.start()
    path, digest = a_file(httpd)
    assert httpd.curl("/form", "--fail", "--form", f"file=@{path}").stdout.decode() == digest
    with httpd.raw() as raw:
        raw.ask("/stream")
        assert b"second" not in raw.receive_until(b"first")
        assert httpd.get("/go-on").status == 200
        raw.receive_until(b"second")
