"""Debian's nginx as ``flame-flwr provision --proxy nginx`` sets it up, before the shared SuperLink.

``make test-proxy`` installs it and runs this; ``tests/unit/deploy`` has the files.
"""

import json
import os
import pickle
import shutil
import signal
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
from flower_app import write_package
from ports import free_port

from flame_flwr.deploy.keys import client_pair

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.deployed,
    pytest.mark.exhaustive,
    pytest.mark.skipif(not NGINX, reason="needs nginx (make test-proxy installs it, as root)"),
]

MAIN = """
daemon off;
pid "{folder}/nginx.pid";
error_log stderr;
events {{}}
http {{
    access_log "{folder}/access.log";
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    include "{config}";
}}
"""
SOURCE = """
import numpy as np

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Large(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return np.arange(2_000_000.0)  # 16 MB, in pieces of 5 MB


class Sum(StarAggregator):
    def aggregation_method(self, analysis_results):
        return float(sum(result.sum() for result in analysis_results))

    def has_converged(self, result, last_result):
        return True


model = StarModel(Large, Sum, "s3", filename="sum.pkl", output_type="pickle")
server_app = model.server_app
client_app = model.client_app
"""


class Proxied:
    """nginx before the shared SuperLink, with the files that a federation behind it gets."""

    def __init__(self, deployment, folder):
        self.port, self.folder, self.deployment = free_port(), folder, deployment
        self.parties = folder / "study"
        text = deployment.file.read_text()
        ports = f"port = {self.port}\nlocal-port = {deployment.port}\n"
        ports += f"folder = {json.dumps(str(self.parties / 'server'))}"
        (folder / "study.toml").write_text(text.replace(f"port = {deployment.port}", ports, 1))
        deployment.provision(folder / "study.toml", "--proxy", "nginx")
        for file in ("server/server.pem", "server/server.key", "server/ca.pem", "analyst/ca.pem"):
            shutil.copy(deployment.parties / file, self.parties / file)  # of the one that runs
        main = MAIN.format(folder=folder, config=self.parties / "server" / "nginx.conf")
        (folder / "main.conf").write_text(main)
        deployment.start("nginx", NGINX, "-p", folder, "-c", folder / "main.conf")
        deployment.wait_for("nginx listens", self.listens)

    def listens(self):
        assert self.deployment.processes["nginx"].poll() is None, self.deployment.log("nginx")
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, path, content=b"", pair=None):
        """Send a request as somebody with a certificate, or without; return the status."""
        tls = ssl.create_default_context(cafile=self.parties / "analyst" / "ca.pem")
        if pair is not None:
            tls.load_cert_chain(*pair)
        with httpx.Client(verify=tls, timeout=30) as client:
            url = httpx.URL(f"https://localhost:{self.port}", raw_path=path.encode())
            headers = {"content-type": "application/protobuf"}
            return client.request("POST", url, content=content, headers=headers).status_code

    def analyst(self, *command, **more):
        connect = self.parties / "analyst" / "connect.sh"
        return self.deployment.command("sh", connect, *command, timeout=300, **more)


@pytest.fixture(scope="module")
def proxied(deployment, tmp_path_factory):
    made = Proxied(deployment, tmp_path_factory.mktemp("behind a proxy"))
    try:
        yield made
    finally:
        deployment.stop("nginx")


def stranger(folder):
    """Somebody's own certificate, which no list of analysts has."""
    pair = folder / "stranger.pem", folder / "stranger.key"
    for file, content in zip(pair[::-1], client_pair("x", datetime.now(UTC), 9), strict=True):
        file.write_bytes(content)
    return pair


