"""An analyzer's state across rounds: keyed by round, restored, outliving the SuperNode."""

import json

import numpy as np
import pytest

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.errors import DataError, NodeFailedError
from flame_flwr.payload import decode, encode, from_arrays, to_arrays
from flame_flwr.star import StarAnalyzer


class Process:
    """A node: every message finds a new client, as on a deployment."""

    def __init__(self, analyzer, context, **plan):
        self.plan = NodePlan(analyzer, **plan)
        self.context = context

    def config(self, number, greeted, after):
        everyone = {} if greeted else {"analyzers": json.dumps(["node-0", "7"])}
        after = {} if after is None else {"after": after}
        return {"round": number, "session": "abc", **everyone, **after}

    def hello(self, session="abc"):
        return StarClient(self.plan, self.context).get_properties({"session": session})

    def fit(self, number, aggregate=None, *, greeted=None, after=None):
        greeted = number > 1 if greeted is None else greeted
        config = self.config(number, greeted, after)
        client = StarClient(self.plan, self.context)
        arrays, _, _ = client.fit(to_arrays(encode(aggregate)), config)
        return decode(from_arrays(arrays))

    def evaluate(self, number, aggregate, *, greeted=True):
        arguments = to_arrays(encode(aggregate)), self.config(number, greeted, None)
        return StarClient(self.plan, self.context).evaluate(*arguments)[2]


class Counter(StarAnalyzer):
    """Its answer depends on every round it has run."""

    def __init__(self, flame, start=0):
        super().__init__(flame)
        self.sum = start
        self.seen = []

    def analysis_method(self, data, aggregator_results):
        self.sum += aggregator_results or 1
        self.seen.append((self.num_iterations, aggregator_results))
        return [self.sum, *self.seen]

    def evaluation_method(self, data, result):
        self.sum += 1000
        return {"sum": self.sum, "rounds": self.num_iterations, "seen": len(self.seen)}


def test_a_round_sent_twice_applies_nothing_twice(context):
    node = Process(Counter, context(), analyzer_kwargs={"start": 100})
    first = node.fit(1)
    assert first == node.fit(1) == [101, (0, None)]
    assert node.fit(2, 10) == node.fit(2, 10) == [111, (0, None), (1, 10)]
    assert node.fit(3, 20) == [131, (0, None), (1, 10), (2, 20)]
    assert node.fit(1) == first  # also when later rounds have run


def test_evaluation_sees_the_last_state_and_changes_nothing(context):
    node = Process(Counter, context())
    node.fit(1)
    node.fit(2, 10)
    for _ in range(2):
        assert node.evaluate(2, 0) == {"sum": 1011, "rounds": 2, "seen": 2}
    assert node.fit(3, 20)[0] == 31


def test_nodes_that_never_answered_start_new(context):
    node = Process(Counter, context())
    assert node.evaluate(4, 0, greeted=False) == {"sum": 1000, "rounds": 4, "seen": 0}
    assert node.fit(3, 10, greeted=False) == [10, (2, 10)]


def test_a_node_continues_its_last_counted_round(context):
    node = Process(Counter, context())
    node.fit(1)
    assert node.fit(4, 5, after=1) == [6, (0, None), (3, 5)]
    assert node.fit(5, 5) == [11, (0, None), (3, 5), (4, 5)]


def test_a_round_that_was_not_counted_never_was(context):
    node = Process(Counter, context())
    node.fit(1)
    assert node.fit(2, 10, greeted=False, after=0) == [10, (1, 10)]
    node.fit(3, 100, after=2)
    node.fit(4, 1000, after=2)
    assert node.fit(5, 5, after=2) == [15, (1, 10), (4, 5)]


@pytest.mark.parametrize("lost", [["flame_flwr.states"], ["flame_flwr.states", "flame_flwr.run"]])
def test_a_node_without_its_state_refuses(context, lost):
    node = Process(Counter, context())
    node.fit(1)
    for key in lost:
        del node.context.state[key]
    with pytest.raises(NodeFailedError, match=r"has lost.*restarted SuperNode.*start the analysis"):
        node.fit(2, 10)


def test_a_failed_round_changes_nothing(context):
    class Fails(Counter):
        def analysis_method(self, data, aggregator_results):
            result = super().analysis_method(data, aggregator_results)
            if aggregator_results == 13:
                raise ValueError("thirteen")
            return result

    node = Process(Fails, context())
    node.fit(1)
    with pytest.raises(ValueError, match="thirteen"):
        node.fit(2, 13)
    assert node.fit(2, 10) == [11, (0, None), (1, 10)]


