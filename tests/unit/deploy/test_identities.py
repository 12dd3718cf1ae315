"""Identities of secure sums: made at hospitals, collected for all of them."""

import json

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.deploy import EXAMPLE, collect_identities, read_federation
from flame_flwr.errors import ConfigError
from flame_flwr.privacy.secure.identities import PRIVATE, Identities, SecretIdentity

NAMES = ("hospital-a", "hospital-b")


@pytest.fixture
def parties(tmp_path):
    (tmp_path / "federation.toml").write_text(EXAMPLE)
    (tmp_path / "made" / "server").mkdir(parents=True)
    for name in NAMES:
        folder = tmp_path / "made" / name
        folder.mkdir(parents=True)
        config = {
            "name": name,
            "identity-key": str(folder / "identity.key"),
            "peers": str(folder / "peers.toml"),
        }
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in config.items()]
        (folder / "node.toml").write_text("".join(lines))
    return tmp_path


def node(parties, command, name="hospital-a"):
    folder = parties / "made" / name
    done = CliRunner().invoke(commands._app, ["node", command, "--node", str(folder)])
    if done.exception:
        raise done.exception
    return done.output


def sent_by_all(parties):
    sent = parties / "sent"
    sent.mkdir()
    for name in NAMES:
        node(parties, "identity", name)
        (parties / "made" / name / f"{name}.pub").rename(sent / f"{name}.pub")
    return read_federation(parties / "federation.toml"), parties / "made", sent


def test_identity_is_made_once(parties):
    first = node(parties, "identity")
    own = SecretIdentity.load(parties / "made" / "hospital-a" / "identity.key")
    assert f"public half: {own.public.hex()}" in first
    again = node(parties, "identity")
    assert "stays as it is" in again
    assert first.splitlines()[1:] == again.splitlines()[1:]


def test_every_hospital_gets_all_public_keys(parties):
    federation, made, sent = sent_by_all(parties)
    written = collect_identities(federation, made, sent)
    keys = {name: SecretIdentity.load(made / name / "identity.key").public for name in NAMES}
    assert [Identities.load(path).keys for path in written] == [keys, keys]
    seen = [node(parties, "peers", name) for name in NAMES]
    assert seen[0] == seen[1]
    assert Identities(keys).fingerprint() in seen[0]
    written[0].write_text(written[0].read_text().replace(keys["hospital-a"].hex(), "ab" * 32))
    with pytest.raises(ConfigError, match="another key for hospital-a than its own"):
        node(parties, "peers")


def test_owners_of_given_folders_get_their_file(parties, tmp_path):
    federation, _, sent = sent_by_all(parties)
    with pytest.raises(ConfigError, match="no folder that `flame-flwr provision` has made"):
        collect_identities(federation, tmp_path / "elsewhere", sent)
    (tmp_path / "given" / "server").mkdir(parents=True)
    assert all(path.exists() for path in collect_identities(federation, tmp_path / "given", sent))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (str, "is a private key.* must be replaced now. Delete this file"),
        (lambda text: text.removeprefix(PRIVATE), "no public half.*`identity-key` names was sent"),
        (lambda text: f"-----{text}", "no public half"),
    ],
    ids=["as it is", "of an earlier version", "damaged"],
)
def test_no_private_key_is_taken(parties, change, words):
    """What is taken would be in the file of every hospital, and in the server's folder."""
    federation, made, sent = sent_by_all(parties)
    key = made / "hospital-a" / "identity.key"
    (sent / "hospital-a.pub").write_text(change(key.read_text()))
    with pytest.raises(ConfigError, match=words) as error:
        collect_identities(federation, made, sent)
    assert "node identity` at hospital-a, and send hospital-a.pub" in str(error.value)
    assert not list(made.glob("*/peers.toml"))


def test_missing_key_names_the_hospital(parties):
    federation, made, sent = sent_by_all(parties)
    (sent / "hospital-b.pub").unlink()
    with pytest.raises(ConfigError, match="node identity` at hospital-b"):
        collect_identities(federation, made, sent)


def test_one_key_of_two_hospitals_is_refused(parties):
    federation, made, sent = sent_by_all(parties)
    (sent / "hospital-b.pub").write_bytes((sent / "hospital-a.pub").read_bytes())
    with pytest.raises(ConfigError, match="one key"):
        collect_identities(federation, made, sent)
