# SPDX-License-Identifier: Apache-2.0
"""cgateway-serve and `manage.py runcgateway`: what they serve, and that nothing is left."""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

import pytest

import private_httpd
from harness.client import Connection
from harness.httpd import until
from harness.interpreters import venv
from harness.paths import AS_ROOT, BUILD, EXAMPLES, PATIENCE, PRELOAD, PYTHON, ROOT

pytestmark = pytest.mark.skipif(bool(PRELOAD), reason="serves a plain build")
APP = """\
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s|" + os.environ.get("FROM_TERMINAL", "-") + "|"
             + environ["SCRIPT_NAME"] + "|" + environ["wsgi.url_scheme"]).encode()]
app = application
"""


@pytest.fixture(params=["invoking-user", "nobody"] if AS_ROOT else ["invoking-user"])
def place(request):
    """A directory of the user that the test is about, with a build that it can read."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="cgwserve"))
    top.chmod(0o755)
    place = Place(top, None if request.param == "invoking-user" else request.param)
    yield place
    place.end()
    left = private_httpd.processes(top)
    private_httpd.end_processes(left)
    shutil.rmtree(top)
    assert not left, "processes are left"
    assert not place.directories(), "files are left"


class Place:
    def __init__(self, top, user):
        self.top, self.user = top, user
        self.port = private_httpd.free_port()
        self.process = None
        self.output = open(top / "output", "a", encoding="utf-8")
        (top / "modules").mkdir()
        private_httpd.copy_build(BUILD, top / "modules")
        self.library = top / "modules" / "cgateway"
        self.program = top / "cgateway-serve"
        text = (ROOT / "tools" / "cgateway-serve").read_text()
        self.program.write_text(text.replace('LIBRARY = ""', f'LIBRARY = "{self.library}"'))
        self.program.chmod(0o755)
        (top / "tmp").mkdir()
        (top / "site").mkdir()
        self.own(top / "tmp")

    def own(self, path):
        if self.user:
            shutil.chown(path, self.user)
        elif AS_ROOT:
            path.chmod(0o755)   # root's children run as httpd's user

    def write(self, name, text):
        path = self.top / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.replace(path)
        return path

    def start(self, command, directory="site", env=None):
        switch = dict(user=self.user, group=self.user and "nogroup", extra_groups=[]) \
            if self.user else {}
        self.process = subprocess.Popen(
            command, cwd=self.top / directory, stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=self.output, start_new_session=True,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.top / "tmp"),
                 "FROM_TERMINAL": "yes", "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            **switch)
        return self

    def serve(self, *words):
        return self.start([self.program, "--port", str(self.port), *words])

    def text(self):
        """Not by self.output: its offset is where the programs write next."""
        return (self.top / "output").read_text(encoding="utf-8")

    def wait_for(self, text):
        until(lambda: text in self.text() or self.process.poll() is not None, text)
        assert text in self.text(), self.text()
        return self

    def ended(self):
        """The exit code of one that ends by itself."""
        return self.process.wait(PATIENCE)

    def end(self, number=signal.SIGINT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
        return self.process.returncode if self.process else 0

    def get(self, path="/", tls=None, headers=()):
        """An answer of the application, once it can serve."""
        def once():
            with Connection(self.port, "localhost", PATIENCE, tls) as connection:
                response = connection.get(path, headers)
            return response if response.status != 503 else None
        return until(once, f"an answer for {path}: {self.text()}")

    def directories(self):
        return sorted((self.top / "tmp").glob("cgw-serve-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                         ids=["ctrl-c", "sigterm", "sighup"])
def test_it_serves_in_the_foreground_and_leaves_nothing(place, number):
    place.write("hello.py", APP % "hello")
    place.serve("hello:app", "--processes", "1", "--threads", "2").wait_for("Ctrl-C ends it")
    assert place.get("/x").text == "hello|yes||http"
    assert place.directories()
    assert place.end(number) == 0
    assert '"GET /x HTTP/1.1" 200' in place.text() and "AH00489" not in place.text()
    assert place.text().endswith("Ended.\n")


def test_a_file_a_mount_static_files_and_a_clean_environment(place):
    place.write("run.wsgi", APP % "file")
    place.write("files/a.txt", "static")
    place.serve("run.wsgi", "--mount", "/shop", "--static", "/assets=files", "--clean-env",
                "--env", "FROM_TERMINAL=option", "--no-access-log")
    place.wait_for(f"http://localhost:{place.port}/shop/")
    assert place.get("/shop/x").text == "file|option|/shop|http"
    assert place.get("/assets/a.txt").text == "static"
    assert place.get("/elsewhere").status in (403, 404)
    place.end()
    assert "GET /" not in place.text()


def test_https_with_a_certificate_of_its_own(place):
    place.write("hello.py", APP % "hello")
    place.serve("hello", "--https-self-signed").wait_for("https://localhost")
    tls = ssl._create_unverified_context()
    assert place.get(tls=tls).text == "hello|yes||https"


def test_a_changed_file_reloads(place):
    place.write("hello.py", APP.replace('"%s|"', 'text.WORD + "|"').replace(
        "import os", "import os\nfrom package import text"))
    place.write("package/text.py", 'WORD = "one"\n')
    place.serve("hello", "--reload").wait_for("reloads on change")
    assert place.get().text.startswith("one|")
    place.write("package/text.py", 'WORD = "changed"\n')
    until(lambda: place.get().text.startswith("changed|"), "the new code")
    place.write("package/text.py", "WORD = \n")
    place.wait_for("SyntaxError")
    assert place.get().text.startswith("changed|"), "broken code does not replace the old"
    assert "package/text.py has changed: reloading" in place.text()


def test_a_broken_application_says_why_on_the_terminal(place):
    place.write("hello.py", "import nothing_of_that_name\n")
    place.serve("hello").wait_for("No module named 'nothing_of_that_name'")
    place.wait_for("CGW0411")
    with Connection(place.port, "localhost", PATIENCE) as connection:
        assert connection.get("/").status == 503


def test_when_it_is_killed_its_processes_end_and_the_next_one_clears_up(place):
    place.write("hello.py", APP % "hello")
    place.serve("hello").wait_for("Ctrl-C ends it")
    place.get()
    left = place.directories()
    place.end(signal.SIGKILL)
    until(lambda: not private_httpd.processes(place.top), "the processes to end")
    place.output.truncate(0)
    place.serve("hello").wait_for("Ctrl-C ends it")
    assert place.directories() and not set(place.directories()) & set(left)


@pytest.mark.parametrize("words, code, text", [
    (["hello", "--static", "nothing"], 2, "equals sign"),
    (["hello", "--static", "/s=none"], 2, "is not a directory"),
    (["hello", "--env", "A"], 2, "equals sign"),
    (["hello", "--port", "0"], 2, "1 to 65535"),
    (["hello", "--host", "192.0.2.77"], 1, "192.0.2.77 is no address of this machine"),
    (["hello", "--host", "no.such.invalid"], 1, "no.such.invalid is neither an address"),
    (["hello", "--threads", "many"], 1, "CGW0001"),
    (["hello", "--python", "/nowhere"], 1, "CGW0040"),
    (["hello", "--module", "/nowhere.so"], 1, "/nowhere.so"),
])
def test_what_is_wrong_is_said(place, words, code, text):
    place.write("hello.py", APP % "hello")
    place.serve(*words)
    assert place.ended() == code
    assert text in place.text()


def test_a_port_that_is_in_use_is_said(place):
    place.write("hello.py", APP % "hello")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", place.port))
        other.listen()
        place.serve("hello")
        assert place.ended() == 1
    assert f"port {place.port} is in use" in place.text()


# ---- for production ---------------------------------------------------------------------

def test_what_print_config_prints_is_served(httpd):
    site = httpd.mkdir("my site")
    httpd.write("my site/hello.py", APP % "hello")
    httpd.write("my site/files/a.txt", "static")
    run = subprocess.run(
        [ROOT / "tools" / "cgateway-serve", "hello:app", "--static", "/assets=files",
         "--env", "FROM_TERMINAL=a b", "--processes", "1", "--threads", "3",
         "--name", "a.example", "--print-config"], cwd=site, text=True,
        capture_output=True, timeout=PATIENCE)
    assert run.returncode == 0 and not run.stderr
    httpd.main(run.stdout.replace("*:80", f"*:{httpd.port}"))
    httpd.start()
    assert httpd.get("/").text == "hello|a b||http"
    assert httpd.get("/assets/a.txt").text == "static"


# ---- Django -----------------------------------------------------------------------------

SETTINGS = """
import os
INSTALLED_APPS += ["cgateway.django"]
DEBUG = bool(os.environ.get("SHOP_DEBUG"))
"""


@pytest.fixture
def project(place):
    """The example shop, with cgateway.django, where the user may write its data."""
    code = place.top / "code"
    shutil.copytree(EXAMPLES, code, ignore=shutil.ignore_patterns("__pycache__", "data"))
    private_httpd.make_readable(code)
    with open(code / "shop" / "shop" / "settings.py", "a") as file:
        file.write(SETTINGS)
    place.data = place.top / "data"
    place.data.mkdir()
    place.data.chmod(0o777)
    (place.data / "media").mkdir()
    (place.data / "media" / "up.html").write_text("uploaded")
    return place


def manage(place, *words, **env):
    return place.start([PYTHON, "manage.py", *words], directory="code/shop", env={
        "PYTHONPATH": f"{place.top}/code/lib:{place.library}",
        "SITE_DATA": str(place.data), **env})


@pytest.mark.parametrize("debug", ["", "yes"], ids=["production", "debug"])
def test_runcgateway_finds_everything_by_itself(project, debug):
    manage(project, "runcgateway", str(project.port), "--processes", "1",
           SHOP_DEBUG=debug).wait_for("Ctrl-C ends it")
    told = project.get("/whoami").json()
    assert told["settings"] == "shop.settings" and told["executable"] == PYTHON
    css = project.get("/static/store/shop.css")
    assert css.status == 200 and css.body == (
        EXAMPLES / "shop/store/static/store/shop.css").read_bytes()
    assert project.get("/static/admin/css/base.css").status == 200
    upload = project.get("/media/up.html")
    assert upload.text == "uploaded" and "sandbox" in upload.headers[
        "Content-Security-Policy"]
    assert ("reloads on change" in project.text()) == bool(debug)
    assert project.end() == 0


def test_runcgateway_serves_what_was_collected(project):
    manage(project, "collectstatic", "--noinput")
    assert project.ended() == 0, project.text()
    (project.data / "static" / "store" / "shop.css").write_text("collected")
    manage(project, "runcgateway", f"127.0.0.1:{project.port}").wait_for("Ctrl-C ends it")
    assert project.get("/static/store/shop.css").text == "collected"


def test_runcgateway_prints_a_configuration(project):
    manage(project, "collectstatic", "--noinput")
    assert project.ended() == 0
    manage(project, "runcgateway", "--print-config")
    assert project.ended() == 0
    text = project.text()
    assert re.search(r"^    CGatewayApplication shop\.wsgi:application$", text, re.M)
    assert f"CGatewayPath        {project.top}/code/shop {project.top}/code/lib\n" in text
    assert f"Alias /static {project.data}/static\n" in text
    assert f"Alias /media {project.data}/media\n" in text


@pytest.mark.parametrize("words, text", [
    (["runcgateway", "here"], "neither a port"), (["runcgateway", "--env", "A"], "equals")])
def test_runcgateway_says_what_is_wrong(project, words, text):
    manage(project, *words)
    assert project.ended() == 1
    assert text in project.text()


def test_the_package_installs_into_a_virtual_environment(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copytree(ROOT / "worker", source / "worker",
                    ignore=shutil.ignore_patterns("*.[ch]", "__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    environment = venv("flask==3.0.3")
    target = tmp_path / "target"
    subprocess.run([environment / "bin" / "python3", "-m", "pip", "install", "--quiet",
                    "--no-deps", "--target", target, source], check=True,
                   stdin=subprocess.DEVNULL)
    run = subprocess.run([environment / "bin" / "python3", "-c",
                          "import cgateway.django, cgateway.serve; print(cgateway.group)"],
                         env={"PYTHONPATH": str(target)}, capture_output=True, text=True)
    assert run.stdout == "None\n", run.stderr
    run = subprocess.run([target / "bin" / "cgateway-serve", "--help"], text=True,
                         env={"PYTHONPATH": str(target)}, capture_output=True)
    assert "--https-self-signed" in run.stdout
