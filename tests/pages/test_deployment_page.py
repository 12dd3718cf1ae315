"""docs/deployment.md: its federation can be provisioned, and it says what the code does.

Its commands for installing run in ``tests/integration/test_offline_install.py``.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hanging import HANGS
from snippets import block, blocks

from flame_flwr.deploy.federation_file import EXAMPLE, read_federation

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


def test_its_federation_is_the_shortened_example(tmp_path):
    read = []
    for text in (block(PAGE, "federation.toml"), EXAMPLE):
        (tmp_path / "federation.toml").write_text(text)
        read.append(read_federation(tmp_path / "federation.toml"))
    assert read[0] == read[1]


def test_its_ports_and_folders_are_the_defaults(tmp_path):
    (tmp_path / "federation.toml").write_text(EXAMPLE)
    federation = read_federation(tmp_path / "federation.toml")
    text = PAGE.read_text()
    assert f"server, {federation.server.port}" in text
    assert f"the node, {federation.hospitals[0].port}, on 127.0.0.1" in text
    assert f"results={federation.server.results}" in text
    assert f"python -m venv {federation.venv}" in text


def test_the_try_has_approval_and_other_ports(tmp_path):
    (tmp_path / "try.toml").write_text(block(PAGE, "try.toml"))
    federation = read_federation(tmp_path / "try.toml")
    assert [each.node_config["approval"] for each in federation.hospitals] == ["required"] * 2
    assert len({federation.server.port, *(each.port for each in federation.hospitals)}) == 3
    templates = PAGE.parents[1] / "flame_flwr" / "app-templates"
    [said] = re.findall(r"^sed -i 's/\^(.*)\.\*/", PAGE.read_text(), re.M)
    assert f"\n{said}" in (templates / "regression" / "pyproject.toml").read_text()


@pytest.mark.parametrize(("name", "files"), [("provision", 0), ("proxy", 2)])
def test_its_commands_provision(tmp_path, name, files):
    (tmp_path / "federation.toml").write_text(block(PAGE, "federation.toml"))
    command = Path(sys.executable).parent / block(PAGE, name).strip()
    subprocess.run(str(command), shell=True, check=True, cwd=tmp_path, timeout=HANGS)
    server = tmp_path / "federation" / "server"
    assert len(list(server.glob("*.conf")) + list(server.glob("analysts.pem"))) == files
    assert (tmp_path / "federation" / "hospital-b" / "network.sh").exists()


def test_every_named_block_is_used():
    assert [(each.language, each.name) for each in blocks(PAGE) if each.name] == [
        ("toml", "federation.toml"),
        ("bash", "provision"),
        ("toml", "try.toml"),
        ("bash", "proxy"),
        ("bash", "wheelhouse"),
        ("bash", "offline"),
    ]


def test_every_threat_has_all_four_answers():
    _, _, rest = (PAGE.parent / "threats.md").read_text().partition("## What an app may try")
    rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    assert len(rows) > 20
    assert {len(row.strip("|").split("|")) for row in rows} == {5}
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))
