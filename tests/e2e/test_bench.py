# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, so that it is there when somebody wants to measure."""

import re
import shutil
import subprocess

import pytest

from harness.paths import BUILD, MPM, PRELOAD, PYTHON, ROOT

pytestmark = [
    pytest.mark.skipif(not shutil.which("wrk") or not shutil.which("h2load"),
                       reason="wrk or h2load is not installed"),
    pytest.mark.skipif(bool(PRELOAD), reason="speed says nothing with sanitizers")]


def test_it_measures_judges_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [PYTHON, ROOT / "bench" / "bench.py", "--build", BUILD, "--output", tmp_path,
         "--rounds", "1", "--seconds", "1", "--contender", "mod_cgateway", "--contender",
         "limit: no hop", "--only", "trivial, c=64", "--only", "10 KB POST",
         "--only", "over HTTP/2", "--only", "file_wrapper"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = (tmp_path / "results.md").read_text()
    for work in ["trivial, c=64", "JSON echo of a 10 KB POST", "trivial over HTTP/2",
                 "file_wrapper download"]:
        assert f"## {work}" in results
    assert re.search(r"\| limit: no hop \| [\d,]+ \|", results)
    assert re.search(r"\| mod_cgateway 2×1 \| [\d,.]+ \|", results)


@pytest.mark.skipif(MPM == "prefork", reason="it configures an httpd with threads")
def test_many_sites_are_measured():
    done = subprocess.run(
        [PYTHON, ROOT / "bench" / "many.py", "--sites", "2", "5", "--rounds", "1"],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\| 5 \|( [\d.]+ s \|){4} -?[\d.]+ MB \|", done.stdout, re.M)
    assert "A further site:" in done.stdout
