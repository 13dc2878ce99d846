# SPDX-License-Identifier: Apache-2.0
"""What is done for Django: its URL configuration is imported with the application."""

import os
import pathlib

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.load import Load
from harness.openloop import OpenLoop
from harness.paths import soak
from harness.sites import Site

BROKEN = {"raises": ("raise RuntimeError('no pages')", "RuntimeError: no pages"),
          "imports what is not there": ("import store.nothing", "No module named 'store.noth"),
          "has no patterns": ("urlpatterns = None", "ImproperlyConfigured"),
          "exits": ("raise SystemExit(3)", "SystemExit: 3")}
# As a form does whose choices are read from the database.
QUERY = "\nfrom store.models import Product\nCOUNT = Product.objects.count()\n"


@pytest.fixture
def shop(httpd):
    return Site(httpd, "shop", "a.example", "shop.settings").populate()


def urls(shop):
    return pathlib.Path(shop.code, "shop", "shop", "urls.py")


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_url_configuration_is_a_broken_deploy(httpd, shop, breakage):
    """Django itself would import it with the first request, and answer every one 500."""
    source, *words = BROKEN[breakage]
    httpd.expect_log("CGW0411", "CGW0221", "CGW0230", r"\] a\.example: ")
    httpd.start()
    whole = urls(shop).read_text()
    with Load(httpd, "/whoami") as load:
        until(lambda: load.answers, "the load before")
        urls(shop).write_text(source + "\n")
        httpd.graceful()
        httpd.wait_log("CGW0230")
        load.settle()
        urls(shop).write_text(whole)
        Ctl(httpd)("reload", "a.example")
        load.settle()
    assert load.failures == []
    assert Ctl(httpd).group("a.example")["generation"] == 3
    for word in (*words, r"which ROOT_URLCONF \(shop.urls\) names"):
        httpd.wait_log(word)


def test_check_finds_a_broken_url_configuration(httpd, shop):
    httpd.start()
    until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "the site")
    urls(shop).write_text(BROKEN["raises"][0])
    run = Ctl(httpd)("check", "a.example")
    assert run.returncode != 0
    assert "ROOT_URLCONF (shop.urls)" in run.stdout + run.stderr


def test_the_first_request_imports_no_view(httpd, shop):
    wrapper = httpd.write("sites/told.wsgi", """
import sys
from shop.wsgi import application as site
def application(environ, start_response):
    before = set(sys.modules)
    body = b"".join(site(environ, lambda *args: None))
    new = sorted(name for name in set(sys.modules) - before
                 if name.split(".")[0] in ("shop", "store", "whoami"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(new).encode()]
application.application = site
""")
    shop.configure(f'CGatewayApplication "{wrapper}"')
    httpd.start()
    assert shop.get("/whoami").text == "[]"


def test_a_query_while_it_is_imported_leaves_no_connection_to_share(httpd, shop):
    """Else each worker would have to import by itself (CGW0412)."""
    urls(shop).write_text(urls(shop).read_text() + QUERY)
    httpd.start()
    assert shop.get("/").status == 200
    until(lambda: len(httpd.group_processes("a.example")) == 3, "template and workers")
    database = str(shop.data)
    for pid in httpd.group_processes("a.example"):
        if pid in httpd.workers("a.example"):
            continue
        opened = [str(path.readlink()) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in opened if path.startswith(database)]


def test_an_application_that_merely_uses_django_is_left_alone(httpd, shop):
    wrapper = httpd.write("sites/orm.wsgi", """
import django
import django.core.handlers.wsgi
django.setup()
from wsgiref.simple_server import demo_app as application
""")
    urls(shop).write_text(BROKEN["raises"][0])
    shop.configure(f'CGatewayApplication "{wrapper}"')
    httpd.start()
    assert shop.get("/").text.startswith("Hello world!")


SALE = """
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from store.models import Product


@csrf_exempt
def sell(request):
    if request.method == "POST":
        Product.objects.create(name="sold", price=1)
    return HttpResponse("{version} %d" % Product.objects.filter(name="sold").count())


urlpatterns.append(path("sell", sell))
"""


def test_sites_are_deployed_under_load_and_every_request_is_done_once(httpd, shop):
    """Two projects, each with its own database; one of them is deployed, broken
    and mended, while it is written to. Its database has one row for each request."""
    httpd.expect_log("CGW0411", "CGW0221", "CGW0230", r"\] a\.example: ")
    Site(httpd, "blog", "b.example", "blog.settings").populate()
    whole = urls(shop).read_text()
    urls(shop).write_text(whole + SALE.format(version=0))
    httpd.start()
    until(lambda: Ctl(httpd).group("a.example")["state"] == "serving", "the shop")
    ways = [lambda: Ctl(httpd)("reload", "a.example"), httpd.graceful,
            lambda: os.utime(shop.code / "shop/shop/wsgi.py")]
    ways = soak(ways, ways[:1])
    with OpenLoop(httpd.port, [("a.example", "/sell")], 15, method="POST",
                  body=b"x") as sales, \
            OpenLoop(httpd.port, [("a.example", "/"), ("b.example", "/")], 20) as pages:
        until(lambda: len(sales.outcomes) > 5, "the load before")
        for version, deploy in enumerate(ways, 1):
            urls(shop).write_text("raise RuntimeError('no pages')\n")
            seen = len(httpd.log())
            deploy()
            until(lambda n=seen: "CGW0230" in httpd.log()[n:], "the broken one")
            urls(shop).write_text(whole + SALE.format(version=version))
            deploy()
            until(lambda v=version: sales.outcomes[-1].body.startswith(b"%d " % v),
                  "the version")
    assert [o for load in (sales, pages) for o in load.failures()
            if o.error != "stale"] == []
    done = sum(o.status == 200 for o in sales.outcomes)
    assert shop.get("/sell").text == f"{len(ways)} {done}"
