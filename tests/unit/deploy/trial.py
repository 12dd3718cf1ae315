"""A federation with odd paths, provisioned: for these tests."""

import os
import subprocess
from datetime import UTC, datetime

from hanging import HANGS

from flame_flwr.deploy import provision, read_federation

ODD = '/srv/it\'s a "test" 100%/$HOME\\`x`'

TEXT = f"""
name = "trial"
days = 90
[server]
host = "flower.example.org"
names = ["10.1.2.3"]
folder = '''{ODD}/server'''
home = '''{ODD}/var'''
[[hospitals]]
name = "hospital-a"
data = '''{ODD}/data'''
folder = '''{ODD}/a'''
home = '''{ODD}/a var'''
[[hospitals]]
name = "hospital-b"
"""

FOURTH = '[[hospitals]]\nname = "hospital-d"\ndata = "/srv/d"\n'

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(tmp_path, more=""):
    (tmp_path / "trial.toml").write_text(TEXT + more)
    return read_federation(tmp_path / "trial.toml")


def provisioned(tmp_path, more=""):
    provision(read(tmp_path, more), tmp_path / "trial", NOW)
    return tmp_path / "trial"


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stand_in(folder, script, *names):
    """Have programs in a folder's ``bin`` that do what a script does."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)


def start(script, venv, home, **environment):
    """Run a start script with a venv and a home, from the root."""
    given = {"PATH": os.environ["PATH"], "FLAME_VENV": str(venv), "FLAME_HOME": str(home)}
    return subprocess.run(
        [script], cwd="/", env=given | environment, capture_output=True, text=True, timeout=HANGS
    )
