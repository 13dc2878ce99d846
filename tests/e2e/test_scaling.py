# SPDX-License-Identifier: Apache-2.0
"""Nodes in network namespaces of their own behind HAProxy, or mod_proxy_balancer, with the
configurations of docs/scaling.md: a node leaves, comes back, is killed, is added, and no
GET fails."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

import private_httpd
from harness.client import Connection
from harness.ctl import Ctl
from harness.httpd import Httpd, until
from harness.load import Load
from harness.paths import AS_ROOT, PATIENCE, PRELOAD, ROOT

HAPROXY = private_httpd.which("haproxy")
HOST = "shop.example.com"
PORT = 8080
APP = """\
import json
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"node": %r}).encode()]
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def namespaces_work():
    name = f"cgwtry{os.getpid()}"
    made = AS_ROOT and shutil.which("ip") and ip("netns", "add", name).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


pytestmark = [
    pytest.mark.skipif(bool(PRELOAD), reason="about the network, not about memory"),
    pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed"),
    pytest.mark.skipif(not namespaces_work(), reason="no network namespaces here")]


class Node(Httpd):
    """An httpd in a network namespace that this machine reaches by one address."""

    def __init__(self, number):
        super().__init__()
        # of the range for benchmarks (RFC 2544), a network of four addresses each
        self.unique = f"{os.getpid() % 100000}"
        self.namespace = f"cgw{self.unique}n{number}"
        self.link = f"cgw{self.unique}v{number}"
        net = f"198.18.{os.getpid() % 250}.{number * 4}".rsplit(".", 1)
        self.gateway, self.address = (f"{net[0]}.{int(net[1]) + i}" for i in (1, 2))
        self.make_network()
        self.name = f"node{number}"
        self.app("node.wsgi", APP % self.name)
        self.main(f"Listen {self.address}:{PORT}")
        self.vhost(HOST, f'CGatewayApplication "{self.root}/apps/node.wsgi"',
                   "<Location /ready>", "SetHandler cgateway-ready", "</Location>",
                   port=PORT)

    def make_network(self):
        for words in (
                ["netns", "add", self.namespace],
                ["link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns",
                 self.namespace],
                ["addr", "add", f"{self.gateway}/30", "dev", self.link],
                ["link", "set", self.link, "up"],
                ["-n", self.namespace, "addr", "add", f"{self.address}/30", "dev", "eth0"],
                ["-n", self.namespace, "link", "set", "eth0", "up"],
                ["-n", self.namespace, "link", "set", "lo", "up"]):
            run = ip(*words)
            assert run.returncode == 0, f"{words}: {run.stderr}"

    def command(self, *arguments):
        command = super().command(*arguments)
        command["args"] = ["ip", "netns", "exec", self.namespace, *command["args"]]
        return command

    def has_started(self):
        if self.process.poll() is not None:
            return True
        with contextlib.suppress(OSError):
            socket.create_connection((self.address, PORT), 1).close()
            return (self.root / "httpd.pid").exists()
        return False

    def die(self):
        """As if somebody had pulled the plug."""
        private_httpd.end_processes(self.processes())
        self.process.wait(PATIENCE)
        shutil.rmtree(self.root / "run", ignore_errors=True)

    def remove(self):
        ip("netns", "del", self.namespace)
        ip("link", "del", self.link)
        super().remove()


