# SPDX-License-Identifier: Apache-2.0
"""SetHandler cgateway-status and cgateway-ready: the page, its JSON and its metrics, and
what load balancers ask."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

import private_httpd
from harness.ctl import Ctl
from harness.httpd import killed_for_memory, until
from harness.paths import PATIENCE, PYTHON

HANDLERS = ("<Location /status>", "SetHandler cgateway-status", "</Location>",
            "<Location /ready>", "SetHandler cgateway-ready", "</Location>")
EVIL = "<script>alert(1)</script>"

WAITS = """
import os, time
def application(environ, start_response):
    while environ["QUERY_STRING"] and not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("asked for")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


@pytest.fixture
def site(httpd, ctl, marks):
    httpd.wsgi(httpd.app("waits.wsgi", WAITS), f'CGatewayEnv GO "{marks}/go"', *HANDLERS)
    httpd.start()
    assert ctl("wait-ready").returncode == 0
    return httpd


def metric(text, name, **labels):
    """The value of one sample."""
    for line in text.splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line
                                               for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name} {labels} in\n{text}")


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed (tools/deps.sh page)")
    return program


# ---- page -----------------------------------------------------------------------------

def test_the_page_shows_groups_processes_and_requests(site, ctl, marks):
    held = threading.Thread(target=site.get, args=("/x?" + EVIL.replace(" ", ""),))
    held.start()
    until(lambda: ctl.json("requests", "a.example")["requests"], "the request")
    page = site.get("/status")
    (marks / "go").touch()
    held.join()
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    for pid in site.workers("a.example"):
        assert f"<td>{pid}<td>serving" in page.text
    assert "1 of 16</b><span class=dim>threads busy" in page.text
    assert "Python 3." in page.text and "polyline" in page.text
    assert "/x?&lt;script&gt;" in page.text and "<script>alert" not in page.text
    assert not re.search(r"(src|href)=[\"']?(https?:|//)", page.text), "an external asset"


def test_the_page_escapes_and_tells_what_an_import_printed(httpd):
    httpd.wsgi("info.wsgi", *HANDLERS)
    httpd.wsgi(httpd.app("broken.wsgi", f"raise ValueError('{EVIL}')\n"), name="b.example")
    httpd.expect_log("CGW0221", "CGW0231", "CGW0411", r"\] b\.example: ")
    httpd.start()
    page = until(lambda: (text := httpd.get("/status").text).count("failed") and
                 "ValueError" in text and text, "the failure")
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "importing the application failed" in page
    assert "Could not be started: " \
        '<a class=bad href="#group-b.example">b.example</a></section>' in page
    assert '<section id="group-b.example">' in page


def test_only_the_page_s_own_script_may_run(site):
    page = site.get("/status")
    policy = page.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-(\w{32})'", policy)[1]
    assert "default-src 'none'" in policy
    assert page.text.count(f"<script nonce={nonce}>") == page.text.count("<script") == 1
    assert nonce not in site.get("/status").headers["Content-Security-Policy"]


def test_json_is_what_cgatewayctl_gets(site, ctl):
    answer = site.get("/status?json")
    assert answer.headers["Content-Type"] == "application/json"
    group, = answer.json()["groups"]
    assert set(group) == set(ctl.group("a.example"))
    assert group["ready"] is True and group["history"]["interval_ms"] == 5000


def test_it_only_reads(site):
    for path in ("/status", "/ready"):
        answer = site.request(path, "POST", b"x")
        assert answer.status == 405 and "GET" in answer.headers["Allow"]
    assert site.request("/ready", "HEAD").status == 200


def test_recent_numbers_and_history_come_from_requests(site, ctl):
    for _ in range(20):
        assert site.get("/").status == 200
    group = until(lambda: (g := ctl.group("a.example"))["recent"]["requests"] >= 20 and g,
                  "a sample")
    assert group["total"]["requests"] >= 20
    assert sum(group["total"]["latency"]) == group["total"]["requests"]
    assert sum(group["history"]["requests"]) >= 20
    recent = group["recent"]["latency_us"]
    assert 0 < recent["p50"] <= recent["p90"] <= recent["p99"]


