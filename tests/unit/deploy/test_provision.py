"""The folders of a federation: their files and modes, and that nothing is overwritten."""

import os
import re
import shutil
import stat
import tomllib

import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.config import NodeSettings
from flame_flwr.deploy import add_hospital, keys, provision, read_federation, rotate
from flame_flwr.errors import ConfigError
from flame_flwr.privacy import MaxBins, MaxRows, MinCount, NoisyMinMax, Strict

from .trial import FOURTH, NOW, ODD, TEXT, contents, provisioned, read


def test_every_secret_is_in_one_place(made):
    found = contents(made)
    secrets = [text for text in found.values() if b"PRIVATE KEY" in text]
    assert len(secrets) == len(set(secrets)) == 4
    assert {name for name, text in found.items() if b"PRIVATE KEY" in text} == {
        "ca/ca.key",
        "server/server.key",
        "hospital-a/node.key",
        "hospital-b/node.key",
    }
    assert {text for name, text in found.items() if name.endswith("ca.pem")} == {found["ca/ca.pem"]}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_hang_on_the_umask(federation, tmp_path, mask):
    before = os.umask(mask)
    try:
        provision(federation, tmp_path / "modes", NOW)
    finally:
        os.umask(before)
    for path in [tmp_path / "modes", *(tmp_path / "modes").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        expected = {".key": 0o600, ".sh": 0o755}.get(path.suffix, 0o644)
        assert mode == (0o700 if path.is_dir() else expected), path


def test_every_party_gets_its_files_and_no_more(made):
    node = {"node.key", "node.pub", "ca.pem", "node.toml", "start.sh", "network.sh", "README.md"}
    names = {path.name: {file.name for file in path.iterdir()} for path in made.glob("*/")}
    assert names == {
        "ca": {"ca.key", "ca.pem"},
        "server": {"server.key", "server.pem", "ca.pem", "keys", "README.md"}
        | {"start.sh", "register.sh", "end-old-key.sh", "connect.sh", "flame-flwr-server.service"},
        "hospital-a": node | {"flame-flwr-hospital-a.service"},
        "hospital-b": node | {"flame-flwr-hospital-b.service"},
        "analyst": {"ca.pem", "connect.sh", "README.md"},
    }


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(federation, tmp_path, kind):
    target = tmp_path / "there"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="exists already, and nothing is overwritten"):
        provision(federation, target)
    assert sorted(tmp_path.iterdir()) == before


def test_after_a_failure_nothing_is_left(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.pub cannot be read: No such file"):
        provisioned(tmp_path, 'public-key = "no.pub"\n')
    assert [path.name for path in tmp_path.iterdir()] == ["trial.toml"]


def test_a_folder_that_cannot_be_made(federation, tmp_path):
    with pytest.raises(ConfigError, match="cannot be made: No such file"):
        provision(federation, tmp_path / "no" / "trial")


def test_the_texts_are_the_same_every_time(made, federation, tmp_path):
    provision(federation, tmp_path / "again", NOW)
    first, again = contents(made), contents(tmp_path / "again")
    assert set(first) == set(again)
    secret = {".key", ".pem", ".pub"}
    for name, text in first.items():
        assert (text == again[name]) != (os.path.splitext(name)[1] in secret), name


def test_a_hospital_may_make_its_key_itself(tmp_path):
    private, public = keys.node_pair("anna")
    (tmp_path / "b.pub").write_bytes(public)
    files = contents(provisioned(tmp_path, 'public-key = "b.pub"\n'))
    assert files["server/keys/hospital-b.pub"] == files["hospital-b/node.pub"] == public
    assert "hospital-b/node.key" not in files
    assert b"you made it yourself" in files["hospital-b/README.md"]
    assert private not in files.values()


def test_adding_a_hospital_needs_no_ca(made, tmp_path):
    shutil.rmtree(made / "ca")
    before = contents(made)
    add_hospital(read(tmp_path, FOURTH), made, "hospital-d")
    after = contents(made)
    new = set(after) - set(before)
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in new} == {"hospital-d", "server"}
    assert after["server/keys/hospital-d.pub"] == after["hospital-d/node.pub"]
    assert after["hospital-d/ca.pem"] == before["server/ca.pem"]
    assert stat.S_IMODE((made / "hospital-d").stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match="the hospital has been added before"):
        add_hospital(read(tmp_path, FOURTH), made, "hospital-d")
    assert contents(made) == after


