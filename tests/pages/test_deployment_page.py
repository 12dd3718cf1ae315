"""docs/deployment.md: its federation can be provisioned, and it says what the code does.

Its commands for installing run in ``tests/integration/test_offline_install.py``.
"""

from pathlib import Path

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


def test_every_named_block_is_used():
    assert [(each.language, each.name) for each in blocks(PAGE) if each.name] == [
        ("toml", "federation.toml"),
        ("bash", "provision"),
        ("bash", "wheelhouse"),
        ("bash", "offline"),
    ]
