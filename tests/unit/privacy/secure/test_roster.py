"""A roster that a server lies about is refused, with the reason."""

import os
from dataclasses import replace

import pytest

from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.privacy.secure.identities import PRIVATE, Identities, SecretIdentity
from flame_flwr.privacy.secure.roster import Entry, Roster
from flame_flwr.privacy.secure.session import SecureSession
from flame_flwr.text.natural_order import natural_order

SESSION = "ab" * 16
NAMES = ("node-1", "node-2", "node-10")


@pytest.fixture
def secrets():
    return {name: SecretIdentity.new() for name in NAMES}


@pytest.fixture
def entries(secrets):
    return {name: SecureSession(SESSION, name, secrets[name]).hello() for name in NAMES}


@pytest.fixture
def peers(secrets):
    return Identities({name: secret.public for name, secret in secrets.items()})


def check(entries, peers, *, own="node-1", said=None, **rules):
    roster = Roster.of(SESSION, said or entries.values())
    roster.check(
        entries[own],
        peers,
        rules.pop("analyzers", sorted(roster.names, key=natural_order)),
        **rules,
    )


def test_honest_roster_is_taken(entries, peers):
    check(entries, peers)
    check(entries, peers, only_with=("node-10", "node-2", "node-1"))


def test_order_is_that_of_bytes(entries):
    assert Roster.of(SESSION, entries.values()).names == ("node-1", "node-10", "node-2")


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (lambda e: [e["node-1"], e["node-2"]], "2 nodes take part"),
        (lambda e: [*e.values(), e["node-2"]], "twice"),
        (lambda e: [*e.values(), replace(e["node-2"], name="node-3")], "twice"),
        (lambda e: [e["node-2"], e["node-10"], replace(e["node-2"], name="x")], "twice"),
        (lambda e: [replace(e["node-1"], key=os.urandom(32)), e["node-2"], e["node-10"]], "as it"),
        (lambda e: [e["node-1"], replace(e["node-2"], key=os.urandom(32)), e["node-10"]], "signed"),
        (lambda e: [e["node-1"], replace(e["node-2"], signature=b""), e["node-10"]], "not signed"),
        (lambda e: [e["node-1"], e["node-2"], renamed(e["node-10"])], "not known here"),
        (lambda e: [e["node-1"], e["node-2"], own_made("node-10")], "not known here"),
    ],
)
def test_a_lying_server_is_refused(entries, peers, lie, reason):
    with pytest.raises(NodeFailedError, match=reason):
        check(entries, peers, said=lie(entries))


def renamed(entry):
    return replace(entry, name="node-9")


def own_made(name):
    return SecureSession(SESSION, name, SecretIdentity.new()).hello()


def test_signature_of_another_session_is_refused(secrets, entries, peers):
    other = SecureSession("cd" * 16, "node-2", secrets["node-2"]).hello()
    with pytest.raises(NodeFailedError, match="not signed"):
        check(entries, peers, said=[entries["node-1"], other, entries["node-10"]])


def test_node_asks_for_more_nodes_than_three(entries, peers):
    with pytest.raises(NodeFailedError, match="the fewest are 4"):
        check(entries, peers, fewest=4)
    check(entries, peers, fewest=1)  # never fewer than three


def test_node_sums_only_with_those_it_names(entries, peers):
    with pytest.raises(NodeFailedError, match="secure-with"):
        check(entries, peers, only_with=("node-1", "node-2", "node-3"))


def test_roster_is_of_those_who_take_part(entries, peers):
    with pytest.raises(NodeFailedError, match="other nodes than the analysis"):
        check(entries, peers, analyzers=("node-1", "node-2", "node-3"))


def test_name_without_bytes_is_refused():
    """JSON can name half a surrogate, and what is hashed is UTF-8."""
    with pytest.raises(NodeFailedError, match="the roster cannot be read"):
        Roster.from_text(SESSION, r'[["\ud800", "", "", ""]]')


# ---- files ----------------------------------------------------------------------------------


def test_an_identity_is_made_once_and_private(tmp_path):
    path = tmp_path / "identity.key"
    made = SecretIdentity.make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SecretIdentity.load(path).public == made.public
    path.write_text(path.read_text().removeprefix(PRIVATE))  # as an earlier version wrote it
    assert SecretIdentity.load(path).public == made.public
    with pytest.raises(FileExistsError):
        SecretIdentity.make(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="may be read by others"):
        SecretIdentity.load(path)


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, "\x00"])
def test_damaged_identity_is_an_error(tmp_path, content):
    path = tmp_path / "identity.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        SecretIdentity.load(path)


def test_identity_is_no_link(tmp_path):
    SecretIdentity.make(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="no file that can be read"):
        SecretIdentity.load(tmp_path / "link")


def test_peers_have_one_fingerprint_in_any_order(tmp_path, secrets):
    lines = [f'{name} = "{secret.public.hex()}"' for name, secret in secrets.items()]
    prints = set()
    for each in (lines, lines[::-1]):
        (tmp_path / "peers.toml").write_text("[peers]\n" + "\n".join(each))
        prints.add(Identities.load(tmp_path / "peers.toml").fingerprint())
    assert len(prints) == 1
    assert all(len(group) == 5 for group in prints.pop().split())
    (tmp_path / "peers.toml").write_text("[peers]\n" + "\n".join(lines[1:]))
    assert Identities.load(tmp_path / "peers.toml").keys.keys() == set(NAMES[1:])


@pytest.mark.parametrize(
    "content",
    ["", "[peers]\na = 3", "[peers]\na = 'zz'", "peers = 4", "[peers", "[peers]\na={b=1}"],
)
def test_damaged_peers_are_an_error(tmp_path, content):
    (tmp_path / "peers.toml").write_text(content)
    with pytest.raises(ConfigError):
        Identities.load(tmp_path / "peers.toml")


def test_one_key_for_two_hospitals_is_refused(tmp_path):
    (tmp_path / "peers.toml").write_text(f"[peers]\na = '{'ab' * 32}'\nb = '{'ab' * 32}'")
    with pytest.raises(ConfigError, match="twice"):
        Identities.load(tmp_path / "peers.toml")


def test_entry_travels_as_its_parts(entries):
    entry = entries["node-1"]
    assert (
        Entry(*[getattr(entry, name) for name in ("name", "identity", "key", "signature")]) == entry
    )
