# SPDX-License-Identifier: Apache-2.0
"""cgatewayctl's orders: reload, restart, stop, start, drain, and waiting for them; what
requests meet meanwhile, and who may give them."""

import contextlib
import http.client
import os
import signal
import threading

import pytest

from harness.ctl import Ctl
from harness.httpd import until
from harness.load import Load
from harness.paths import AS_ROOT, HTTPD_USER, PATIENCE

OK, FAILED, USAGE, UNREACHABLE, REFUSED, NO_GROUP, TIMEOUT = range(7)

SLOW = """
import os, time

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/slow":
        open(os.environ["MARK"], "w").close()
        while not os.path.exists(os.environ["GO"]):
            time.sleep(0.02)
    return [b"%d" % os.getpid()]
"""

TURN = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{}"]
"""


@pytest.fixture
def ctl(httpd):
    return Ctl(httpd)


@pytest.fixture
def site(httpd, ctl):
    """a.example as user games, which holds a request to /slow until `go` is there."""
    shared = httpd.mkdir("shared", owner="games")
    httpd.wsgi(httpd.app("slow.wsgi", SLOW), f'CGatewayEnv MARK "{shared}/mark"',
               f'CGatewayEnv GO "{shared}/go"', "CGatewayEnv SECRET k3y",
               *(["CGatewayUser games"] if AS_ROOT else []))
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    httpd.shared = shared
    return httpd


class Held:
    """A request that runs until it is let go."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.answer = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        until((httpd.shared / "mark").exists, "the request to run")

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.answer = self.httpd.get("/slow")

    def release(self):
        (self.httpd.shared / "go").touch()
        self.thread.join()
        return self.answer


# ---- reload -----------------------------------------------------------------------

def test_reload_waits_for_the_new_generation(site, ctl):
    old = site.get("/").text
    answer = ctl.json("reload", "a.example")
    assert answer["generation"] == 2
    assert site.get("/").text != old
    assert ctl("reload", "a.example").stdout == "a.example: generation 3 serves\n"


def test_after_a_reload_the_old_code_answers_nobody(httpd, ctl):
    """Each time, whatever the machine does at that moment."""
    httpd.wsgi(httpd.app("turn.wsgi", TURN.format(0)), "CGatewayProcesses 4",
               "CGatewayWatch Off")
    httpd.start()
    assert ctl("wait-ready").returncode == OK
    with Load(httpd, "/", clients=3) as load:
        for turn in range(1, 9):
            httpd.app("turn.wsgi", TURN.format(turn))
            answer = ctl.ask(b"reload a.example\n")
            ctl.ask(b"await a.example %d\n" % answer["generation"])
            assert [httpd.get("/").text for _ in range(8)] == [str(turn)] * 8
    assert load.failures == []


def test_a_worker_that_does_not_answer_does_not_hold_up_a_reload(site, ctl):
    """It accepts nothing, either."""
    stopped = site.workers("a.example")[0]
    os.kill(stopped, signal.SIGSTOP)
    assert ctl("reload", "a.example").returncode == OK
    os.kill(stopped, signal.SIGCONT)
    until(lambda: stopped not in site.processes(), "its end")


def test_reload_of_a_broken_application_fails_and_says_why(site, ctl):
    site.expect_log("CGW0221", "CGW0230", "CGW0411", r"\] a\.example: ")
    site.app("slow.wsgi", "raise ValueError('no such database')\n")
    run = ctl("reload", "a.example")
    assert run.returncode == FAILED
    assert "ValueError: no such database" in run.stderr
    assert "generation" in run.stderr and run.stdout == ""
    assert site.get("/").status == 200, "the former generation does not serve"


def test_reload_need_not_be_waited_for(site, ctl):
    assert ctl.json("reload", "a.example", "--no-wait")["generation"] == 2
    assert ctl("wait-ready", "a.example").returncode == OK
    until(lambda: ctl.group("a.example")["generation"] == 2, "the reload")


# ---- stop, start, restart -----------------------------------------------------------

