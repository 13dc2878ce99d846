# SPDX-License-Identifier: Apache-2.0
"""`apachectl graceful`: the new generation beside the old, and no request fails."""

import os
import threading

from harness.httpd import until
from harness.load import Load
from harness.sites import Site

def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_changed_settings_module_under_load(httpd):
    site = Site(httpd, "shop", "a.example", "shop.settings")
    httpd.start()
    site.whoami()
    with Load(httpd, "/whoami") as load:
        until(lambda: len(load.answers) > 50, "the load")
        site.settings = "shop.settings_b"
        site.configure()
        httpd.graceful()
        until(lambda: load.answers[-1]["settings"] == "shop.settings_b",
              "the new settings")
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 50, "more of the load")
    assert load.failures == []
    pairs = {(a["settings"], a["site"]) for a in load.answers}
    assert pairs == {("shop.settings", "The Shop"), ("shop.settings_b", "The Other Shop")}
    old = {a["pid"] for a in load.answers if a["settings"] == "shop.settings"}
    until(lambda: not old & set(httpd.processes()), "the old workers to end")
    assert site.whoami()["settings"] == "shop.settings_b"


def test_ten_graceful_restarts_under_load_fail_no_request(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    parent = httpd.process.pid
    httpd.graceful()
    supervisor, before = httpd.supervisor(), descriptors(parent)
    with Load(httpd, "/") as load:
        for _ in range(10):
            seen = len(load.answers)
            httpd.graceful()
            until(lambda: len(load.answers) > seen + 10, "the load")
    assert load.failures == []
    assert httpd.supervisor() == supervisor, "the supervisor goes on"
    until(lambda: len(httpd.workers("a.example")) == 2, "the old generations to end")
    until(lambda: descriptors(parent) <= before, "httpd's parent to close descriptors")


def test_changed_code_is_deployed(httpd):
    app = httpd.app("version.wsgi", VERSION % "1")
    httpd.wsgi(app)
    httpd.start()
    assert httpd.get().text == "1"
    httpd.app("version.wsgi", VERSION % "2")
    httpd.graceful()
    # while a generation takes over, both answer
    until(lambda: {httpd.get().text for _ in range(20)} == {"2"}, "the new code alone")


def test_a_lone_client_is_served_through_graceful_restarts(httpd):
    """A worker that is told to drain just as a connection wakes it must not lose
    the wake-up: nobody else comes along to cause another."""
    app = httpd.app("plain.wsgi", VERSION % "1")
    httpd.wsgi(app, "CGatewayThreads 2", "CGatewayProcesses 4")
    httpd.start()
    stopped, served = threading.Event(), []

    def ask():
        while not stopped.is_set():
            served.append(httpd.get().status)

    client = threading.Thread(target=ask)
    client.start()
    try:
        for _ in range(25):
            until(lambda: len(httpd.workers("a.example")) == 4, "the former one to end")
            seen = len(served)
            httpd.graceful()
            until(lambda: len(served) > seen + 5 or not client.is_alive(), "the client")
    finally:
        stopped.set()
        client.join()
    assert set(served) == {200}


VERSION = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


def test_reload_on_graceful_changed_keeps_an_unchanged_group(httpd):
    httpd.wsgi("info.wsgi", "CGatewayReloadOnGraceful changed", name="kept.example")
    httpd.wsgi("info.wsgi", name="reloaded.example")
    httpd.start()
    kept = httpd.get(host="kept.example").json()["pid"]
    reloaded = httpd.get(host="reloaded.example").json()["pid"]
    until(lambda: len(httpd.workers("kept.example")) == 2, "two workers")
    kept_all = set(httpd.group_processes("kept.example"))
    httpd.graceful()
    until(lambda: reloaded not in httpd.processes(), "the reload of the other group")
    assert kept in httpd.processes()
    assert set(httpd.group_processes("kept.example")) == kept_all


def test_groups_come_and_go(httpd):
    httpd.wsgi("info.wsgi", name="stays.example")
    httpd.wsgi("info.wsgi", name="goes.example")
    httpd.start()
    assert httpd.get(host="goes.example").status == 200
    del httpd.parts[f"goes.example:{httpd.port}"]
    httpd.wsgi("info.wsgi", name="comes.example")
    httpd.graceful()
    environ = httpd.get(host="comes.example").json()["request"]
    assert environ["SERVER_NAME"] == "comes.example"
    until(lambda: not httpd.group_processes("goes.example"), "the removed group to end")
    until(lambda: not httpd.socket("goes.example").exists(), "its socket")
    assert httpd.get(host="stays.example").status == 200


def test_a_running_request_is_finished_by_the_old_generation(httpd):
    marks = httpd.mkdir("marks", owner="www-data")
    httpd.wsgi("failing.wsgi", f'CGatewayEnv MARKS "{marks}"')
    httpd.start()
    with httpd.raw() as raw:
        raw.send(b"GET /slow HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        running = until(lambda: list(marks.glob("slow-*")), "the request to run")
        old = int(running[0].name.split("-")[1])
        httpd.graceful()
        until(lambda: httpd.get("/ok").text != str(old), "the new generation")
        (marks / "go-on").touch()
        assert raw.receive_all()[0].endswith(str(old).encode())
    until(lambda: old not in httpd.processes(), "the old worker to end")


def test_restart_ends_everything_and_starts_anew(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    old = httpd.get().json()["pid"]
    httpd.restart()
    told = until(lambda: answered(httpd), "an answer after the restart")
    assert told["pid"] != old
    until(lambda: old not in httpd.processes(), "the old worker to end")


def answered(httpd):
    try:
        answer = httpd.get()
    except OSError:
        return None
    return answer.json() if answer.status == 200 else None


def test_stop_takes_no_longer_than_the_requests_it_ends(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    httpd.get()
    httpd.stop()
    until(lambda: not httpd.processes(), "every process to end", 25)
    assert not (httpd.root / "run").exists()


def test_runtime_directory_can_move(httpd):
    httpd.wsgi("info.wsgi")
    httpd.start()
    former = httpd.get().json()["pid"]
    httpd.main(f'CGatewayRuntimeDir "{httpd.root}/moved"')
    httpd.graceful()
    until(lambda: httpd.get().json()["pid"] != former, "a worker of the new directory")
    until(lambda: not (httpd.root / "run").exists(), "the former directory to go")
    httpd.stop()
    until(lambda: not (httpd.root / "moved").exists(), "the other one to go")
