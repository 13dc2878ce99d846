# SPDX-License-Identifier: Apache-2.0
"""The site's users as httpd's: AuthBasicProvider cgateway, Require cgateway-group."""

import base64
import statistics
import time

import pytest

from harness.paths import PYTHON
from harness.sites import Site

MODULES = ["auth_basic", "authz_user"]
USERS = """\
import os
def note(*words):
    with open({marks!r} + "/calls", "a") as file:
        file.write(" ".join(words) + "\\n")

def check_password(environ, user, password):
    note("check", user, environ.get("HTTP_AUTHORIZATION", "-"),
         str(any(password in str(value) for value in environ.values())),
         environ["REMOTE_ADDR"])
    if user == "raises":
        raise RuntimeError("the database is away")
    if user == "nonsense":
        return "yes"
    if user == "crash":
        os._exit(3)
    return password == "pass:w\\u00f6rd" if user in ("alice", "b\\u00f6b") else None

def groups_for_user(environ, user):
    note("groups", user)
    if user == "b\\u00f6b":
        return "text"
    return [b"editors", "site admins"]

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ.get("REMOTE_USER") or "-").encode()]
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(
        f"{user}:{password}".encode()).decode()}


ALICE = basic("alice", "pass:wörd")


class Protected:
    """A virtual host with a protected directory and an application with functions."""

    def __init__(self, httpd, marks, *lines, require="Require valid-user"):
        self.httpd, self.marks = httpd, marks
        httpd.load(*MODULES)
        httpd.write("code/users.py", USERS.format(marks=str(marks)))
        httpd.write("files/a.txt", "secret file")
        httpd.vhost(
            "a.example", "CGatewayApplication users", f"CGatewayPath {httpd.root}/code",
            f"CGatewayPython {PYTHON}", f"Alias /files {httpd.root}/files",
            "CGatewayAuthFunctions users:check_password users:groups_for_user",
            "<Location /files>", "AuthType Basic", 'AuthName "a"',
            "AuthBasicProvider cgateway", require, *lines, "</Location>")

    def status(self, headers=(), path="/files/a.txt"):
        return self.httpd.get(path, headers=headers).status

    def calls(self):
        path = self.marks / "calls"
        return path.read_text().splitlines() if path.exists() else []


def test_a_function_of_the_site_checks_passwords(httpd, marks):
    site = Protected(httpd, marks)
    httpd.expect_log("AH01617", "AH01618")
    httpd.start()
    assert site.status() == 401
    assert site.status(ALICE) == 200
    assert site.status(basic("böb", "pass:wörd")) == 200
    assert site.status(basic("alice", "wrong")) == 401
    assert site.status(basic("nobody", "pass:wörd")) == 401
    assert site.status(basic("alice", "")) == 401
    # the function sees neither the header nor the password but as its argument
    assert site.calls()[0] == "check alice - False 127.0.0.1"
    assert httpd.get("/").text == "-", "the application itself is not protected"


def test_a_right_password_is_kept_for_a_time_and_a_wrong_one_never(httpd, marks):
    site = Protected(httpd, marks, "CGatewayAuthCache 10min")
    httpd.expect_log("AH01617")
    httpd.start()
    with httpd.connection() as connection:      # one child of httpd
        for _ in range(5):
            assert connection.get("/files/a.txt", ALICE).status == 200
        assert len(site.calls()) == 1
        for _ in range(3):
            assert connection.get("/files/a.txt", basic("alice", "wrong")).status == 401
        assert len(site.calls()) == 4


def test_without_a_cache_each_request_asks(httpd, marks):
    site = Protected(httpd, marks, "CGatewayAuthCache 0")
    httpd.start()
    assert [site.status(ALICE) for _ in range(3)] == [200] * 3
    assert len(site.calls()) == 3


@pytest.mark.parametrize("require, status", [
    ("Require cgateway-group editors", 200),
    ('Require cgateway-group nobody "site admins"', 200),
    ("Require cgateway-group edit", 401),
    ("Require cgateway-group site", 401)])
def test_groups(httpd, marks, require, status):
    site = Protected(httpd, marks, require=require)
    httpd.expect_log("AH0166[0-9]", "AH01631")
    httpd.start()
    assert site.status() == 401
    assert site.status(ALICE) == status


@pytest.mark.parametrize("user, message", [
    ("raises", "the database is away"), ("nonsense", "CGW0470"),
    ("crash", "CGW0136.*ended before it answered")])
def test_a_function_that_fails_lets_nobody_in(httpd, marks, user, message):
    site = Protected(httpd, marks)
    httpd.expect_log("CGW0136", "CGW0213", "AH01617", r"a\.example: ", "CGW0121")
    httpd.start()
    assert site.status(ALICE) == 200, "the site works"
    assert site.status(basic(user, "x")) == 500
    httpd.wait_log(message)


def test_groups_that_are_no_list_let_nobody_in(httpd, marks):
    site = Protected(httpd, marks, require="Require cgateway-group e")
    httpd.expect_log("CGW0136", r"a\.example: ", "AH0163|AH0166")
    httpd.start()
    assert site.status(basic("böb", "pass:wörd")) == 500
    httpd.wait_log("CGW0471")


@pytest.mark.parametrize("lines, message", [
    (["CGatewayAuthFunctions users:missing"], "AttributeError"),
    (["CGatewayAuthFunctions nothing_there:x"], "ModuleNotFoundError"),
    (["CGatewayAuthGroup other"], "CGW0137.*other")])
def test_what_is_not_there_lets_nobody_in(httpd, marks, lines, message):
    site = Protected(httpd, marks, *lines)
    httpd.expect_log("CGW013[67]", r"a\.example: ", "CGW0121")
    httpd.start()
    assert site.status(ALICE) == 500
    httpd.wait_log(message)


def test_an_application_that_does_not_load_lets_nobody_in(httpd, marks):
    site = Protected(httpd, marks)
    httpd.write("code/users.py", "import nothing_there\n")
    httpd.expect_log("CGW0136", r"a\.example: ", "CGW0411", "CGW02[23][01]")
    httpd.start()
    assert site.status(ALICE) == 500


def test_the_group_is_that_of_the_url_or_the_one_that_is_named(httpd, marks):
    site = Protected(httpd, marks)
    httpd.write("code/tools.py", USERS.format(marks=str(marks)).replace("alice", "carol"))
    httpd.main(f"<CGatewayGroup tools>\nCGatewayApplication tools\n"
               f"CGatewayPath {httpd.root}/code\nCGatewayPython {PYTHON}\n"
               "CGatewayAuthFunctions tools:check_password\n</CGatewayGroup>\n".replace(
                   "CGatewayAuthFunctions tools:check_password\n", ""))
    httpd.vhost(
        "b.example", "CGatewayMount /tools tools", "CGatewayMount /more tools",
        f"Alias /files {httpd.root}/files",
        "CGatewayAuthFunctions tools:check_password",
        "<Location />", "AuthType Basic", "AuthName b", "AuthBasicProvider cgateway",
        "Require valid-user", "</Location>", "<Location /files/named>",
        "CGatewayAuthGroup a.example",
        "CGatewayAuthFunctions users:check_password", "</Location>")
    httpd.expect_log("AH01617", "AH01618")
    httpd.write("files/named/a.txt", "x")
    httpd.start()
    carol = basic("carol", "pass:wörd")
    for path in ("/tools/x", "/files/a.txt"):
        assert httpd.get(path, host="b.example", headers=ALICE).status == 401
        assert httpd.get(path, host="b.example", headers=carol).status == 200
    assert httpd.get("/tools/x", host="b.example", headers=carol).text == "carol"
    assert httpd.get("/files/named/a.txt", host="b.example", headers=ALICE).status == 200
    assert site.status(ALICE) == 200


# ---- Django ---------------------------------------------------------------------------

PEOPLE = """
from django.contrib.auth.models import Group, User
editors = Group.objects.create(name="site editors")
User.objects.create_user("erin", password="secret").groups.add(editors)
User.objects.create_user("gone", password="secret", is_active=False)
"""
LINES = ["<Location /static>", "AuthType Basic", "AuthName shop",
         "AuthBasicProvider cgateway", "Require valid-user", "CGatewayAuthCache 0",
         "</Location>", "<Location /static/store>",
         'Require cgateway-group "site editors"', "</Location>"]
CSS = "/static/admin/css/base.css"


@pytest.fixture
def shop(httpd):
    site = Site(httpd, "shop", "shop.example", "shop.settings", user="games")
    httpd.load(*MODULES)
    site.populate()
    site.manage("shell", "-c", PEOPLE)
    site.configure(*LINES)
    httpd.expect_log("AH01617", "AH01618", "AH0166[0-9]", "AH01631")
    httpd.start()
    return site


def test_djangos_users_and_groups_protect_static_files(shop):
    def status(path, user, password="secret"):
        return shop.get(path, headers=basic(user, password)).status

    assert shop.get(CSS).status == 401
    assert status(CSS, "erin") == 200 and status(CSS, "admin") == 200
    assert status(CSS, "erin", "wrong") == 401
    assert status(CSS, "gone") == 401 and status(CSS, "nobody") == 401
    assert status("/static/store/shop.css", "erin") == 200
    assert status("/static/store/shop.css", "admin") == 401, "in no such group"


def test_how_long_it_takes_does_not_tell_who_exists(shop):
    """A user that does not exist costs the hash of a wrong password."""
    def seconds(user):
        start = time.monotonic()
        assert shop.get(CSS, headers=basic(user, "wrong")).status == 401
        return time.monotonic() - start

    seconds("erin")
    known = statistics.median(seconds("erin") for _ in range(5))
    unknown = statistics.median(seconds("nobody") for _ in range(5))
    inactive = statistics.median(seconds("gone") for _ in range(5))
    assert min(unknown, inactive) > known / 4


def test_djangos_own_functions_can_be_named(shop):
    shop.configure(*LINES, "CGatewayAuthFunctions "
                   "django.contrib.auth.handlers.modwsgi:check_password "
                   "django.contrib.auth.handlers.modwsgi:groups_for_user")
    shop.httpd.graceful()
    assert shop.get("/static/store/shop.css", headers=basic("erin", "secret")).status == 200
    assert shop.get(CSS, headers=basic("nobody", "secret")).status == 401