def test_a_stopped_group_refuses_requests_until_it_is_started(site, ctl):
    site.expect_log("CGW0121")
    assert ctl("stop", "a.example").stdout == "a.example: stopped\n"
    assert site.group_processes("a.example") == []
    answer = site.get("/")
    assert answer.status == 503 and "Retry-After" in answer.headers
    assert ctl.group("a.example")["state"] == "stopped"
    assert ctl("reload", "a.example").returncode == FAILED
    run = ctl("wait-ready", "--timeout", "0.2")
    assert run.returncode == TIMEOUT
    assert ctl("start", "a.example").returncode == OK
    assert site.get("/").status == 200


def test_a_stopped_group_stays_so_over_graceful_and_starts_with_httpd(site, ctl):
    site.expect_log("CGW0121")
    ctl("stop", "a.example")
    site.graceful()
    assert site.get("/").status == 503
    assert ctl.group("a.example")["state"] == "stopped"
    site.restart()
    assert site.get("/").status == 200


def test_stop_lets_requests_end(site, ctl):
    held = Held(site)
    stop = ctl.start("stop", "a.example")
    until(lambda: ctl.group("a.example")["state"] == "stopped", "the stop")
    assert stop.poll() is None, "stop returned while a request runs"
    assert held.release().status == 200
    assert stop.wait(PATIENCE) == OK


def test_stop_now_does_not(site, ctl):
    site.expect_log(r"CGW01\d\d")
    held = Held(site)
    assert ctl("stop", "a.example", "--now").returncode == OK
    held.thread.join()
    assert held.answer.status in (502, 503)
    assert ctl("start", "a.example").returncode == OK


def test_a_stop_that_somebody_takes_back_says_so(site, ctl):
    held = Held(site)
    stop = ctl.start("stop", "a.example")
    until(lambda: ctl.group("a.example")["state"] == "stopped", "the stop")
    assert ctl("start", "a.example").returncode == OK
    assert stop.wait(PATIENCE) == FAILED
    assert "started again" in stop.stderr.read()
    assert held.release().status == 200


def test_restart_runs_nothing_beside_the_old_and_loses_no_request(site, ctl):
    held = Held(site)
    old = set(site.group_processes("a.example"))
    restart = ctl.start("restart", "a.example")
    until(lambda: ctl.group("a.example")["state"] == "starting", "the restart")
    waiting = threading.Thread(target=lambda: setattr(held, "later", site.get("/")))
    waiting.start()
    assert set(site.group_processes("a.example")) <= old
    assert held.release().status == 200
    assert restart.wait(PATIENCE) == OK
    waiting.join()
    assert held.later.status == 200
    assert not set(site.group_processes("a.example")) & old


def test_restart_now_frees_a_group_that_hangs(site, ctl):
    site.expect_log(r"CGW01\d\d")
    held = Held(site)
    (site.shared / "mark").unlink()
    answer = ctl.json("restart", "a.example", "--now")
    assert answer["generation"] == 2
    until((site.shared / "mark").exists, "its repetition, being safe to repeat")
    assert held.release().status == 200
    assert site.get("/").status == 200


def test_a_group_that_sleeps_takes_orders_too(httpd, ctl):
    httpd.wsgi("info.wsgi", "CGatewayStart demand", "<Location /ready>",
               "SetHandler cgateway-ready", "</Location>")
    httpd.expect_log("CGW0121")
    httpd.start()
    until(lambda: ctl.group("a.example")["state"] == "asleep", "the configuration")
    assert httpd.get("/ready").status == 200, "a request would wake it"
    assert ctl("wait-ready").returncode == OK
    assert ctl("stop", "a.example").returncode == OK
    assert httpd.get("/").status == 503, "a request wakes what was stopped"
    assert httpd.get("/ready").status == 503
    assert ctl("start", "a.example").returncode == OK
    assert httpd.get("/").status == 200
    assert ctl.json("restart", "a.example")["generation"] == 2
    assert ctl.json("reload", "a.example")["generation"] == 3
    assert ctl.group("a.example")["state"] == "serving"


def test_orders_that_cross_end_well(site, ctl):
    """Whatever comes of them, the group serves when the last one says so."""
    orders = [ctl.start(order, "a.example") for order in
              ("reload", "restart", "reload", "stop", "restart", "start", "reload")]
    for order in orders:
        assert order.wait(2 * PATIENCE) in (OK, FAILED)
    assert ctl("start", "a.example").returncode == OK
    assert ctl("wait-ready", "a.example").returncode == OK
    assert site.get("/").status == 200
    until(lambda: len(ctl.group("a.example")["generations"]) == 1, "the others' end")


