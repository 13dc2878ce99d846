# SPDX-License-Identifier: Apache-2.0
"""The frameworks that people write applications with, below wsgiref's validator, by many
clients at a time: pages, bodies, streams, files and failures."""

import concurrent.futures
import random

import pytest

from harness import interpreters
from harness.httpd import until

# Of one virtual environment; all of them run on Python 3.9.
PACKAGES = ("django==4.2.16 flask==3.0.3 pyramid==2.0.2 bottle==0.13.2 falcon==4.0.2 "
            "webob==1.8.9 setuptools==75.8.0")

COMMON = """\
import os
from wsgiref.validate import validator

LARGE = os.environ["LARGE"]


def parts():
    for number in range(20):
        yield b"%02d" % number * 2500
"""
WRAPPED = """
unchecked = application
checked = validator(application)


def application(environ, start_response):
    # the validator forbids read() without a size, which PEP 3333's errata allow, and
    # the Content-Type that frameworks give a 204
    run = unchecked if environ["PATH_INFO"] in ("/echo", "/empty") else checked
    return run(environ, start_response)
"""

APPS = {
    "django": """
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test",
                   MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
import django
django.setup()


def fail(request):
    raise RuntimeError("as asked")


urlpatterns = [
    path("hello", lambda request: HttpResponse("hello " + request.GET["name"])),
    path("echo", lambda request: HttpResponse(request.body)),
    path("stream", lambda request: StreamingHttpResponse(parts())),
    path("file", lambda request: FileResponse(open(LARGE, "rb"))),
    path("empty", lambda request: HttpResponse(status=204)), path("fail", fail)]
application = WSGIHandler()
""",
    "flask": """
from flask import Flask, Response, request, send_file

application = Flask(__name__)


@application.get("/hello")
def hello():
    return "hello " + request.args["name"]


@application.post("/echo")
def echo():
    return request.get_data()


@application.get("/stream")
def stream():
    return Response(parts())


@application.get("/file")
def file():
    return send_file(LARGE)


@application.get("/empty")
def empty():
    return "", 204


@application.get("/fail")
def fail():
    raise RuntimeError("as asked")
""",
    "pyramid": """
from pyramid.config import Configurator
from pyramid.response import FileResponse, Response


def fail(request):
    raise RuntimeError("as asked")


with Configurator() as config:
    for name, view in {
            "hello": lambda request: Response("hello " + request.params["name"]),
            "echo": lambda request: Response(request.body),
            "stream": lambda request: Response(app_iter=parts()),
            "file": lambda request: FileResponse(LARGE, request=request),
            "empty": lambda request: Response(status=204), "fail": fail}.items():
        config.add_route(name, "/" + name)
        config.add_view(view, route_name=name)
    application = config.make_wsgi_app()
""",
    "bottle": """
import bottle

application = bottle.Bottle()
bottle.debug(False)


@application.get("/hello")
def hello():
    return "hello " + bottle.request.query.name


@application.post("/echo")
def echo():
    return bottle.request.body.read()


@application.get("/stream")
def stream():
    return parts()


@application.get("/file")
def file():
    return bottle.static_file(os.path.basename(LARGE), os.path.dirname(LARGE),
                              "application/octet-stream")


@application.get("/empty")
def empty():
    return bottle.HTTPResponse(status=204)


@application.get("/fail")
def fail():
    raise RuntimeError("as asked")
""",
    "falcon": """
import falcon


class View:
    def __init__(self, get, post=None):
        self.get, self.post = get, post

    def on_get(self, request, response):
        self.get(request, response)

    def on_post(self, request, response):
        self.post(request, response)


def hello(request, response):
    response.text = "hello " + request.get_param("name")


def echo(request, response):
    response.data = request.bounded_stream.read()


def stream(request, response):
    response.stream = parts()


def file(request, response):
    response.set_stream(open(LARGE, "rb"), os.path.getsize(LARGE))


def empty(request, response):
    response.status = falcon.HTTP_204


def fail(request, response):
    raise RuntimeError("as asked")


application = falcon.App()
for view in (hello, stream, file, empty, fail):
    application.add_route("/" + view.__name__, View(view))
application.add_route("/echo", View(None, echo))
""",
    "webob": """
from webob import Response, static
from webob.dec import wsgify


@wsgify
def application(request):
    name = request.path_info[1:]
    if name == "hello":
        return "hello " + request.GET["name"]
    if name == "echo":
        return Response(request.body)
    if name == "stream":
        return Response(app_iter=parts())
    if name == "file":
        return static.FileApp(LARGE)
    if name == "empty":
        return Response(status=204)
    raise RuntimeError("as asked")
"""}
STREAM = b"".join(b"%02d" % number * 2500 for number in range(20))
CLIENTS, ROUNDS = 6, 4


@pytest.fixture
def site(httpd):
    large = httpd.root / "large.bin"
    large.write_bytes(random.Random(7).randbytes(400_000))

    def start(framework):
        environment = interpreters.venv_for(httpd, PACKAGES)
        app = httpd.app("framework.wsgi", COMMON + APPS[framework] + WRAPPED)
        httpd.vhost("a.example", f'CGatewayApplication "{app}"',
                    f'CGatewayPython "{environment}"', f'CGatewayEnv LARGE "{large}"',
                    "CGatewayProcesses 2", "CGatewayThreads 3")
        httpd.expect_log("a.example: ")
        httpd.start()
        return large.read_bytes()
    return start


def exercise(httpd, large, client):
    """What one client asks for on one connection."""
    chance = random.Random(client)
    with httpd.connection() as connection:
        for number in range(ROUNDS):
            name = f"{client}-{number}"
            body = chance.randbytes(chance.choice([0, 10, 70_000, 300_000]))
            answer = connection.get(f"/hello?name={name}")
            assert (answer.status, answer.text) == (200, f"hello {name}")
            assert connection.request(f"/hello?name={name}", "HEAD").body == b""
            assert connection.request("/echo", "POST", body).body == body
            pieces = [body[at:at + 9999] for at in range(0, len(body), 9999)]
            assert connection.request("/echo", "POST", iter(pieces), chunked=True,
                                      headers={"Transfer-Encoding": "chunked"}
                                      ).body == body
            assert connection.get("/stream").body == STREAM
            assert connection.request("/stream", "HEAD").status in (200, 405)
            assert connection.get("/file").body == large
            assert connection.request("/file", "HEAD").body == b""
            part = connection.get("/file", headers={"Range": "bytes=100-299"})
            assert (part.status, part.body) in ((206, large[100:300]), (200, large))
            assert connection.get("/empty").status == 204
            assert connection.get("/fail").status == 500
            assert connection.get("/nowhere").status in (404, 500)


@pytest.mark.parametrize("framework", APPS)
def test_a_framework_serves_many_clients_by_the_rules(httpd, site, framework):
    large = site(framework)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda client: exercise(httpd, large, client), range(CLIENTS)))
    until(lambda: httpd.connections() == 0, "the workers to be free")
    assert "AssertionError" not in httpd.log(), "what the validator found"