def test_two_states_and_no_result_are_kept(context):
    class Large(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return np.zeros(10**6)

    node = Process(Large, context())
    for number in range(1, 13):
        node.fit(number, 1)
    kept = node.context.state["flame_flwr.states"]
    assert sorted(kept, key=int) == ["11", "12"]
    assert sum(map(len, kept.values())) < 10_000


def test_a_state_may_grow_and_shrink(context):
    class Sized(StarAnalyzer):
        kept = b""

        def analysis_method(self, data, aggregator_results):
            before, self.kept = self.kept, bytes(aggregator_results)
            return len(before)

    node = Process(Sized, context())
    sizes = [10, 200_000, 3_000_000, 5, 70_000, 7, 0]
    assert [node.fit(n, size) for n, size in enumerate(sizes, 1)] == [0, *sizes[:-1]]
    assert node.fit(7, 1) == 7  # once more, from the state that it came from


# ---- what outlives the SuperNode ------------------------------------------------------------


@pytest.fixture
def restarted(context, tmp_path):
    """Nodes of a deployment with one ``state-dir``; each has lost what was in memory."""
    config = {"name": "a", "state-dir": str(tmp_path / "state"), "data": "random:random"}

    def restart(run_id=1, analyzer=Counter, **node_config):
        return Process(analyzer, context({**config, **node_config}, run_id=run_id))

    return restart


def test_a_restarted_node_continues_from_its_state_dir(restarted):
    assert json.loads(restarted().hello()["states"]) == []
    assert restarted().fit(1) == [1, (0, None)]
    restarted().hello()  # greeted again in the same run, it forgets nothing
    for _ in range(2):
        assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]
    assert restarted().evaluate(2, 0)["sum"] == 1011
    assert json.loads(restarted().hello()["states"]) == [1, 2]


def test_a_restarted_node_without_a_state_dir_refuses(restarted):
    restarted(**{"state-dir": ""}).fit(1)
    with pytest.raises(NodeFailedError, match="has no `state-dir` in its config"):
        restarted(**{"state-dir": ""}).fit(2, 10)


def test_a_cleaned_state_dir_is_told_from_none(restarted, tmp_path):
    restarted().fit(1)
    for file in (tmp_path / "state").rglob("*.state"):
        file.unlink()
    with pytest.raises(NodeFailedError, match="its `state-dir` was cleaned"):
        restarted().fit(2, 10)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-5], "EOFError|UnpicklingError"),
        (lambda data: data.partition(b"\n")[2], "another version of Python or of flame-flwr"),
        (lambda data: data.replace(b"Python 3", b"Python 2", 1), "another version of Python"),
    ],
    ids=["damaged", "of an older version", "of another Python"],
)
def test_a_state_that_cannot_be_read_is_refused(restarted, tmp_path, damage, why):
    restarted().fit(1)
    [file] = (tmp_path / "state").rglob("*.state")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(NodeFailedError, match=r"after round 1 cannot be read.*again") as raised:
        restarted().fit(2, 10)
    assert raised.match(why)


def test_what_is_kept_is_this_users_alone(restarted, tmp_path):
    restarted().fit(1)
    paths = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    [analysis] = (tmp_path / "state" / "analyses").iterdir()
    assert analysis.name == "abc-project"
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in paths}
    assert modes == {
        "state": 0o700,
        "state/analyses": 0o700,
        f"state/analyses/{analysis.name}": 0o700,
        f"state/analyses/{analysis.name}/a": 0o700,
        f"state/analyses/{analysis.name}/a/run.json": 0o600,
        f"state/analyses/{analysis.name}/a/after-00000001.state": 0o600,
    }


def test_nodes_and_analyses_have_states_of_their_own(restarted):
    restarted().fit(1)
    assert json.loads(restarted().hello("another")["states"]) == []
    assert json.loads(restarted(name="b").hello()["states"]) == []
    assert restarted(name="b").fit(1) == [1, (0, None)]


def test_a_run_takes_over_an_analysis(restarted):
    restarted(run_id=1).hello()
    restarted(run_id=1).fit(1)
    assert json.loads(restarted(run_id=2).hello()["states"]) == [1]
    for answer in (lambda old: old.fit(2, 10), lambda old: old.fit(1)):
        with pytest.raises(NodeFailedError, match="another run has gone on with this analysis"):
            answer(restarted(run_id=1))
    everyone = {"greeted": False, "after": 1}
    assert restarted(run_id=2).fit(2, 10, **everyone) == [11, (0, None), (1, 10)]


def test_a_full_state_dir_fails_only_its_round(restarted, monkeypatch):
    restarted().fit(1)

    def full(path, parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flame_flwr.data.kept_files.write_whole", full)
    with pytest.raises(DataError, match="cannot be written"):
        restarted().fit(2, 10)
    monkeypatch.undo()
    assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]