class Balancer:
    """HAProxy as docs/scaling.md configures it."""

    def __init__(self, nodes, directory):
        self.nodes, self.directory = nodes, directory
        self.port = private_httpd.free_port()
        page = (ROOT / "docs" / "scaling.md").read_text()
        text = re.search(r"```haproxy\n(.*?)```", page, re.S)[1]
        text = text.replace("bind :80", f"bind 127.0.0.1:{self.port}")
        for node, address in zip(nodes, ("192.0.2.11", "192.0.2.12", "192.0.2.13")):
            text = text.replace(f"{address}:80", f"{node.address}:{PORT}")
        text = text.replace("global\n", f"global\n    stats socket {directory}/stats\n")
        (directory / "haproxy.cfg").write_text(text)
        self.process = subprocess.Popen(
            [HAPROXY, "-db", "-f", directory / "haproxy.cfg"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def states(self):
        """Server -> UP or DOWN."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as stats:
            stats.settimeout(PATIENCE)
            stats.connect(str(self.directory / "stats"))
            stats.sendall(b"show stat\n")
            data = b""
            while part := stats.recv(65536):
                data += part
            rows = [line.split(",") for line in data.decode().splitlines()]
            return {row[1]: row[17].split()[0] for row in rows
                    if row[:1] == ["nodes"] and row[1] != "BACKEND"}
        return {}

    def wait(self, **wanted):
        until(lambda: wanted.items() <= self.states().items(),
              f"{wanted}; the states are {self.states()}")

    def get(self, path, headers=()):
        with Connection(self.port, HOST, PATIENCE) as connection:
            return connection.get(path, headers)

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


class ProxyBalancer:
    """httpd as docs/scaling.md has it for a load balancer."""

    def __init__(self, nodes, httpd):
        self.httpd, self.port = httpd, httpd.port
        page = (ROOT / "docs" / "scaling.md").read_text()
        text = next(text for text in re.findall(r"```apache\n(.*?)```", page, re.S)
                    if "BalancerMember" in text)
        text = text.replace("*:80", f"*:{httpd.port}")
        for node, address in zip(nodes, ("192.0.2.11", "192.0.2.12")):
            text = text.replace(f"{address}:80", f"{node.address}:{PORT}")
        httpd.is_plain = True
        httpd.load("proxy", "proxy_http", "proxy_balancer", "proxy_hcheck", "slotmem_shm",
                   "lbmethod_byrequests")
        # a node is disabled, or asked how it is while it is not there
        httpd.expect_log("AH03324", "AH03325", "AH00957: HCOH: ")
        httpd.main(text)
        httpd.start()

    get = Balancer.get


@pytest.fixture
def nodes():
    made = []
    try:
        for number in range(1, 4):
            made.append(Node(number))
            made[-1].expect_log("CGW", "AH")
        yield made
        faults = [fault for node in made for fault in node.check()]
        assert not faults, "\n".join(faults)
    finally:
        for node in made:
            node.check_processes()
            node.remove()


def seen(load):
    """Which nodes answer from now on; what is under way may come from anywhere."""
    load.settle()
    start = len(load.answers)
    until(lambda: len(load.answers) > start + 60 or load.failures, "answers")
    return {told["node"] for told in load.answers[start:]}


def test_nodes_leave_come_back_die_and_are_added(nodes, tmp_path):
    one, two, three = nodes
    one.start()
    two.start()
    balancer = Balancer(nodes, tmp_path)
    try:
        balancer.wait(one="UP", two="UP", three="DOWN")
        with Load(balancer, "/") as load:
            until(lambda: seen(load) == {"node1", "node2"}, "answers of both")
            three.start()                       # added
            balancer.wait(three="UP")
            until(lambda: seen(load) == {"node1", "node2", "node3"}, "answers of all")

            ctl = Ctl(one)                      # leaves
            assert ctl("drain").returncode == 0
            balancer.wait(one="DOWN")
            assert seen(load) <= {"node2", "node3"}
            one.stop()
            assert seen(load) <= {"node2", "node3"}

            one.start()                         # comes back
            balancer.wait(one="UP")
            until(lambda: "node1" in seen(load), "its answers")

            two.die()
            balancer.wait(two="DOWN")
            assert seen(load) <= {"node1", "node3"}
        assert load.failures == []
    finally:
        balancer.end()


def test_mod_proxy_balancer_asks_the_nodes_whether_they_are_ready(nodes, httpd):
    one, two, _ = nodes
    for node in (one, two):
        # The balancer asks by address: its questions end in the first virtual host.
        node.parts = {"first": f"<VirtualHost *:{PORT}>\nServerName first\n</VirtualHost>",
                      **node.parts, "ready": "<Location /ready>\n"
                      "SetHandler cgateway-ready\n</Location>"}
        node.start()
        assert Ctl(node)("wait-ready").returncode == 0
    balancer = ProxyBalancer([one, two], httpd)
    with Load(balancer, "/") as load:
        until(lambda: seen(load) == {"node1", "node2"}, "answers of both")
        for leaves, stays in ((one, two), (two, one)):
            assert Ctl(leaves)("drain").returncode == 0
            until(lambda: seen(load) == {stays.name}, f"{leaves.name} to be left alone")
            leaves.stop()
            assert seen(load) == {stays.name}
            leaves.start()
            until(lambda: leaves.name in seen(load), "its answers")
    assert load.failures == []


# ---- containers: their form ----------------------------------------------------------

CONTAINER = ROOT / "examples" / "container"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "CMD"}


def test_the_containerfile_copies_what_is_there():
    text = (CONTAINER / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} == INSTRUCTIONS
    for line in lines:
        words = line.split()
        if words[0] == "COPY" and not words[1].startswith("--from"):
            assert (ROOT / words[1]).exists(), line
        if words[0] == "CMD":
            assert json.loads(line[4:])[0] == "apache2"


def test_the_manifest_has_probe_and_drain():
    yaml = pytest.importorskip("yaml")
    deployment, service = yaml.safe_load_all((CONTAINER / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert "cgatewayctl drain" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert service["spec"]["selector"] == pod["metadata"]["labels"] == \
        deployment["spec"]["selector"]["matchLabels"]
    config = (CONTAINER / "httpd.conf").read_text()
    assert "SetHandler cgateway-ready" in config
