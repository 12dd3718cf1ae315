"""What a deployed node needs for secure sums, and what it lets out without."""

import json
from contextlib import suppress

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from node_messages import call

from flame_flwr.aggregation import Sum
from flame_flwr.clients import NodePlan, StarClient, make_client_app, secure_gate
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.secure_gate import SecureGate
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.cleaning import leftovers
from flame_flwr.data.expect import Table
from flame_flwr.errors import ConfigError, DataError, FlameError, NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import EMPTY, HELLO, in_process, message_like
from flame_flwr.payload import encode, to_record
from flame_flwr.privacy import Clip, MinCount
from flame_flwr.privacy.secure.identities import Identities, SecretIdentity, is_signed
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import ReduceStrategy

SESSION = "0f" * 16


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Return what makes the gate of a deployed node with all that it needs, but for changes."""
    monkeypatch.setattr(secure_gate, "runtime", lambda: "deployment")
    own = SecretIdentity.make(tmp_path / "identity.key")
    keys = {"a": own.public.hex()}
    (tmp_path / "peers.toml").write_text(f"[peers]\na = {json.dumps(keys['a'])}\n")
    config = {
        "name": "a",
        "state-dir": str(tmp_path / "state"),
        "identity-key": str(tmp_path / "identity.key"),
        "peers": str(tmp_path / "peers.toml"),
    }

    def gate(kind, said, *, records=None, **changed):
        given = config | {key.replace("_", "-"): value for key, value in changed.items()}
        name = {HELLO: "getpropertiesins", "train": "fitins"}[kind]
        content = RecordDict({f"{name}.config": ConfigRecord(said), **(records or {})})
        with in_process(run_id=1, node_id=0):
            message = Message(content, 7, kind)
        context = Context(1, 7, given, RecordDict(), {})
        settings = NodeSettings.from_config({k: v for k, v in given.items() if v})
        return SecureGate(message, context, settings, "a", {"app.py": b"pass\n"})

    return gate, Identities.load(tmp_path / "peers.toml").keys["a"]


def test_hello_gives_one_signed_key(node):
    gate, public = node
    said = {"secure": True, "session": SESSION}
    [first, again] = [gate(HELLO, said).hello()["secure"] for _ in range(2)]
    assert first == again
    identity, key, signature = map(bytes.fromhex, first.split())
    assert identity == public
    assert is_signed(public, signature, SESSION, "a", key)


def test_nothing_is_kept_where_nobody_asks(node, tmp_path):
    gate, _ = node
    assert gate(HELLO, {"session": SESSION}).hello() == {}
    assert not (tmp_path / "state").exists()


def test_a_session_without_its_file_stays_over(node, tmp_path):
    """Its analyzer's state is still there: a run that goes on could ask for another sum of it."""
    gate, _ = node
    said = {"secure": True, "session": SESSION}
    gate(HELLO, said).hello(states=())
    gate(HELLO, said).hello(states=(1, 2))
    next(tmp_path.glob("state/secure-sums/*/*/secure.state")).unlink()
    with pytest.raises(NodeFailedError, match="file of the session is lost, which ends it"):
        gate(HELLO, said).hello(states=(1, 2))


@pytest.mark.parametrize("key", ["state_dir", "identity_key", "peers"])
def test_deployed_node_needs_its_keys_and_its_folder(node, key):
    gate, _ = node
    with pytest.raises(ConfigError, match=f"need `{key.replace('_', '-')}` in this node's config"):
        gate(HELLO, {"secure": True, "session": SESSION}, **{key: ""}).hello()


@pytest.mark.parametrize("session", ["", "../../etc", SESSION.upper(), 3])
def test_session_is_no_path(node, session):
    gate, _ = node
    with pytest.raises(NodeFailedError, match="names no session"):
        gate(HELLO, {"secure": True, "session": session}).hello()


def test_session_that_has_begun_lets_nothing_out_unmasked(node):
    gate, _ = node
    said = {"round": 1, "after": 0, "session": SESSION}
    assert gate("train", said).before() is None
    gate(HELLO, {"secure": True, "session": SESSION}).hello()
    with pytest.raises(NodeFailedError, match="would leave unmasked"):
        gate("train", said).before()


def test_what_is_hashed_is_what_the_analysis_gets(node):
    """Two arrays of one aggregate, swapped for one hospital, had the hash of the others'."""
    gate, _ = node
    arrays = to_record(encode({"a": np.ones(5000), "b": np.zeros(5000)}))
    swapped = ArrayRecord({key: arrays[key] for key in ("0", "2", "1")})
    said = {"round": 1, "after": 0, "session": SESSION, "sums": "{}"}
    for records, why in (
        ({"fitins.parameters": swapped}, "not in their order"),
        ({"fitins.parameters": arrays, "more": ConfigRecord({"a": 1})}, "other records: more"),
        ({"fitins.parameters": arrays}, "what is summed cannot be read"),
    ):
        with pytest.raises(FlameError, match=why):
            gate("train", said, records=records).before()


def test_cleaning_takes_sessions_first(node, tmp_path):
    gate, _ = node
    gate(HELLO, {"secure": True, "session": SESSION}).hello()
    analysis = tmp_path / "state" / "analyses" / SESSION / "a"
    analysis.mkdir(parents=True)
    (analysis / "run.json").write_text("{}")
    found = leftovers(tmp_path / "state")
    assert [each.path.parent.name for each in found] == ["secure-sums", "analyses"]


