# SPDX-License-Identifier: Apache-2.0
"""`make install` and `make uninstall`."""

import marshal
import os
import pathlib
import subprocess

import private_httpd
from harness.paths import BUILD, PYTHON, ROOT


def make(target, directory):
    environment = {**os.environ, "MAKEFLAGS": ""}
    subprocess.run(["make", "-s", "-f", "Makefile.apxs", f"BUILD={os.path.relpath(BUILD, ROOT)}",
                    f"DESTDIR={directory}", target], cwd=ROOT, check=True,
                   env=environment, stdout=subprocess.DEVNULL)


def files(directory):
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def check_programs(root, installed):
    """They find their library where it is installed."""
    bin_dir = pathlib.Path(private_httpd.apxs("exp_bindir")[1:])
    for name in ("cgateway-serve", "mod_wsgi-to-cgateway"):
        assert any(one.endswith(f"/man1/{name}.1") for one in installed)
        program = root / bin_dir / name
        library = f"{private_httpd.find_modules()}/cgateway"
        text = program.read_text()
        assert f'LIBRARY = "{library}"' in text
        program.write_text(text.replace(library, f"{root}{library}"))
        run = subprocess.run([program, "--help"], capture_output=True, text=True)
        assert run.returncode == 0 and name in run.stdout, run.stderr
    site = subprocess.run([PYTHON, "-c", "import sysconfig;"
                           "print(sysconfig.get_path('purelib'))"], capture_output=True,
                          text=True).stdout.strip()
    assert os.readlink(f"{root}{site}/cgateway") == f"{private_httpd.find_modules()}/cgateway/cgateway"


def check_bytecode(root):
    """No worker has to compile its package: what is there is of the files, and knows
    them by the path that they will have."""
    package = f"{private_httpd.find_modules()}/cgateway/cgateway"
    for source in pathlib.Path(f"{root}{package}").rglob("*.py"):
        compiled, = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        content = compiled.read_bytes()
        assert int.from_bytes(content[8:12], "little") == int(source.stat().st_mtime)
        assert f"{root}{marshal.loads(content[16:]).co_filename}" == str(source)


def test_install_puts_everything_below_destdir_and_uninstall_takes_it_away(tmp_path):
    make("install", tmp_path)
    modules = str(private_httpd.find_modules())[1:]
    sbin = pathlib.Path(private_httpd.apxs("SBINDIR")[1:])
    installed = files(tmp_path)
    assert {f"{modules}/mod_cgateway.so", f"{modules}/cgateway/cgatewayd",
            f"{modules}/cgateway/bootstrap.py", f"{modules}/cgateway/_cgateway.abi3.so",
            f"{modules}/cgateway/cgateway/__init__.py",
            f"{sbin}/cgatewayctl"} <= installed
    assert any(name.endswith("/man8/cgatewayctl.8") for name in installed)
    assert f"{modules}/cgateway/cgateway/django/management/commands/runcgateway.py" in \
        installed
    check_bytecode(tmp_path)
    check_programs(tmp_path, installed)
    assert any(name.endswith("/bash-completion/completions/cgatewayctl")
               for name in installed)
    run = subprocess.run([tmp_path / sbin / "cgatewayctl", "--help"], capture_output=True,
                         text=True)
    assert "status" in run.stdout
    make("uninstall", tmp_path)
    assert files(tmp_path) == set()
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
