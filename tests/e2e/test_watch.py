# SPDX-License-Identifier: Apache-2.0
"""CGatewayWatch: a changed file deploys the new code, as a graceful restart does."""

import os
import shutil
import subprocess

import pytest

from harness.httpd import until
from harness.paths import PYTHON

APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


def module(httpd, version, directory="site/shop", name="app.py"):
    return httpd.write(f"{directory}/{name}", APP % version)


def module_site(httpd, *lines, path="site", application="shop.app"):
    httpd.vhost("a.example", f"CGatewayApplication {application}",
                f'CGatewayPath "{httpd.root}/{path}"', f"CGatewayPython {PYTHON}", *lines)


def broken_on_purpose(httpd):
    httpd.expect_log(r"CGW0411", r"CGW0221", r"CGW023[01]", r"\] a\.example: ",
                     r"CGW0121.*no worker could be started")


def settles(httpd, text):
    """The new code answers, and the old one has gone."""
    until(lambda: httpd.get().text == text, f"{text!r}")
    until(lambda: len(httpd.workers("a.example")) == 2, "the old generation to end")
    assert {httpd.get().text for _ in range(10)} == {text}


def rewrite(path, text):
    """In place, as an editor that keeps the file."""
    with path.open("w") as file:
        file.write(text)


# ---- what is seen ---------------------------------------------------------------------

@pytest.mark.parametrize("way", ["replaced", "rewritten"])
def test_a_changed_wsgi_file_is_deployed(httpd, way):
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app)
    httpd.start()
    assert httpd.get().text == "1"
    if way == "replaced":
        httpd.app("version.wsgi", APP % "2")
    else:
        rewrite(app, APP % "2")
    settles(httpd, "2")
    httpd.wait_log(r"a\.example: reload: version\.wsgi has changed")


def test_a_touched_wsgi_file_reloads_other_modules(httpd):
    app = httpd.app("touched.wsgi", "from thing import application\n")
    httpd.write("apps/thing.py", APP % "1")
    httpd.wsgi(app)
    httpd.start()
    assert httpd.get().text == "1"
    httpd.write("apps/thing.py", APP % "22")
    os.utime(app)
    settles(httpd, "22")


@pytest.mark.parametrize("application", ["shop.app", "shop.app:application"])
def test_the_file_of_an_application_module_is_watched(httpd, application):
    module(httpd, "1")
    module_site(httpd, application=application)
    httpd.start()
    assert httpd.get().text == "1"
    module(httpd, "22")
    settles(httpd, "22")


def test_a_package_is_its_init_file(httpd):
    module(httpd, "1", name="__init__.py")
    module_site(httpd, application="shop")
    httpd.start()
    assert httpd.get().text == "1"
    module(httpd, "22", name="__init__.py")
    settles(httpd, "22")


def test_a_module_that_python_finds_by_a_pth_file_is_watched(httpd):
    """As pip install --editable leaves it in site-packages."""
    module(httpd, "1", "src/shop")
    packages = httpd.mkdir("lib/site-packages")
    httpd.write("lib/site-packages/shop.pth", f"{httpd.root}/src\n")
    module_site(httpd, path=packages.relative_to(httpd.root))
    httpd.start()
    assert httpd.get().text == "1"
    module(httpd, "22", "src/shop")
    settles(httpd, "22")


def test_a_switched_symbolic_link_deploys(httpd):
    """Releases side by side, and "current" one of them."""
    module(httpd, "1", "releases/1/shop")
    module(httpd, "22", "releases/2/shop")
    current = httpd.root / "current"
    current.symlink_to("releases/1")
    module_site(httpd, path="current")
    httpd.start()
    assert httpd.get().text == "1"
    (httpd.root / "new").symlink_to("releases/2")
    (httpd.root / "new").rename(current)
    settles(httpd, "22")
    module(httpd, "333", "releases/2/shop")
    settles(httpd, "333")


LATE = """\
import os, sys
sys.path.insert(0, os.path.dirname(__file__) + "/more")    # as many .wsgi files do
{broken}
def application(environ, start_response):
    import late_module, late_package, late_more
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [late_module.V + late_package.V + late_more.V]
"""


@pytest.mark.parametrize("application", ["app", "file"])
def test_old_code_imports_late_what_its_own_release_has(httpd, application):
    """Else a release that does not load is loaded after all, module by module."""
    environment = httpd.root / "releases/1/venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    shutil.copytree(environment, httpd.root / "releases/2/venv", symlinks=True)
    for number, broken in ("1", ""), ("2", "def f(:"):
        release = httpd.root / "releases" / number
        packages = next(release.glob("venv/lib/*/site-packages")).relative_to(httpd.root)
        httpd.write(f"releases/{number}/app.py", LATE.format(broken=broken))
        for name in ("late_module.py", "more/late_more.py"):
            httpd.write(f"releases/{number}/{name}", f"V = b'{number}'\n")
        httpd.write(f"{packages}/late_package.py", f"V = b'{number}'\n")
    current = httpd.root / "current"
    current.symlink_to("releases/1")
    httpd.vhost("a.example", f'CGatewayPath "{current}"', f'CGatewayPython "{current}/venv"',
                f'CGatewayApplication {application if application == "app" else current}'
                + ("/app.py" if application == "file" else ""))
    broken_on_purpose(httpd)
    httpd.start()
    until(lambda: len(httpd.workers("a.example")) == 2, "the first release")
    (httpd.root / "new").symlink_to("releases/2")
    (httpd.root / "new").rename(current)
    httpd.wait_log("CGW0230")
    assert {httpd.get().text for _ in range(10)} == {"111"}