def test_errors_and_ends_are_counted_by_cause(site, ctl):
    site.expect_log("CGW0121", "CGW0213", "asked for", "Traceback")
    assert site.get("/raise").status == 500
    # the client has its answer before the worker has counted it
    until(lambda: ctl.group("a.example")["total"]["errors"], "the error")
    os.kill(site.workers("a.example")[0], 9)
    group = until(lambda: (g := ctl.group("a.example"))["last_end"] and g, "the end")
    assert group["total"]["errors"] == {"the application raised an exception": 1}
    cause = group["last_end"]["cause"]
    # the supervisor cannot tell this kill from one of the kernel's at the same time
    assert "signal 9" in cause or (
        cause == "out of memory" and killed_for_memory() > site.killed_for_memory)
    assert group["ends"][cause] == 1
    assert ctl("reload", "a.example").returncode == 0
    until(lambda: "reload or stop" in ctl.group("a.example")["ends"], "the reload")


def test_the_queue_is_seen(httpd, ctl, marks):
    httpd.wsgi(httpd.app("waits.wsgi", WAITS), f'CGatewayEnv GO "{marks}/go"',
               "CGatewayProcesses 1", "CGatewayThreads 1", *HANDLERS)
    httpd.start()
    assert ctl("wait-ready").returncode == 0
    if ctl.group("a.example")["queue"]["length"] is None:
        pytest.skip("the kernel does not tell (no unix_diag)")
    threads = [threading.Thread(target=httpd.get, args=("/?wait",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: ctl.group("a.example")["queue"]["length"] == 3, "three that wait")
    (marks / "go").touch()
    for thread in threads:
        thread.join()
    assert ctl.group("a.example")["queue"]["length"] == 0


# ---- metrics --------------------------------------------------------------------------

def test_metrics_tell_what_happened(site):
    for _ in range(3):
        site.get("/")
    until(lambda: metric(site.get("/status?openmetrics").text, "cgateway_requests_total",
                         group="a.example") == 3, "three requests that have ended")
    text = site.get("/status?openmetrics").text
    assert metric(text, "cgateway_group_ready", group="a.example") == 1
    assert metric(text, "cgateway_threads", group="a.example") == 16
    assert metric(text, "cgateway_request_duration_seconds_bucket", group="a.example",
                  le="+Inf") == 3
    assert metric(text, "cgateway_memory_bytes", group="a.example") > 1e6


def test_openmetrics_is_sent_where_it_is_accepted(site):
    answer = site.get("/status?openmetrics", headers={
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE cgateway_requests counter\n" in answer.text


def test_promtool_has_nothing_to_say(site):
    need("promtool")
    site.get("/")
    run = subprocess.run(["promtool", "check", "metrics"], capture_output=True, text=True,
                         input=site.get("/status?openmetrics").text)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_prometheus_scrapes_it(site, tmp_path):
    need("prometheus")
    site.get("/")
    (tmp_path / "prometheus.yml").write_text(f"""
scrape_configs:
- job_name: cgateway
  scrape_interval: 1s
  scrape_timeout: 1s
  metrics_path: /status
  params: {{openmetrics: [""]}}
  static_configs: [{{targets: ["127.0.0.1:{site.port}"]}}]
""")
    port = private_httpd.free_port()
    with subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path}/prometheus.yml",
             f"--storage.tsdb.path={tmp_path}/data",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus:
        def query(expression):
            url = (f"http://127.0.0.1:{port}/api/v1/query?query="
                   + urllib.parse.quote(expression))
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                    return json.load(answer)["data"]["result"]
            except OSError:
                return []
        try:
            found = until(lambda: query("cgateway_requests_total"), "a scrape", 120)
            assert found[0]["metric"]["group"] == "a.example"
            assert float(found[0]["value"][1]) >= 1
            until(lambda: query("up")[0]["value"][1] == "1", "a scrape in time")
        finally:
            prometheus.terminate()


# ---- browser --------------------------------------------------------------------------

def chromium(site, tmp_path, *options):
    """Its standard output, having loaded the page and run its script for a while."""
    return subprocess.run(
        [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile",
         "--host-resolver-rules=MAP a.example 127.0.0.1", "--virtual-time-budget=8000",
         "--window-size=1280,1000", *options, f"http://a.example:{site.port}/status"],
        capture_output=True, text=True, timeout=180,
        env={**os.environ, "HOME": str(tmp_path)}).stdout


def test_it_renews_itself_in_a_browser(site, tmp_path):
    """`live` is put there once a renewal came through, under the page's own policy."""
    text = chromium(site, tmp_path, "--dump-dom")
    assert re.search(r'id="live">live<', text), text[-3000:]
    assert text.count("<section id=") == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_of_it(site, tmp_path, theme):
    """For people: kept where CGW_TEST_ARTIFACTS says."""
    for _ in range(10):
        site.get("/")
    kept = pathlib.Path(os.environ.get("CGW_TEST_ARTIFACTS", tmp_path))
    kept.mkdir(exist_ok=True)
    picture = kept / f"status-{theme}.png"
    chromium(site, tmp_path, f"--screenshot={picture}",
             *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
               if theme == "dark" else []))
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 10000


# ---- mod_status -----------------------------------------------------------------------

def test_mod_status_has_a_section(httpd, ctl):
    httpd.load("status")
    httpd.wsgi("info.wsgi", "<Location /server-status>", "SetHandler server-status",
               "</Location>")
    httpd.start()
    assert ctl("wait-ready").returncode == 0
    httpd.get("/")
    assert "<h2>cgateway</h2>" in httpd.get("/server-status").text
    # a request counts when its thread is free again, after the client has the answer
    until(lambda: re.search(r"^cgateway a\.example: serving \S+ 0 16 0 1$",
                            httpd.get("/server-status?auto").text, re.M),
          "one request that has ended")


# ---- readiness ------------------------------------------------------------------------

def test_ready_follows_the_group(site, ctl):
    assert (site.get("/ready").status, site.get("/ready").text) == (200, "ready\n")
    assert ctl("stop", "a.example").returncode == 0
    answer = site.get("/ready")
    assert answer.status == 503 and answer.text == "not ready: a.example\n"
    assert answer.headers["Retry-After"]
    assert ctl("start", "a.example").returncode == 0
    assert site.get("/ready").status == 200


def test_drain_makes_it_unready_and_serves_on(site, ctl):
    for words in ((), ("a.example",)):
        assert ctl("drain", *words).returncode == 0
        assert site.get("/ready").status == 503
        assert site.get("/").status == 200
        site.graceful()
        assert site.get("/ready").status == 503, "a graceful restart takes it back"
        assert ctl("undrain", *words).returncode == 0
        assert site.get("/ready").status == 200


def test_it_asks_for_the_groups_of_its_virtual_host_or_those_named(httpd, ctl):
    httpd.wsgi("info.wsgi", *HANDLERS)
    httpd.wsgi("info.wsgi", *HANDLERS, name="b.example")
    httpd.vhost("health.example", *HANDLERS)
    httpd.start()
    assert ctl("wait-ready").returncode == 0
    assert ctl("drain", "b.example").returncode == 0
    assert httpd.get("/ready").status == 200
    assert httpd.get("/ready", host="b.example").status == 503
    assert httpd.get("/ready", host="health.example").text == "not ready: b.example\n"
    assert httpd.get("/ready?group=a.example", host="health.example").status == 200
    assert httpd.get("/ready?group=a.example&group=b%2Eexample").status == 503
    assert httpd.get("/ready?group=c.example").status == 503


def test_a_group_that_starts_is_not_ready(httpd, marks):
    httpd.wsgi(httpd.app("late.wsgi", f"""
import os, time
while not os.path.exists({str(marks / "go")!r}):
    time.sleep(0.01)
from wsgiref.simple_server import demo_app as application
"""), *HANDLERS)
    httpd.start()
    assert httpd.get("/ready").status == 503
    (marks / "go").touch()
    until(lambda: httpd.get("/ready").status == 200, "readiness")


def test_without_a_supervisor_nothing_is_ready(httpd):
    httpd.expect_log("CGW0190")
    httpd.vhost("a.example", *HANDLERS)
    httpd.start()
    assert httpd.get("/ready").status == 503
    assert httpd.get("/status").status == 503


def test_a_site_keeps_its_urls_unless_they_are_configured(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    assert httpd.get("/cgateway-status").json()["pid"] in httpd.workers("a.example")
    assert PYTHON
