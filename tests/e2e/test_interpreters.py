# SPDX-License-Identifier: Apache-2.0
"""Each site its own Python: virtual environments and other CPython builds, all in
one httpd."""

import concurrent.futures
import os
import re
import subprocess

import pytest

from harness import interpreters
from harness.paths import AS_ROOT, PYTHON
from harness.sites import Site

NEWER_DJANGO = "django==5.2.*"


def test_another_django_from_a_virtual_environment_beside_the_system_s(httpd):
    environment = interpreters.venv_for(httpd, NEWER_DJANGO)
    system = Site(httpd, "shop", "system.example", "shop.settings").populate()
    newer = Site(httpd, "shop", "newer.example", "shop.settings_b",
                 python=environment).populate()
    program = Site(httpd, "blog", "program.example", "blog.settings",
                   python=environment / "bin" / "python3").populate()
    httpd.start()
    told = {site.host: site.whoami() for site in (system, newer, program)}
    assert told["newer.example"]["django"].startswith("5.2")
    assert told["program.example"]["django"].startswith("5.2")
    assert told["system.example"]["django"] != told["newer.example"]["django"]
    assert told["newer.example"]["executable"].startswith(str(environment))
    assert [told[h]["site"] for h in ("system.example", "newer.example")] == \
        ["The Shop", "The Other Shop"]
    assert not any("dist-packages" in p for p in told["newer.example"]["sys_path"])
    assert "Teapot" in newer.get("/").text
    assert "Two sites" in program.get("/").text
    assert newer.get("/static/admin/css/base.css").status == 200


def every_python(httpd):
    """{virtual host: (CGatewayPython, LD_LIBRARY_PATH)}"""
    pythons = {f"p{n}.example": (path, "")
               for n, path in enumerate(interpreters.installed())}
    for prefix in interpreters.pyenv_prefixes():
        host = f"pyenv-{os.path.basename(prefix)}.example"
        if AS_ROOT:
            copy = interpreters.copy_for_others(prefix,
                                                httpd.root / os.path.basename(prefix))
            pythons[host] = (copy, f"{copy}/lib")
        else:
            pythons[host] = (prefix, "")
    return pythons


def test_every_cpython_of_the_machine_serves_side_by_side(httpd):
    pythons = every_python(httpd)
    for host, (python, library) in pythons.items():
        httpd.vhost(host, f'CGatewayApplication "{httpd.app("info.wsgi")}"',
                    f'CGatewayPython "{python}"', "CGatewayProcesses 1",
                    *([f'CGatewayEnv LD_LIBRARY_PATH "{library}"'] if library else []))
    httpd.start()
    builds = set()
    for host, (python, library) in pythons.items():
        told = httpd.get(host=host).json()
        program = os.path.join(python, "bin", "python3") if os.path.isdir(python) \
            else python
        version, debug = interpreters.describe(program, library)
        assert (tuple(told["version"]), told["debug"]) == (version, debug), host
        builds.add((version, debug))
    assert len(builds) >= 2, f"only {builds} on this machine: sh tools/deps.sh test"


def test_a_stuck_request_of_every_cpython_has_its_stack_in_the_log(httpd, marks):
    """In Python code, and in C code that keeps the interpreter lock."""
    pythons = every_python(httpd)
    httpd.expect_log("CGW0121", "CGW0260", "CGW0275", r"example: ")
    for host, (python, library) in pythons.items():
        httpd.vhost(host, f'CGatewayApplication "{httpd.app("stuck.wsgi")}"',
                    f'CGatewayPython "{python}"', "CGatewayProcesses 1",
                    "CGatewayDrainTimeout 1s", f'CGatewayEnv MARKS "{marks}"',
                    '<LocationMatch "^/stuck">', "CGatewayRequestTimeout 1s",
                    "</LocationMatch>",
                    *([f'CGatewayEnv LD_LIBRARY_PATH "{library}"'] if library else []))
    httpd.start()
    for path in ("stuck_in_sleep", "stuck_in_c_loop"):
        with concurrent.futures.ThreadPoolExecutor(len(pythons)) as pool:
            answers = pool.map(lambda host, p=path: httpd.get(f"/{p}", host=host), pythons)
        assert {answer.status for answer in answers} == {504}
        for host in pythons:
            assert f"in {path}" in httpd.log(host)


def test_a_debug_build_serves_beside_the_system_s(httpd):
    debug = "/usr/bin/python3-dbg"
    assert os.path.exists(debug), "sh tools/deps.sh test"
    httpd.wsgi("validated.wsgi", name="release.example")
    httpd.vhost("debug.example", f'CGatewayApplication "{httpd.app("validated.wsgi")}"',
                f"CGatewayPython {debug}")
    httpd.start()
    for host in ("release.example", "debug.example"):
        for _ in range(20):
            assert httpd.get("/several", host=host).text == "one two three\n"
        body = b"line\n" * 1000
        assert httpd.request("/input_read", "POST", body, host=host).body == body


def test_an_environment_that_another_python_made_is_told_of(httpd):
    """As an upgrade of the system leaves them: its packages are where nobody looks."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", httpd.root / "venv"], check=True)
    settings = httpd.root / "venv" / "pyvenv.cfg"
    settings.write_text(re.sub(r"(?m)^version.*", "version = 3.8.1", settings.read_text()))
    httpd.expect_log(r"\] a\.example: ", "CGW0121", "CGW02[23]1")
    httpd.wsgi(httpd.app("app.wsgi", "import no_such_package\n"),
               f'CGatewayPython "{httpd.root}/venv"')
    httpd.start()
    assert httpd.get("/").status == 503
    httpd.wait_log(r"CGW0411: .*'no_such_package'.*/venv was made by Python 3\.8 and is run "
                   r"by Python 3\.\d+, .*make it anew")


def test_what_is_no_python_is_a_503_that_says_so(httpd):
    program = httpd.write("bin/python3", "#!/bin/sh\necho 'I am a shell script' >&2\n"
                          "exit 7\n", mode=0o755)
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("info.wsgi")}"',
                f'CGatewayPython "{program}"')
    httpd.wsgi("info.wsgi", name="good.example")
    httpd.start()
    httpd.expect_log(r"CGW0213", r"CGW0221", r"CGW0231", r"CGW0121.*no worker",
                     r"I am a shell script")
    assert httpd.get().status == 503
    httpd.wait_log("I am a shell script")
    told = httpd.get(host="good.example").json()
    assert os.path.realpath(told["executable"]) == os.path.realpath(PYTHON)


@pytest.mark.parametrize("lie, words", [
    ('sys.version_info = (3, 6, 15, "final", 0)', r"older than 3\.9"),
    ('sys.abiflags = "t"', r"free-threaded build")])
def test_a_python_that_cannot_serve_is_refused_by_name(httpd, lie, words):
    """By a stand-in: no distribution still has, or has yet, such ones."""
    program = httpd.write("bin/python3", f"""\
#!{PYTHON}
import runpy, sys
{lie}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
""", mode=0o755)
    httpd.vhost("a.example", f'CGatewayApplication "{httpd.app("info.wsgi")}"',
                f'CGatewayPython "{program}"')
    httpd.start()
    httpd.expect_log(r"CGW0221", r"CGW0231", r"CGW0121.*no worker", r"CGW0410")
    assert httpd.get().status == 503
    httpd.wait_log(rf"CGW0410.*{words}.*CGatewayPython")
