"""The node masks in its own process what its gate lets out, whatever an app in another one does."""

import pytest
from flwr.app import RecordDict
from secure_federation import SESSION, Federation

from flame_flwr.aggregation import Sum
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.payload import decode, from_record
from flame_flwr.privacy.secure.context import app_digest
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.privacy.secure.roster import Entry, Roster
from flame_flwr.statistics import RowCount

APP = """
from pathlib import Path
import numpy as np
from flwr.app import Array, ConfigRecord, Error, Message, MetricRecord
from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.failure.failure import Failure
from flame_flwr.payload import encode, to_record
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import RowCount


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, asked):
        Path(asked["ran"]).touch()
        if asked["do"] == "raises":
            raise ValueError("Maria Muster")
        self.flame.report_metrics({"age": 61.3})
        few = {"few": 3, "rows": "Maria Muster"}.get(asked["do"], 31)
        return {"n": few, "rows": RowCount(3)}


def masked_by_itself(reply):
    words = np.frombuffer(b"Maria Muster 61." * 9, np.uint8)
    reply.content["fitres.parameters"] = to_record(encode(words))


def more_said(reply):
    said = reply.content["fitres.metrics"]
    said["name"], said["csv"], said["sums"] = "Maria Muster", b"Maria Muster", b"Maria Muster"


def more_records(reply):
    reply.content["stolen"] = ConfigRecord({"csv": "Maria Muster"})
    reply.content["fitres.num_examples"] = MetricRecord({"num_examples": 1, "age": 61})


def labelled(reply):
    arrays = reply.content["fitres.parameters"]
    for key, array in list(arrays.items()):
        arrays[key] = Array(dtype="Maria", shape=(6, 1), stype="Muster", data=array.data)


def forged_failure(reply):
    failure = Failure("MariaError", "Maria.py:61", "Maria Muster", "Maria Muster")
    reply.content["fitres.metrics"]["failure"] = failure.to_json()


CHANGES = {f.__name__: f for f in (
    masked_by_itself, more_said, more_records, labelled, forged_failure,
)}


def attack(message, context, call_next):
    from flame_flwr.payload import decode, from_record

    reply = call_next(message, context)
    if message.metadata.message_type == "get_properties":
        reply.content["getpropertiesres.properties"]["secure"] = "61 " * 3
        return reply
    do = decode(from_record(message.content["fitins.parameters"]))["do"]
    if do == "error":
        return Message(Error(7, "Maria Muster"), reply_to=message)
    if do in CHANGES:
        CHANGES[do](reply)
    return reply


app = make_client_app(NodePlan(Analyzer, secure=True), mods=[attack])
"""

DECLARED = {"n": Sum(), "rows": RowCount}
RECORDS = {"fitres.metrics", "fitres.num_examples", "fitres.parameters", "fitres.status"}


def also(*cases):
    """Have further cases, of what others show."""
    return [pytest.param(case, marks=pytest.mark.exhaustive) for case in cases]


@pytest.fixture(scope="module")
def fab(fab_of):
    return fab_of("masks", APP)


@pytest.fixture
def federation(fab):
    """Two other hospitals, which run the same app with the same config."""
    federation = Federation(DECLARED, ("a", "b", "c"))
    federation.apps = dict.fromkeys("abc", app_digest(AppArchive.read(fab).files))
    federation.configs = {name: {"mine.x": 1, "project-id": "project"} for name in "abc"}
    return federation


@pytest.fixture
def ask(host, fab, node_message, federation, tmp_path):
    """Ask hospital a what a server asks in the first round; `told` is what it says differently."""
    SecretIdentity.make(tmp_path / "own.key")
    keys = {**federation.peers.keys, "a": SecretIdentity.load(tmp_path / "own.key").public}
    peers = "".join(f'{name} = "{key.hex()}"\n' for name, key in keys.items())
    (tmp_path / "peers.toml").write_text(f"[peers]\n{peers}")
    files = {"identity-key": "own.key", "peers": "peers.toml", "state-dir": "state"}
    node = {key: str(tmp_path / name) for key, name in files.items()} | {"secure": "require"}

    def send(kind, asked=None, **said):
        return host.answer(node_message("masks", fab, asked, kind=kind, node=node, **said)).reply

    def ask(do, told=None, **more):
        node.update(more)
        hello = send(HELLO, session=SESSION, secure=True).content["getpropertiesres.properties"]
        own = Entry("a", *map(bytes.fromhex, hello["secure"].split()))
        assert own.identity == keys["a"]  # and not what the app says
        entries = [own, federation.entries["b"], federation.entries["c"]]
        federation.roster = Roster.of(SESSION, entries)
        federation.peers.keys.update(keys)
        asked = {"do": do, "ran": str(tmp_path / "ran")}
        said = {**federation.config(1), **(told or {})}
        return send("train", asked, **said), asked

    return ask


def words_of(reply):
    """Return a masked answer's words, and see that nothing leaves beside it."""
    assert set(reply.content) == RECORDS
    assert dict(reply.content["fitres.metrics"]) == {}
    assert dict(reply.content["fitres.num_examples"]) == {"num_examples": 1}
    return decode(from_record(reply.content["fitres.parameters"])).tobytes()


def everything(reply):
    """Return all that leaves, as text."""
    if reply.has_error():
        return str(reply.error)
    assert isinstance(reply.content, RecordDict)
    arrays = reply.content.array_records.values()
    said = [(a.dtype, a.stype, a.data) for record in arrays for a in record.values()]
    return f"{said} {[*reply.content.config_records.items()]} {reply.content.metric_records}"


def test_what_is_masked_has_passed_the_rules(ask, federation):
    reply, asked = ask("few", disclosure="MinCount(5)")
    others = {"n": 10, "rows": RowCount(20)}
    answers = {"a": words_of(reply)}
    for name in "bc":
        answers[name] = federation.answer(name, others, federation.config(1), aggregate=asked)
    found = federation.summed(answers)
    assert found["n"] == 3 + 2 * 10
    assert (found["rows"].size, found["rows"].suppressed) == (2 * 20, 1)
    again, _ = ask("few", disclosure="MinCount(5)")
    assert words_of(again) == answers["a"]


@pytest.mark.parametrize(
    "do", ["rows", "masked_by_itself", *also("raises", "error", "forged_failure")]
)
def test_what_is_no_sum_does_not_leave(ask, do):
    reply, _ = ask(do)
    assert "Maria" not in everything(reply)
    assert reply.has_error() or "failure" in reply.content["fitres.metrics"]


@pytest.mark.parametrize("do", ["more_said", *also("more_records", "labelled")])
def test_what_is_said_beside_sums_does_not_leave(ask, do):
    reply, _ = ask(do)
    forms = Answer.from_bytes(words_of(reply)).forms
    assert forms[0] == ["number", "int"]
    assert "Maria" not in everything(reply)


@pytest.mark.parametrize("lie", [{"roster": "[]"}, *also({"after": 7}, {"learning_rate": 0.1})])
def test_a_lying_server_starts_no_app(ask, tmp_path, lie):
    reply, _ = ask("few", told=lie)
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    assert "secure sums are refused" in failure.text
    assert not (tmp_path / "ran").exists()
    ask("few")
    assert (tmp_path / "ran").exists()
