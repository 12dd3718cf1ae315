"""Approvals and reviewers' keys count as the node's own user has written them, or not at all."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flame_flwr.errors import ConfigError
from flame_flwr.node.approvals_file import Approval, Approvals, Rejection
from flame_flwr.node.gate_folder import GateFolder

from .approvals import TODAY, approve, approved, archive, asked, refused


@pytest.mark.parametrize(
    "text",
    ["[[approved", "[[approved]]\nhash = 1", "approved = 3", "[[allowed]]\n", "[approved]", "\xff"],
)
def test_damaged_approvals_let_nothing_run(tmp_path, text):
    content = archive()
    folder = approve(tmp_path, approved(content))
    (folder.path / "approved.toml").write_bytes(text.encode("latin-1"))
    assert refused(asked(content, tmp_path)).state == "unreadable"
    assert refused(asked(archive("x = 2"), tmp_path)).state == "unreadable"
    with pytest.raises(ConfigError, match="damaged"):
        folder.change(lambda before: before)


def linked(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def piped(path):
    path.unlink()
    os.mkfifo(path)


def given_away(path):
    if os.geteuid():
        pytest.skip("only root may give a file to another")
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        (".", lambda path: path.chmod(0o770), "gate may be written by others.*`chmod 700` it"),
        ("..", lambda path: path.chmod(0o777), "`state-dir`.*by others.*then `chmod go-w` it"),
        (".", linked, "gate is a link"),
        ("pending", lambda path: path.symlink_to(path.parent), "pending is a link"),
        (".", given_away, "gate belongs to another user"),
        ("approved.toml", lambda path: path.chmod(0o666), "others than.*then `chmod 600` it"),
        ("approved.toml", linked, "approved.toml is a link"),
        ("approved.toml", piped, "approved.toml must be a file"),
        ("approved.toml", given_away, "approved.toml belongs to another user"),
    ],
)
def test_only_its_users_own_files_decide(tmp_path, place, change, words):
    content = archive()
    folder = approve(tmp_path, approved(content))
    change(folder.path / place)
    assert refused(asked(content, tmp_path)).state == "unreadable"
    with pytest.raises(ConfigError, match=words) as error:
        GateFolder(tmp_path).approvals()
    assert "damaged" not in str(error.value)
    assert str(error.value).count(str(tmp_path)) == 1


def test_another_users_folder_decides_nothing(tmp_path, monkeypatch):
    content = archive()
    approve(tmp_path, approved(content))
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert refused(asked(content, tmp_path)).state == "unreadable"


def test_a_folder_that_others_read_is_closed(tmp_path):
    folder = approve(tmp_path, approved(archive()))
    folder.path.chmod(0o755)
    assert len(GateFolder(tmp_path).approvals().approved) == 1
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", [linked, piped, given_away, lambda path: path.chmod(0o666)])
def test_a_reviewers_key_is_the_users_own(tmp_path, change):
    key = Ed25519PrivateKey.generate().public_key()
    content = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path = GateFolder(tmp_path).trust("anna", key, content)
    assert [name for name, _ in GateFolder(tmp_path).reviewers().values()] == ["anna"]
    change(path)
    assert GateFolder(tmp_path).reviewers() == {}


def test_approvals_are_read_as_written():
    texts = ('say "hi" \\ é', "tab\tand\nline", "")
    every = Approvals(
        tuple(
            Approval("0" * 64, "a", text, TODAY, (text, "b"), text, text, text, text, text)
            for text in texts
        ),
        tuple(Rejection("1" * 64, "a", text, text, text) for text in texts),
    )
    assert Approvals.parse(every.text()) == every
