# SPDX-License-Identifier: Apache-2.0
"""Every configuration that the documents show: a virtual host is served, with the example
projects where the text says that projects lie; parts of one are checked by httpd."""

import pathlib
import re
import shutil
import ssl
import subprocess

import pytest

import private_httpd
from harness import interpreters
from harness.httpd import until
from harness.paths import AS_ROOT, EXAMPLES, PRELOAD, PYTHON, ROOT

pytestmark = pytest.mark.skipif(bool(PRELOAD), reason="about texts, not about memory")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
# What the texts have, and this machine has in its place.
USERS = {"shop": "games", "blog": "news", "hello": "uucp"}
MODULES = ["auth_basic", "authz_user", "remoteip", "reqtimeout", "dav", "socache_shmcb",
           "status"]
VHOST = """\
<VirtualHost *:80>
    ServerName shop.example.com
    CGatewayApplication shop.wsgi
    CGatewaySettings    shop.settings
    CGatewayPath        /srv/shop
    {lines}
</VirtualHost>
"""
# Directives that need a virtual host without an application of its own.
OWN = re.compile(r"^CGateway(Application|Settings|Path)\b", re.M)


def blocks(language):
    """(test id, text) of every block of a language."""
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            if found[2] == language:
                line = text.count("\n", 0, found.start()) + 1
                indent = len(found[1])
                body = "".join(one[indent:] for one in found[3].splitlines(True))
                yield pytest.param(body, id=f"{page.name}:{line}")


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """The examples as /srv/shop and /srv/blog, with their databases."""
    top = tmp_path_factory.mktemp("srv")
    for name in ("shop", "blog"):
        target = top / name
        shutil.copytree(EXAMPLES / name, target,
                        ignore=shutil.ignore_patterns("__pycache__", "data"))
        shutil.copy(EXAMPLES / "lib" / "whoami.py", target)
        for directory in ("data", "static/store", "media", "reports", "more modules",
                          "src", "releases"):
            (target / directory).mkdir(parents=True, exist_ok=True)
        subprocess.run([PYTHON, "manage.py", "migrate", "--verbosity", "0"], cwd=target,
                       check=True, env={"PYTHONDONTWRITEBYTECODE": "1"},
                       stdin=subprocess.DEVNULL)
    return top


class Machine:
    """The directories of the texts, below the directory of a test's httpd."""

    def __init__(self, httpd, projects):
        self.httpd, self.root = httpd, httpd.root
        self.tls_port = httpd.listen()
        shutil.copytree(projects, self.root / "srv")
        private_httpd.make_readable(self.root / "srv")
        for name in ("shop", "blog"):
            data = self.root / "srv" / name / "data"
            for path in [data, *data.iterdir()]:
                path.chmod(0o777)
        self.make_files()

    def make_files(self):
        self.httpd.write("srv/shop/static/store/shop.css", "css")
        (self.root / "srv/shop/current").symlink_to(".")
        self.httpd.write("srv/hello/hello.py", flask_example())
        for name in ("srv/www/robots.txt", "srv/shop/app.wsgi", "srv/hello/hello.wsgi",
                     "srv/tools/tools.wsgi", "srv/svn/x", "srv/hello/run.py",
                     "srv/shop/users.py", "srv/www/index.html"):
            self.httpd.write(name, "text\n")
        self.httpd.write("etc/shop/secrets.env", "SITE_SECRET_KEY=x\n", 0o600)
        self.httpd.write("srv/shop/run.py", "")
        for name in ("srv/shop", "opt/python3.13", "opt/conda/envs/shop"):
            target = self.root / name / ("venv/bin" if name == "srv/shop" else "bin")
            target.mkdir(parents=True)
            for program in ("python3", "python3.13"):
                (target / program).symlink_to(PYTHON)

    def flask(self):
        environment = interpreters.venv_for(self.httpd, "flask==3.0.3")
        (self.root / "srv/hello/venv").symlink_to(environment)

    def text(self, text):
        """As it is written, with the paths, ports and users of this machine."""
        text = re.sub(r"(?<![\w.])/(srv|opt|etc/shop)\b", rf"{self.root}/\1", text)
        text = re.sub(r"\*:80\b", f"*:{self.httpd.port}", text)
        text = re.sub(r"\*:443\b", f"*:{self.tls_port}", text)
        text = re.sub(r"^LoadModule cgateway.*$", "", text, flags=re.M)
        text = re.sub(r"^( *CGatewayRuntimeDir) .*$", "", text, flags=re.M)
        for name, account in USERS.items():
            text = re.sub(rf"^( *CGatewayUser +){name}\b", rf"\g<1>{account}", text,
                          flags=re.M)
        if not AS_ROOT:
            text = re.sub(r"^ *CGatewayUser .*$", "", text, flags=re.M)
        return text

    def certificate(self):
        target = self.root / "etc" / "shop"
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=shop.example.com", "-keyout", target / "privkey.pem", "-out",
             target / "fullchain.pem"], check=True, capture_output=True)


def flask_example():
    page = (ROOT / "docs" / "quickstart-flask.md").read_text()
    return next(m[3] for m in BLOCK.finditer(page) if m[2] == "python")


@pytest.fixture
def machine(httpd, projects):
    httpd.load(*MODULES)
    return Machine(httpd, projects)