def test_a_replaced_directory_deploys(httpd):
    module(httpd, "1")
    module(httpd, "22", "next/shop")
    module_site(httpd)
    httpd.start()
    assert httpd.get().text == "1"
    (httpd.root / "site").rename(httpd.root / "former")
    (httpd.root / "next").rename(httpd.root / "site")
    settles(httpd, "22")
    module(httpd, "333")
    settles(httpd, "333")


def test_a_directory_that_is_removed_and_made_again_deploys(httpd):
    broken_on_purpose(httpd)
    module(httpd, "1")
    module_site(httpd)
    httpd.start()
    assert httpd.get().text == "1"
    shutil.rmtree(httpd.root / "site")
    module(httpd, "22")
    settles(httpd, "22")


def test_files_that_are_named_are_watched_in_place_of_the_application(httpd):
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app, f'CGatewayWatch "{httpd.root}/reload"')
    httpd.start()
    assert httpd.get().text == "1"
    httpd.app("version.wsgi", APP % "2")
    httpd.write("reload", "")       # in one step, which is one change
    settles(httpd, "2")
    assert httpd.log().count("reload: reload has changed") == 1
    assert "version.wsgi has changed" not in httpd.log()


def test_on_beside_files_watches_both(httpd):
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app, "CGatewayWatch On", f'CGatewayWatch "{httpd.root}/reload"')
    httpd.start()
    assert httpd.get().text == "1"
    httpd.app("version.wsgi", APP % "2")
    settles(httpd, "2")
    (httpd.root / "reload").touch()
    httpd.wait_log("reload: reload has changed")


def test_off_watches_nothing_until_graceful(httpd):
    """A second group shows when events have been read."""
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app, "CGatewayWatch Off")
    httpd.wsgi(app, name="b.example")
    httpd.start()
    assert httpd.get().text == httpd.get(host="b.example").text == "1"
    httpd.app("version.wsgi", APP % "2")
    until(lambda: httpd.get(host="b.example").text == "2", "the other group")
    assert httpd.get().text == "1"
    httpd.graceful()
    settles(httpd, "2")
    assert "has changed" not in httpd.log()


def test_turned_off_by_graceful_it_is_off(httpd):
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app)
    httpd.wsgi(app, name="b.example")
    httpd.start()
    assert httpd.get().text == httpd.get(host="b.example").text == "1"
    httpd.wsgi(app, "CGatewayWatch Off")
    httpd.graceful()
    httpd.wait_log(r"a\.example/1: draining -> gone")
    httpd.app("version.wsgi", APP % "2")
    until(lambda: httpd.get(host="b.example").text == "2", "the other group")
    assert httpd.get().text == "1"


# ---- deploys that break -----------------------------------------------------------------

def test_a_file_half_written_recovers_by_itself(httpd):
    """The writer pauses in the middle of a line for as long as it takes."""
    broken_on_purpose(httpd)
    app = httpd.app("version.wsgi", APP % "1")
    httpd.wsgi(app)
    httpd.start()
    assert httpd.get().text == "1"
    source = APP % "2"
    with app.open("w") as file:
        file.write(source[:40])
        file.flush()
        os.utime(app)       # so that it is seen now
        httpd.wait_log("SyntaxError")
        httpd.wait_log("CGW0230")
        assert httpd.get().text == "1"
        file.write(source[40:])
    settles(httpd, "2")


def test_a_broken_application_that_never_served_recovers_at_once(httpd):
    """Not at the next attempt, which is long in coming by then."""
    broken_on_purpose(httpd)
    httpd.wsgi(httpd.app("broken.wsgi", "raise RuntimeError('not yet')\n"))
    httpd.start()
    httpd.wait_log(r"CGW0231.*in [48] s")
    assert httpd.get().status == 503
    httpd.app("broken.wsgi", APP % "mended")
    httpd.wait_log("reload: broken.wsgi has changed")
    until(lambda: httpd.get().status == 200, "the mended application")
    assert "CGW0231" not in httpd.log().split("reload: broken.wsgi has changed")[1]


def test_a_module_that_was_missing_is_noticed_when_it_comes(httpd):
    broken_on_purpose(httpd)
    httpd.mkdir("site/shop")
    module_site(httpd)
    httpd.start()
    httpd.wait_log(r"CGW0231.*in [48] s")
    module(httpd, "here")
    httpd.wait_log("reload: app.py has changed")
    until(lambda: httpd.get().status == 200, "the module")


def test_a_change_while_the_application_loads_is_not_missed(httpd):
    """The import is held in its middle; the file changes meanwhile."""
    marks = httpd.mkdir("marks", owner="www-data")
    slow = f"""
import os, time
open("{marks}/loading-" + str(os.getpid()), "w").close()
while not os.path.exists("{marks}/go-on"):
    time.sleep(0.01)
"""
    app = httpd.app("version.wsgi", slow + APP % "1")
    httpd.wsgi(app)
    httpd.start()
    until(lambda: list(marks.iterdir()), "the import")
    httpd.app("version.wsgi", slow + APP % "2")
    until(lambda: len(list(marks.iterdir())) >= 2, "the second import")
    (marks / "go-on").touch()
    settles(httpd, "2")


def test_an_application_that_writes_its_own_file_does_not_reload_for_ever(httpd):
    """Attempts are spaced, so that one comes to an end and serves."""
    app = httpd.app("version.wsgi", f"""
import os, time
os.utime("{httpd.root}/touched")
time.sleep(0.5)
""" + APP % "1")
    touched = httpd.write("touched", "", 0o666)
    httpd.wsgi(app, f'CGatewayWatch "{touched}"')
    httpd.start()
    httpd.wait_log("all workers accept requests")
    assert httpd.get().text == "1"