def test_httpd_ends_while_a_group_restarts(site, ctl):
    held = Held(site)
    restart = ctl.start("restart", "a.example")
    until(lambda: ctl.group("a.example")["state"] == "starting", "the restart")
    site.expect_log(r"CGW01\d\d", "AH00045", "AH00046")
    site.signal(signal.SIGTERM)
    held.release()
    site.stop()
    assert restart.wait(PATIENCE) in (UNREACHABLE, FAILED, OK)    # it may be done before


# ---- looking in ---------------------------------------------------------------------

def test_requests_shows_what_runs(site, ctl):
    assert ctl.json("requests", "a.example")["requests"] == []
    held = Held(site)
    found, = ctl.json("requests", "a.example")["requests"]
    assert found["request"] == "GET /slow" and found["state"] in ("running", "client")
    assert found["pid"] in site.group_processes("a.example")
    until(lambda: ctl.json("requests", "a.example")["requests"][0]["age_ms"] > 100,
          "its age")
    assert "GET /slow" in ctl("requests", "a.example").stdout
    held.release()


def test_env_shows_values_to_root_only(site, ctl):
    found = ctl.json("env", "a.example")["environment"]
    assert found["SECRET"] == "k3y" and "PATH" in found
    assert "SECRET=k3y\n" in ctl("env", "a.example").stdout


def test_env_masks_values_for_the_group_s_user(site, ctl, as_root):
    found = ctl.json("env", "a.example", user="games")["environment"]
    assert "SECRET" in found and set(found.values()) == {None}
    assert "k3y" not in ctl("env", "a.example", user="games").stdout


# ---- waiting ------------------------------------------------------------------------

def test_wait_ready_waits_for_httpd_itself(httpd, ctl):
    httpd.wsgi("info.wsgi")
    wait = ctl.start("wait-ready", "--timeout", "60")
    httpd.start()
    assert wait.wait(PATIENCE) == OK
    assert ctl.group("a.example")["state"] == "serving"


def test_wait_ready_gives_up(httpd, ctl):
    assert ctl("wait-ready", "--timeout", "0.2").returncode == UNREACHABLE


def test_the_orders_that_are_malformed(site, ctl):
    for line in (b"stop a.example later\n", b"await a.example x\n", b"await a.example 0\n",
                 b"reload\n", b"restart\n", b"env\n"):
        assert ctl.ask(line)["error"] == "usage", line
    for words in (("reload",), ("wait-ready", "--timeout", "-1"), ("stop", "a", "b")):
        assert ctl(*words).returncode == USAGE
    assert ctl("reload", "c.example").returncode == NO_GROUP


# ---- who may ------------------------------------------------------------------------

ORDERS = ("reload", "restart", "stop", "start", "requests", "env")


def test_the_owner_may_everything_with_the_own_group(site, ctl, as_root):
    for order in ORDERS:
        assert ctl(order, "a.example", user="games").returncode == OK, order
    assert ctl("drain", "a.example", user="games").returncode == OK
    assert ctl("undrain", "a.example", user="games").returncode == OK
    assert ctl("wait-ready", user="games").returncode == OK


def test_others_may_nothing(site, ctl, as_root):
    site.vhost("b.example", f'CGatewayApplication "{site.app("info.wsgi")}"',
               "CGatewayPython /usr/bin/python3", "CGatewayUser news")
    site.graceful()
    assert ctl("wait-ready").returncode == OK
    until(lambda: ctl.group("a.example")["generation"] == 2, "the reload by graceful")
    site.expect_log("CGW0310")
    before = ctl.group("a.example")["generation"]
    for user in ("news", HTTPD_USER, "daemon"):
        for order in (*ORDERS, "drain", "undrain"):
            assert ctl(order, "a.example", user=user).returncode == REFUSED, (user, order)
    assert ctl("drain", user="news").returncode == REFUSED, "of everything"
    assert ctl.group("a.example")["generation"] == before