@pytest.mark.parametrize("share", [True, False])
def test_sums_alone_keep_texts_of_failures_back(context, deployed, share):
    class Speaks(StarClient):
        def open_data(self):
            raise DataError("Maria Muster")

    app, texts = make_client_app(NodePlan(StarAnalyzer), Speaks), []
    for secure in ("", "require"):
        node = context({"name": "a", "share-tracebacks": share, "secure": secure})
        reply = call(app, node, {"getpropertiesins.config": ConfigRecord({"session": SESSION})})
        failure = reply.content["getpropertiesres.properties"]["failure"]
        texts.append(Failure.from_json(failure))
    assert "Maria" in str(texts[0])
    assert "Maria" not in str(texts[1])
    assert not texts[1].traceback


class Reports(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics({"auc": 0.5})
        return {"n": 3}


def answers_of(plan, splits, **node):
    """Return what all nodes answer, by kind of message, as far as a masked run comes."""

    class Listens(LocalGrid):
        def answer(self, message):
            reply = super().answer(message)
            answers.setdefault(message.metadata.message_type, []).append(reply.content)
            return reply

    answers = {}
    with Listens(plan, splits) as grid:
        for context in grid.contexts.values():
            context.node_config = {**context.node_config, "share-size": True, **node}
        with suppress(NodeFailedError):
            ReduceStrategy({"n": Sum()}, simple_analysis=True, secure=True).start(grid)
    return answers


def test_nothing_is_said_beside_a_masked_answer():
    """Neither seconds, nor how much data there is, nor what was reported, nor what was done."""
    protected = {"filters": (Clip(1.0, missing="skip"),), "disclosure": (MinCount(2),)}
    plan = NodePlan(Reports, data_type="s3", secure=True, **protected)
    answers = answers_of(plan, [[{"t.csv": b"age\n50\n"}]] * 3)["train"]
    assert len(answers) == 3
    for content in answers:
        said = dict(content["fitres.metrics"]), dict(content["fitres.num_examples"])
        assert said == ({}, {"num_examples": 1})


LIES = {
    "a roster of two": lambda said: said | {"roster": json.dumps(json.loads(said["roster"])[1:])},
    "another round": lambda said: said | {"after": 7},
    "more than that": lambda said: said | {"learning_rate": 0.1},
    "no sums": lambda said: {key: value for key, value in said.items() if key != "sums"},
}


@pytest.mark.parametrize("lie", LIES)
def test_nothing_is_computed_for_a_server_that_lies(lie):
    class Counts(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            asked.append(self.id)
            return {"n": 3}

    class Lies(LocalGrid):
        def answer(self, message):
            content = message.content
            if (message.metadata.dst_node_id, message.metadata.message_type) == (2, "train"):
                said = ConfigRecord(LIES[lie](dict(content["fitins.config"])))
                message = message_like(message, RecordDict({**content, "fitins.config": said}))
            return super().answer(message)

    asked, plan = [], NodePlan(Counts, data_type="s3", secure=True)
    strategy = ReduceStrategy({"n": Sum()}, simple_analysis=True, secure=True)
    with Lies(plan, [1, 2, 3]) as grid, pytest.raises(NodeFailedError, match="node-1 failed"):
        strategy.start(grid)
    assert sorted(asked) == ["node-0", "node-2"]


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"n": 3}

    def evaluation_method(self, data, result):
        return {"n": 61}


@pytest.mark.parametrize(
    ("declared", "config"), [(True, {}), (False, {"secure": True}), (True, {"secure": False})]
)
def test_hospital_holds_to_masks_whatever_a_server_says(declared, config):
    """One that asks for no keys at hello, and for numbers then."""
    left = []

    class Listens(LocalGrid):
        def answer(self, message):
            reply = super().answer(message)
            left.extend(reply.content.get("fitres.parameters", {}).keys() - {EMPTY})
            return reply

    plan = NodePlan(Counts, data_type="s3", secure=declared)
    strategy = ReduceStrategy({"n": Sum()}, simple_analysis=True)
    said = pytest.raises(NodeFailedError, match="the answer would leave unmasked")
    with Listens(plan, [1, 2, 3], run_config=config) as grid, said:
        strategy.start(grid, settings=RunSettings.from_config({}))
    assert not left


def test_after_masked_rounds_no_scores_leave_unmasked():
    class Lies(LocalGrid):
        def answer(self, message):
            content = message.content
            if (record := content.get("evaluateins.config")) is not None:
                said = {key: value for key, value in record.items() if key != "sums"}
                said = ConfigRecord(said)
                message = message_like(message, RecordDict({**content, "evaluateins.config": said}))
            reply = super().answer(message)
            assert "61" not in str(reply.content.get("evaluateres.metrics"))
            return reply

    strategy = ReduceStrategy(
        {"n": Sum()}, simple_analysis=True, secure=True, score_sums={"n": Sum()}
    )
    said = pytest.raises(NodeFailedError, match=r"failed in the evaluation: .*unmasked")
    with Lies(NodePlan(Counts, data_type="s3"), [1, 2, 3]) as grid, said:
        strategy.start(grid)


@pytest.mark.parametrize("secure", ["", "require"])
def test_sums_alone_keep_findings_back(secure):
    plan = NodePlan(Reports, data_type="s3", secure=True, expects=(Table("t.csv", min_rows=4),))
    answers = answers_of(plan, [[{"t.csv": b"age\n50\n"}]] * 3, secure=secure)
    assert len(answers[HELLO]) == 3
    for content in answers[HELLO]:
        found = content["getpropertiesres.properties"]["findings"]
        assert ("fewer than 4 rows" in found) is not bool(secure)
        assert "is not as the analysis expects" in found or not secure
