"""``make test-ceph``: the tests of S3 sources against Ceph's object gateway.

It starts a monitor, one OSD in memory and a gateway on 127.0.0.1, in a folder of its own, and ends
them again. The programs are Debian's: ``apt-get install --no-install-recommends radosgw ceph-osd
ceph-mon``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
from ports import free_port

KEY, SECRET = "KEYOFTHETESTS", "secret-of-the-tests"
TESTS = [
    "tests/servers/test_s3_source.py",
    "tests/unit/data/test_registry_secrets.py",
    "tests/unit/data/test_registry_commands.py",
]
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")

CONFIG = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = {folder}
admin socket = {folder}/$cluster-$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
crash dir = {folder}
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw dns name = s3.test
rgw enable usage log = false
mon data avail crit = 1
mon data avail warn = 2
"""


class Ceph:
    """A cluster of one machine; in ``with``."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {"mon": free_port(), "rgw": free_port()}
        self.config = folder / "ceph.conf"
        self.endpoint = f"http://127.0.0.1:{self.ports['rgw']}"
        self._stack = ExitStack()

    def __enter__(self):
        fsid = str(uuid.uuid4())
        self.config.write_text(CONFIG.format(fsid=fsid, folder=self.folder, **self.ports))
        with self._stack:
            self._start_monitor(fsid)
            self._start_osd()
            self._start_gateway()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def run(self, *command):
        """Run one of Ceph's commands to its end."""
        command = [command[0], "-c", str(self.config), *map(str, command[1:])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _serve(self, *command):
        with (self.folder / "started.log").open("a") as log:
            process = subprocess.Popen(
                [command[0], "-c", str(self.config), "-f", *map(str, command[1:])],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._stack.callback(self._end, process)

    @staticmethod
    def _end(process):
        process.kill()
        process.wait(timeout=30)

    def _start_monitor(self, fsid):
        monmap, data = self.folder / "monmap", self.folder / "mon"
        address = f"[v1:127.0.0.1:{self.ports['mon']}]"
        command = ["monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(monmap)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--mon-data", data)
        self._serve("ceph-mon", "-i", "a", "--mon-data", data)

    def _start_osd(self):
        data = self.folder / "osd"
        data.mkdir()
        name = uuid.uuid4()
        number = self.run("ceph", "--connect-timeout", 60, "osd", "new", name).strip()
        self.run("ceph-osd", "-i", number, "--mkfs", "--osd-data", data, "--osd-uuid", name)
        self._serve("ceph-osd", "-i", number, "--osd-data", data)
        deadline = time.monotonic() + 60
        while "1 up" not in self.run("ceph", "--connect-timeout", 60, "osd", "stat"):
            if time.monotonic() > deadline:
                raise TimeoutError("Ceph's OSD is not up after 60 s")
            time.sleep(0.2)

    def _start_gateway(self):
        user = ["--uid=tests", "--display-name=tests", f"--access-key={KEY}", f"--secret={SECRET}"]
        self.run("radosgw-admin", "user", "create", *user)
        self._serve("radosgw", "-n", "client.rgw")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(self.endpoint, timeout=2).status_code < 500:
                    return
            time.sleep(0.2)
        raise TimeoutError("Ceph's gateway did not answer within 120 s")


def main():
    """Run the tests; return their exit code."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}; see this file's first lines", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ceph-") as folder:
        started = time.monotonic()
        try:
            with Ceph(Path(folder)) as ceph:
                print(f"Ceph answers after {time.monotonic() - started:.0f} s", flush=True)
                environment = {**os.environ, "FLAME_FLWR_S3": f"{ceph.endpoint} {KEY} {SECRET}"}
                command = [sys.executable, "-m", "pytest", "-q", *(sys.argv[1:] or TESTS)]
                return subprocess.run(command, env=environment, check=False).returncode
        except (RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
            logs = "\n".join(path.read_text()[-1500:] for path in Path(folder).glob("*.log"))
            print(f"{error}\n{logs}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