def test_a_new_key_beside_the_old(made, federation):
    shutil.rmtree(made / "ca")
    shutil.rmtree(made / "hospital-a")  # whoever provisions keeps no copy
    before = contents(made)
    assert rotate(federation, made, "hospital-a", NOW) == (
        made / "hospital-a+2026-03-01",
        made / "server" / "keys" / "hospital-a+2026-03-01.pub",
    )
    after = contents(made)
    assert {name: after[name] for name in before} == before
    new = {f"hospital-a+2026-03-01/{name}" for name in ("node.key", "node.pub", "README.md")}
    assert set(after) - set(before) == new | {"server/keys/hospital-a+2026-03-01.pub"}
    public = after["hospital-a+2026-03-01/node.pub"]
    assert after["server/keys/hospital-a+2026-03-01.pub"] == public
    private = serialization.load_ssh_private_key(after["hospital-a+2026-03-01/node.key"], None)
    assert private.public_key() == serialization.load_ssh_public_key(public)
    assert public != before["server/keys/hospital-a.pub"]
    assert stat.S_IMODE((made / "hospital-a+2026-03-01" / "node.key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match=r"hospital-a\+2026-03-01 exists already"):
        rotate(federation, made, "hospital-a", NOW)
    assert contents(made) == after


def test_a_key_is_not_used_twice(tmp_path):
    first, second = keys.node_pair("anna")[1], keys.node_pair("anna")[1]
    (tmp_path / "b.pub").write_bytes(first)
    made = provisioned(tmp_path, 'public-key = "b.pub"\n')
    federation = read_federation(tmp_path / "trial.toml")
    (tmp_path / "b.pub").write_bytes(first.replace(b"anna", b"else"))
    with pytest.raises(ConfigError, match=r"b\.pub is no new key: it is .*keys/hospital-b\.pub"):
        rotate(federation, made, "hospital-b", NOW)
    (tmp_path / "b.pub").write_bytes(second)
    folder, public = rotate(federation, made, "hospital-b", NOW)
    assert set(contents(folder)) == {"node.pub", "README.md"}
    assert public.read_bytes() == second


def test_only_a_hospital_that_is_there_rotates(made, tmp_path):
    with pytest.raises(ConfigError, match="has no key of hospital-d: add the hospital first"):
        rotate(read(tmp_path, FOURTH), made, "hospital-d", NOW)


def test_an_added_hospital_must_be_listed(made, federation):
    with pytest.raises(ConfigError, match=r"no hospital 'hospital-d'.*add a \[\[hospitals\]\]"):
        add_hospital(federation, made, "hospital-d")


def test_a_hospital_joins_its_own_federation_only(made, tmp_path):
    (tmp_path / "trial.toml").write_text(TEXT.replace("trial", "other") + FOURTH)
    with pytest.raises(ConfigError, match="that of another federation: its CA is CN=trial CA"):
        add_hospital(read_federation(tmp_path / "trial.toml"), made, "hospital-d")


def test_the_node_config_is_what_a_node_takes(made):
    values = tomllib.loads((made / "hospital-a" / "node.toml").read_text())
    settings = NodeSettings.from_config(values)
    assert settings.name == "hospital-a"
    assert settings.data == f"{ODD}/data"
    assert settings.state_dir == f"{ODD}/a var/state"


def test_a_node_configs_comments_are_sentences(made):
    """What a key means ends before what more there is to say of it begins."""
    said = (made / "hospital-a" / "node.toml").read_text().replace("\n# ", " ")
    for more in ("README.md says how", "In it an app", "Without this line", "MinCount(5) lets"):
        before = said[: said.index(more)].rstrip()
        assert before.endswith("."), before[-80:]


def test_a_node_config_explains_its_rules(made):
    text = (made / "hospital-a" / "node.toml").read_text()
    rules = [MinCount(5), MaxBins(50), MaxRows(200)]
    assert list(NodeSettings.from_config(tomllib.loads(text)).disclosure_rules()) == rules
    named = re.findall(r"^#   (\w+\(.*?\)) ", text, re.M)
    both = text.replace('MaxRows(200)"', f'MaxRows(200), {", ".join(named)}"')
    more = [Strict(), NoisyMinMax(secret="...")]
    assert list(NodeSettings.from_config(tomllib.loads(both)).disclosure_rules()) == [*rules, *more]


@pytest.mark.parametrize("rules", ["", "MinCount(10)", "/etc/flame-flwr/rules"])
def test_a_federation_may_choose_the_rules(tmp_path, rules):
    made = provisioned(tmp_path, f'disclosure = "{rules}"\n')
    text = (made / "hospital-b" / "node.toml").read_text()
    assert tomllib.loads(text)["disclosure"] == rules


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    shown = runner.invoke(commands._app, ["provision", "--example"])
    (tmp_path / "study.toml").write_text(shown.stdout)
    done = runner.invoke(commands._app, ["provision", "study.toml"])
    assert f"{tmp_path}/study/README.md says who gets what" in done.stdout
    again = runner.invoke(commands._app, ["provision", "study.toml"])
    assert isinstance(again.exception, ConfigError)
    (tmp_path / "study.toml").write_text(shown.stdout + FOURTH)
    added = runner.invoke(commands._app, ["provision", "study.toml", "--add", "hospital-d"])
    assert "study/hospital-d is written, and its key is in" in added.stdout
    rotated = runner.invoke(commands._app, ["provision", "study.toml", "--rotate", "hospital-d"])
    assert re.search(r"study/hospital-d\+[-0-9]+ is written, for the hospital", rotated.stdout)
    renewed = runner.invoke(commands._app, ["provision", "study.toml", "--renew"])
    assert "study/server/renewed-" in renewed.stdout
    elsewhere = runner.invoke(commands._app, ["provision", "study.toml", "--to", "other"])
    assert elsewhere.exit_code == 0
    assert (tmp_path / "other" / "hospital-d" / "node.key").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["x.toml", "--add", "a", "--renew"], ["x.toml", "--add", "a", "--rotate", "a"]],
)
def test_the_command_asks_for_what_it_needs(arguments):
    assert CliRunner().invoke(commands._app, ["provision", *arguments]).exit_code == 2
