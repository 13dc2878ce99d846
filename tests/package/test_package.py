# SPDX-License-Identifier: Apache-2.0
"""The Debian package: built, checked by lintian, and in a clean Debian installed, served
with, upgraded and purged. As root, some minutes: make -f Makefile.apxs package-check."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import private_httpd
from harness.paths import AS_ROOT, ROOT

NAME = "libapache2-mod-cgateway"
# What whoever builds a package for others has to fill in: an address, a bug.
LOCAL = "bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs"
SITE = """\
<VirtualHost *:{port}>
    ServerName shop.example.com
    CGatewayApplication /srv/shop/app.py
    CGatewayUser        games
    CGatewayProcesses   1
</VirtualHost>
"""
APP = """\
import os, pwd, time
def application(environ, start_response):
    if environ["QUERY_STRING"] == "wait":
        open("/tmp/asked", "w").close()
        while not os.path.exists("/tmp/go"):
            time.sleep(0.1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"packaged " + pwd.getpwuid(os.geteuid()).pw_name.encode()]
"""
pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root makes a clean Debian")


def run(*command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def packages():
    """A directory with the package as built, and the same under the next version."""
    with tempfile.TemporaryDirectory(prefix="cgwdeb") as name:
        top = pathlib.Path(name)
        source = top / "source"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
            "build", ".git", "__pycache__", "*.pyc"))
        run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=source)
        built = next(top.glob(f"{NAME}_*.deb"))
        run("dpkg-deb", "-R", built, top / "next")
        control = top / "next" / "DEBIAN" / "control"
        control.write_text(control.read_text().replace(
            "Version: 0.1.0-1", "Version: 0.1.0-2"))
        run("dpkg-deb", "-b", "--root-owner-group", top / "next", top / "next.deb")
        yield top, built


def test_lintian_finds_nothing(packages):
    changes = next(packages[0].glob("*.changes"))
    out = run("lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
              LOCAL, changes)
    assert "E:" not in out and "W:" not in out


# ---- a clean Debian -----------------------------------------------------------------------

def mirrors():
    """Lines for sources.list: where this machine's own packages come from."""
    out = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)")
    release = dict(line.split("=", 1) for line in
                   pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    code = release["VERSION_CODENAME"]
    found = sorted({tuple(line.split()) for line in out.splitlines()
                    if line.split()[1].startswith(code) and line.split()[2] == "main"})
    return code, found


class Debian:
    """A root directory, and commands that run in it in namespaces of their own: what they
    start ends with them."""

    def __init__(self, root):
        self.root = root
        code, found = mirrors()
        base = next(site for site, release, _ in found if release == code)
        run("debootstrap", "--variant=minbase", code, root, base)
        self.write("etc/apt/sources.list",
                   "".join(f"deb {' '.join(words)}\n" for words in found))
        # invoke-rc.d starts nothing in a directory
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        for file in pathlib.Path("/etc/apt/apt.conf.d").glob("*proxy*"):
            shutil.copy(file, root / "etc" / "apt" / "apt.conf.d")

    def write(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run(self, script):
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot",
                   self.root, "/bin/sh", "-ec",
                   "mount -t proc proc /proc\nexport DEBIAN_FRONTEND=noninteractive\n"
                   + script)

    def files(self):
        """What lies where packages put something."""
        found = set()
        for top in ("etc", "usr", "var/lib", "run", "srv"):
            for directory, _, names in os.walk(self.root / top):
                found |= {os.path.join(directory, name) for name in names
                          if "cgateway" in os.path.join(directory, name)}
        return {os.path.relpath(name, self.root) for name in found}


@pytest.fixture(scope="module")
def debian(packages):
    with tempfile.TemporaryDirectory(prefix="cgwroot") as name:
        root = pathlib.Path(name) / "root"
        debian = Debian(root)
        shutil.copy(packages[1], root / "first.deb")
        shutil.copy(packages[0] / "next.deb", root / "next.deb")
        debian.run("apt-get -q update && apt-get -qy --no-install-recommends install curl")
        yield debian


def test_install_serve_upgrade_and_purge(debian):
    port = private_httpd.free_port()
    install = "apt-get -qy --no-install-recommends install"
    debian.write("srv/shop/app.py", APP)
    debian.write("etc/apache2-site.conf", SITE.format(port=port))
    serve = f"""
        ask() {{ curl -sS --retry 20 --retry-connrefused --retry-delay 1 --fail \\
            -H 'Host: shop.example.com' "http://127.0.0.1:{port}/$1"; echo " $1"; }}
        services_are() {{ printf '#!/bin/sh\\nexit %s\\n' $1 > /usr/sbin/policy-rc.d; }}
        end() {{ apachectl stop
            for try in $(seq 600); do
                [ -e /run/apache2/apache2.pid ] || [ -e /run/apache2/cgateway ] || return 0
                sleep 0.1
            done; }}
    """
    out = debian.run(f"""{install} apache2 /first.deb
        a2query -m cgateway
        echo 'Listen 127.0.0.1:{port}' > /etc/apache2/ports.conf
        a2dissite 000-default
        mv /etc/apache2-site.conf /etc/apache2/sites-available/shop.conf
        a2ensite shop
        apachectl configtest""")
    assert "cgateway (enabled by maintainer script)" in out and "Syntax OK" in out

    out = debian.run(serve + f"""
        apachectl start
        ask
        cgatewayctl status
        ask '?wait' &
        until [ -e /tmp/asked ]; do sleep 0.1; done
        services_are 0      # controlled by packages
        {install} /next.deb
        services_are 101
        ask
        touch /tmp/go
        wait
        dpkg-query -W -f '${{Version}}\\n' {NAME}
        end
        ls /run/apache2""")
    assert out.count("packaged games") == 3, out
    assert "packaged games ?wait" in out, "it was in flight during the upgrade"
    assert "shop.example.com" in out and "0.1.0-2" in out
    assert "cgateway" not in out.rpartition("0.1.0-2")[2], "the runtime directory is gone"

    out = debian.run("""
        cd /tmp
        python3 -c 'import cgateway; print(cgateway.__version__)'
        cgateway-serve --help > /dev/null
        mod_wsgi-to-cgateway --help > /dev/null
        test -f /usr/share/man/man1/cgateway-serve.1.gz""")
    assert out.strip(), "the system's Python finds the package"

    debian.run(f"a2dissite shop && apt-get -qy purge {NAME}\napachectl configtest")
    left = {name for name in debian.files() if "mod-cgateway" in name
            or not name.startswith("var/lib/dpkg")}
    assert not {name for name in left if "dpkg/info" not in name} - {
        "var/lib/apache2/module/disabled_by_maint/cgateway",
        "var/lib/apache2/module/purged_by_maint/cgateway"}, left
