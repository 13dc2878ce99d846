# SPDX-License-Identifier: Apache-2.0
"""The reason for mod_cgateway: two sites in one httpd, each with its own settings."""

import concurrent.futures
import re
import urllib.parse

import pytest

from harness.httpd import until
from harness.paths import PRELOAD
from harness.sites import Site

REQUESTS = 10000
CLIENTS = 20
A, B = "a.example", "b.example"


@pytest.fixture
def two_shops(httpd):
    """The same project code as two virtual hosts."""
    sites = {A: Site(httpd, "shop", A, "shop.settings", user="games"),
             B: Site(httpd, "shop", B, "shop.settings_b", user="news")}
    return sites


def expected(host):
    return {A: ("shop.settings", "The Shop"),
            B: ("shop.settings_b", "The Other Shop")}[host]


def ask(httpd, numbers):
    """Requests to both sites in turn; returns (wrong answers, pids per site)."""
    wrong, pids = [], {A: set(), B: set()}
    with httpd.connection(A) as a, httpd.connection(B) as b:
        for number in numbers:
            connection = a if (number * 7 // 3) % 2 else b
            told = connection.get(f"/whoami?echo={number}").json()
            got = (told["settings"], told["site"])
            if got != expected(connection.host) or told["echo"] != str(number) or \
                    told["host"] != connection.host:
                wrong.append((connection.host, number, told))
            pids[connection.host].add(told["pid"])
    return wrong, pids


def test_ten_thousand_mixed_requests_get_their_own_settings(httpd, two_shops):
    httpd.start()
    for host in (A, B):
        until(lambda name=host: len(httpd.workers(name)) == 2, "both workers")
    total = REQUESTS // 10 if PRELOAD else REQUESTS
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(lambda first: ask(httpd, range(first, total, CLIENTS)),
                                range(CLIENTS)))
    assert [w for wrong, _ in results for w in wrong] == []
    pids = {host: set().union(*(p[host] for _, p in results)) for host in (A, B)}
    assert pids[A].isdisjoint(pids[B])
    assert {len(pids[A]), len(pids[B])} == {2}, "CGatewayProcesses is 2 by default"
    log = httpd.root / "logs" / "access.log"    # written behind the answer
    until(lambda: log.read_text().count("\n") == total, "the last line")
    assert all(" 200 " in line for line in log.read_text().splitlines())


def test_neither_environment_shows_the_other_or_httpd(httpd, two_shops):
    two_shops[A].configure("CGatewayEnv ONLY_A 1")
    two_shops[B].configure("CGatewayEnv ONLY_B 1")
    httpd.start()
    a, b = (two_shops[host].whoami()["environ"] for host in (A, B))
    # TZ: Django itself sets it, from TIME_ZONE
    base = {"PATH", "LANG", "HOME", "USER", "LOGNAME", "DJANGO_SETTINGS_MODULE",
            "SITE_DATA", "SITE_HOSTS", "TZ"}
    sanitizer = {"LD_PRELOAD", "ASAN_OPTIONS"} if PRELOAD else set()
    assert set(a) - sanitizer == base | {"ONLY_A"}
    assert set(b) - sanitizer == base | {"ONLY_B"}


def test_each_site_runs_as_its_own_user(httpd, two_shops, as_root):
    httpd.start()
    assert two_shops[A].whoami()["user"] == "games"
    assert two_shops[B].whoami()["user"] == "news"


def test_two_projects_with_pages_static_files_and_uploads(httpd):
    shop = Site(httpd, "shop", "shop.example", "shop.settings").populate()
    blog = Site(httpd, "blog", "blog.example", "blog.settings").populate()
    httpd.start()

    assert "Crème brûlée torch" in shop.get("/").text
    assert "Grüße" in blog.get("/").text
    assert "#0a6" in shop.get("/static/store/shop.css").text
    css = shop.get("/static/admin/css/base.css")
    assert (css.status, css.headers["Content-Type"]) == (200, "text/css")
    assert shop.get("/admin/").status == 302

    picture = upload(httpd, shop, "/add/", {"name": "Kettle", "price": "12.50"},
                     ("picture", "kettle.png", b"\x89PNG" + bytes(range(256)) * 2000))
    assert "Kettle" in shop.get("/").text
    page = shop.get(picture).text
    stored = re.search(r'src="(/media/[^"]+)"', page)[1]
    assert shop.get(stored).body == b"\x89PNG" + bytes(range(256)) * 2000

    upload(httpd, blog, "/post/two-sites/", {"author": "Bob", "text": "First!"},
           ("attachment", "notes.txt", b"n" * 100))
    assert "First!" in blog.get("/post/two-sites/").text


def test_a_form_without_its_csrf_token_is_refused(httpd):
    shop = Site(httpd, "shop", A, "shop.settings").populate()
    httpd.start()
    httpd.expect_log(r"Forbidden \(CSRF")
    answer = httpd.request("/add/", "POST", b"name=x&price=1", {
        "Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 403
    assert "<li><a" in shop.get("/").text


def test_the_admin_logs_in(httpd):
    shop = Site(httpd, "shop", A, "shop.settings").populate()
    httpd.start()
    page = shop.get("/admin/login/")
    cookie = page.headers["Set-Cookie"].split(";")[0]
    fields = {"username": "admin", "password": "secret", "next": "/admin/",
              "csrfmiddlewaretoken": token_of(page.text)}
    answer = httpd.request(
        "/admin/login/", "POST", urllib.parse.urlencode(fields).encode(),
        {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie})
    assert answer.status == 302
    session = [c.split(";")[0] for c in answer.headers.get_all("Set-Cookie")]
    assert len(session) == 2, "csrftoken and sessionid, both"
    home = shop.get("/admin/", headers={"Cookie": "; ".join(session)})
    assert "Products" in home.text


def token_of(page):
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]


def upload(httpd, site, path, fields, file):
    """Posts a form with a file as a browser does; returns where it leads."""
    form = site.get(path)
    cookie = form.headers["Set-Cookie"].split(";")[0]
    fields = {**fields, "csrfmiddlewaretoken": token_of(form.text)}
    body = b"".join(b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
                    % (n.encode(), v.encode()) for n, v in fields.items())
    name, filename, data = file
    body += (b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n'
             b"Content-Type: application/octet-stream\r\n\r\n"
             % (name.encode(), filename.encode())) + data + b"\r\n--edge--\r\n"
    answer = httpd.request(path, "POST", body, {
        "Content-Type": "multipart/form-data; boundary=edge", "Cookie": cookie},
        host=site.host)
    assert answer.status == 302, answer.text[:2000]
    return answer.headers["Location"]
