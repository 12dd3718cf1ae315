"""A server behind a proxy: its files, and the forwarder that brings an analyst's certificate.

``tests/integration/test_proxy.py`` has nginx itself.
"""

import dataclasses
import shutil
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hanging import HANGS

from flame_flwr.deploy import provision, read_federation, with_proxy
from flame_flwr.deploy.keys import client_pair
from flame_flwr.errors import ConfigError

from .trial import NOW, contents

TEXT = """
name = "trial"
[server]
host = "flower.example.org"
folder = '''/etc/a "b" \\c'''
listen = "::"
[[hospitals]]
name = "hospital-a"
"""


@pytest.fixture
def behind(tmp_path):
    (tmp_path / "trial.toml").write_text(TEXT)
    federation = read_federation(tmp_path / "trial.toml")
    provision(with_proxy(federation, "nginx"), tmp_path / "proxied", NOW)
    provision(federation, tmp_path / "open", NOW)
    return contents(tmp_path / "open"), contents(tmp_path / "proxied")


def test_only_server_and_analyst_know_the_proxy(behind):
    without, proxied = behind
    new = {"server/nginx.conf", "server/analysts.pem", "analyst/analyst.key", "analyst/analyst.pem"}
    assert set(proxied) - set(without) == new
    assert proxied["server/analysts.pem"] == proxied["analyst/analyst.pem"]
    differ = {name for name in without if without[name] != proxied[name]}
    pages = {"README.md", "server/README.md", "analyst/README.md"}
    assert {name for name in differ if not name.endswith((".key", ".pem", ".pub"))} == pages | {
        "server/start.sh",
        "server/connect.sh",
    }
    assert b"listen=127.0.0.1\nport=8001\n" in proxied["server/start.sh"]
    assert b"server=127.0.0.1:8001\n" in proxied["server/connect.sh"]
    assert b"server=flower.example.org:8000\n" in proxied["analyst/connect.sh"]
    config = proxied["server/nginx.conf"].decode()
    assert "listen [::]:8000 ssl;" in config
    assert 'ssl_certificate_key "/etc/a \\"b\\" \\\\c/server.key";' in config
    assert b"asks nobody who they are" in without["server/README.md"]
    assert b"asks nobody who they are" not in proxied["server/README.md"]


@pytest.mark.parametrize(
    ("proxy", "change", "message"),
    [
        ("apache", {}, "there is a configuration for nginx, not for 'apache'"),
        ("nginx", {"local_port": 8000}, "`local-port` .* must not be `port`"),
        ("nginx", {"folder": "/etc/$a"}, r"`folder` in \[server\] must have no \$"),
    ],
)
def test_what_no_proxy_can_be_for(federation, proxy, change, message):
    server = dataclasses.replace(federation.server, folder="/etc/a")
    server = dataclasses.replace(server, **change)
    with pytest.raises(ConfigError, match=message):
        with_proxy(dataclasses.replace(federation, server=server), proxy)


class Known(BaseHTTPRequestHandler):
    """Says by which certificate it knows who asks."""

    def do_GET(self):
        [[(_, name)]] = self.connection.getpeercert()["subject"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(name.encode())

    def log_message(self, *args):
        pass


def test_a_command_has_the_analysts_certificate(certificates, tmp_path):
    key, certificate = client_pair("anna", datetime.now(UTC), 9)
    (tmp_path / "analyst.key").write_bytes(key)
    (tmp_path / "analyst.pem").write_bytes(certificate)
    shutil.copy(certificates / "ca.crt", tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    tls.load_verify_locations(tmp_path / "analyst.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    code = (
        "import os, tomllib, urllib.request as u\n"
        "config = tomllib.load(open(os.environ['FLWR_HOME'] + '/config.toml', 'rb'))\n"
        "address = config['superlink']['trial']['address']\n"
        "print(u.urlopen(f'http://{address}/', timeout=20).read().decode())\n"
        "raise SystemExit(7)"
    )

    def run(port):
        module = [sys.executable, "-m", "flame_flwr.deploy.forwarder", "trial", f"127.0.0.1:{port}"]
        command = [*module, str(tmp_path), sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, timeout=HANGS)

    with HTTPServer(("127.0.0.1", 0), Known) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run(server.server_port)
        server.shutdown()
    assert (done.returncode, done.stdout) == (7, "anna\n"), done.stderr
    done = run(server.server_port)
    assert f"connect.sh: 127.0.0.1:{server.server_port} cannot be reached: " in done.stderr
    assert done.returncode == 1