def test_the_outside_reaches_hospitals_part_only(proxied, tmp_path):
    analyst = proxied.parties / "analyst" / "analyst.pem", proxied.parties / "analyst/analyst.key"
    server = proxied.parties / "server" / "server.pem", proxied.parties / "server/server.key"
    runs = "/v1/control/list-runs"
    for path in (
        runs,
        "/v1/control/start-run",
        "/v1/control/register-node",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/..%2fcontrol/list-runs",
        "//v1/control/list-runs",
        "/v1/%63ontrol/list-runs",
    ):
        assert proxied.ask(path) == 403, path
    for path in ("/v1/runtime/acquire-task", "/v1/responses", "/", "/docs"):
        assert proxied.ask(path) == 404, path
    assert proxied.ask("/v1/fleet/pull-messages") == 401  # Flower asks for a hospital's key
    assert proxied.ask(runs, pair=stranger(tmp_path)) == 400
    assert proxied.ask(runs, pair=server) == 400
    assert proxied.ask(runs, pair=analyst) == 200
    large = bytes(65 << 20)
    assert proxied.ask("/v1/fleet/push-object", large) == 413


def test_a_run_goes_through_the_proxy(proxied, tmp_path):
    deployment = proxied.deployment
    results = deployment.folder / "var" / "results"
    write_package(tmp_path, "large", SOURCE, {"nodes": "", "results": str(results)})
    node = deployment.parties / "near" / "start.sh"
    deployment.configure("near", data=str(deployment.folder / "data"))
    deployment.start("near", node, FLAME_SERVER=f"localhost:{proxied.port}")
    before = set(results.glob("*/run.json"))
    try:
        said = proxied.analyst(
            "flame-flwr", "submit", tmp_path, "study", "--run-config", 'nodes="near"'
        )
    finally:
        deployment.stop("near")
    assert "completed" in said
    [about] = set(results.glob("*/run.json")) - before
    plain = 0.0
    for number in range(2_000_000):
        plain += number
    assert pickle.loads((about.parent / "sum.pkl").read_bytes()) == plain
    access = (proxied.folder / "access.log").read_text()
    assert "/v1/fleet/push-object" in access
    assert " 5" not in {line.split('"')[2][:2] for line in access.splitlines()}, access[-3000:]


def test_who_is_out_of_the_list_is_out(proxied, tmp_path):
    listed = proxied.parties / "server" / "analysts.pem"
    list_nodes = ("flwr", "supernode", "list", "study")
    node = (proxied.deployment.parties / "server" / "keys" / "near.id").read_text().strip()
    assert node in proxied.analyst(*list_nodes, "--format", "json")
    kept = listed.read_bytes()
    listed.write_bytes(stranger(tmp_path)[0].read_bytes())
    nginx = proxied.deployment.processes["nginx"].pid
    os.kill(nginx, signal.SIGHUP)
    analyst = proxied.parties / "analyst" / "analyst.pem", proxied.parties / "analyst/analyst.key"
    refused = partial(proxied.ask, "/v1/control/list-runs", pair=analyst)
    proxied.deployment.wait_for("the new list", lambda: refused() == 400)
    try:
        said = proxied.analyst(*list_nodes, "--format", "json", expect=None)
        assert "400 Bad Request" in said
    finally:
        listed.write_bytes(kept)
        os.kill(nginx, signal.SIGHUP)
        proxied.deployment.wait_for("the list as it was", lambda: refused() == 200)


def test_others_on_the_host_get_no_certificate(proxied):
    """The command runs for a while, and another user tries the port that it has."""
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0 or not setpriv:
        pytest.skip("needs root and setpriv, to be another user")
    look = "import os,re; print(re.search('127.0.0.1:(\\\\d+)', open(os.environ['FLWR_HOME'] + "
    look += "'/config.toml').read())[1], flush=True); input()"
    command = ["sh", proxied.parties / "analyst" / "connect.sh", "python", "-c", look]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/health"
        assert httpx.get(url, timeout=20).is_success
        code = f"import urllib.request as u; u.urlopen({url!r}, timeout=20)"
        other = [setpriv, "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", code]
        done = subprocess.run(other, cwd="/", capture_output=True, text=True, timeout=60)
        process.communicate("\n", timeout=20)
    assert done.returncode == 1
    assert "Disconnected" in done.stderr or "reset" in done.stderr, done.stderr
    assert process.returncode == 0