def apache_blocks(whole):
    return [param for param in blocks("apache")
            if ("<VirtualHost" in param.values[0]) == whole]


@pytest.mark.parametrize("text", apache_blocks(whole=True))
def test_virtual_hosts_are_served(machine, text):
    httpd = machine.httpd
    if "/srv/hello/venv" in text:
        machine.flask()
    if "SSLEngine" in text:
        httpd.load("ssl", "http2", *(["md", "watchdog"] if "MDomain" in text else []))
        machine.certificate()
    if "BalancerMember" in text:
        httpd.load("proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests",
                   "slotmem_shm", "watchdog", "proxy_hcheck")
    # The projects answer to the names of the text, and the runtime directory is a test's.
    httpd.main(machine.text(text).replace(
        "CGatewaySettings", "CGatewayEnv SITE_HOSTS *\n    CGatewaySettings"))
    test = httpd.configtest()
    assert "Syntax OK" in test.stdout and "CGW" not in test.stdout, test.stdout
    if "MDomain" in text or "BalancerMember" in text:
        return      # it would ask an authority, or machines that are not there
    httpd.expect_log("AH01909|AH01906|AH01873|AH01882")
    httpd.start()
    for name, port, body in servers(httpd, machine, text):
        answers(httpd, name, port, body, "SSLEngine" in body)


def servers(httpd, machine, text):
    for port, body in re.findall(r"<VirtualHost \*:(\d+)>(.*?)</VirtualHost>", text, re.S):
        yield (re.search(r"ServerName +(\S+)", body)[1],
               machine.tls_port if port == "443" else httpd.port, body)


def answers(httpd, name, port, body, tls):
    """The application answers where it is mounted, and httpd what is an Alias."""
    context = ssl._create_unverified_context() if tls else None
    mounts = re.findall(r"CGatewayMount +(\S+)", body) or ["/"]
    for mount in mounts:
        def once():
            got = httpd.get(mount.rstrip("/") + "/", host=name, port=port, tls=context)
            return got if got.status != 503 else None
        response = until(once, f"{name}{mount}")
        assert response.status == 200, f"{name}{mount}: {response.status}"
    for url in re.findall(r"Alias (/static)\b", body):
        assert httpd.get(f"{url}/store/shop.css", host=name, port=port,
                         tls=context).text == "css"
    for url in re.findall(r"Alias (/reports)\b", body):
        assert httpd.get(url, host=name, port=port, tls=context).status == 401


def around(text):
    """A whole configuration with the part of one in it."""
    if "<CGatewayGroup" in text or "CGatewayRuntimeDir" in text:
        whole = text
    else:
        own = set(OWN.findall(text))
        lines = [one for one in VHOST.splitlines()
                 if not any(f"CGateway{name} " in one for name in own)]
        whole = "\n".join(lines).format(lines=text) + "\n"
    for group in re.findall(r"CGatewayMount +\S+ +(\w+)", text):
        whole += f"<CGatewayGroup {group}>\nCGatewayApplication x\n</CGatewayGroup>\n"
    return whole


def make_directories(machine, text):
    """Those that the text names, where they are not there yet."""
    for name in re.findall(rf"{machine.root}/[\w/.-]+", text):
        path = pathlib.Path(name)
        if not path.suffix:
            path.mkdir(parents=True, exist_ok=True)


# One process of httpd for each: a page at a time keeps what must be prepared once.
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_parts_of_a_configuration_are_understood(machine, page):
    """Whether this machine has what they need (an account, a control group) is another
    matter, about which httpd complains later."""
    httpd, faults = machine.httpd, []
    httpd.environment.update(HTTPS_PROXY="x", NO_PROXY="x")
    for param in apache_blocks(whole=False):
        if not param.id.startswith(page.name + ":"):
            continue
        # of the whole httpd, so not within the virtual host that is put around
        text = re.sub(r"^(ErrorDocument|CGatewayCgroupParent|CGatewayBatchScheduling) .*$",
                      "", param.values[0], flags=re.M)
        whole = machine.text(around(text))
        make_directories(machine, whole)
        httpd.main(whole)
        test = httpd.configtest()
        if "Syntax error" in test.stdout or (page.name != "directives.md"
                                             and "Syntax OK" not in test.stdout):
            faults.append(f"{param.id}:\n{test.stdout}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("text", [p for p in blocks("python")])
def test_python_compiles(text):
    compile(text, "example", "exec")


def test_the_site_map_has_every_page():
    listed = re.findall(r"\]\(([\w.-]+\.md)\)", (ROOT / "docs" / "README.md").read_text())
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(listed)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`]*`", "", BLOCK.sub("", page.read_text()))
    for target in re.findall(r"\]\(([^)#]+?)(?:#[\w-]*)?\)", text):
        if "://" not in target:
            assert (page.parent / pathlib.PurePath(target)).exists(), target


def known_directives():
    text = (ROOT / "docs" / "directives.md").read_text()
    return set(re.findall(r"^### <?(CGateway\w+)>?$", text, re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_directives_that_are_named_exist(page):
    named = set(re.findall(r"\bCGateway[A-Z]\w*", page.read_text()))
    assert named <= known_directives() | {"CGatewayX"}


def test_the_readme_fits_three_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
