"""An analyzer's attributes across rounds: keyed by round, restored, refused by name."""

import json
import random
import socket

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients import client as client_module
from flame_flwr.errors import DataError, ModelError, NodeFailedError
from flame_flwr.payload import decode, encode, from_arrays, to_arrays
from flame_flwr.star import StarAnalyzer


class Process:
    """A node: every round is a new client, and nothing of the process before is left."""

    def __init__(self, analyzer, context, **plan):
        self.plan = NodePlan(analyzer, **plan)
        self.context = context

    def client(self):
        client_module._LOADED.clear()
        return StarClient(self.plan, self.context)

    def config(self, number, greeted, after):
        everyone = {} if greeted else {"analyzers": json.dumps(["node-0", "7"])}
        return {"round": number, "session": "abc", **everyone} | (
            {} if after is None else {"after": after}
        )

    def hello(self, session="abc"):
        return self.client().get_properties({"session": session})

    def fit(self, number, aggregate=None, *, greeted=None, after=None):
        greeted = number > 1 if greeted is None else greeted
        config = self.config(number, greeted, after)
        arrays, _, _ = self.client().fit(to_arrays(encode(aggregate)), config)
        return decode(from_arrays(arrays))

    def evaluate(self, number, aggregate, *, greeted=True):
        arguments = to_arrays(encode(aggregate)), self.config(number, greeted, None)
        return self.client().evaluate(*arguments)[2]


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


def test_attributes_live_on_from_round_to_round(context):
    node = Process(Counter, context(), analyzer_kwargs={"start": 100})
    assert node.fit(1) == [101, (0, None)]
    assert node.fit(2, 10) == [111, (0, None), (1, 10)]
    assert node.fit(3, 20) == [131, (0, None), (1, 10), (2, 20)]


def test_a_round_that_is_sent_twice_gives_the_same_answer_and_applies_nothing_twice(context):
    node = Process(Counter, context())
    first = node.fit(1)
    assert node.fit(1) == first
    second = node.fit(2, 10)
    assert node.fit(2, 10) == second
    assert node.fit(2, 10) == second
    assert node.fit(3, 20) == [31, (0, None), (1, 10), (2, 20)]


def test_the_first_round_is_sent_twice_also_when_the_second_has_run(context):
    node = Process(Counter, context())
    first = node.fit(1)
    node.fit(2, 10)
    assert node.fit(1) == first
    assert node.fit(2, 10) == [11, (0, None), (1, 10)]


def test_evaluation_sees_the_state_after_the_last_round_and_changes_nothing(context):
    node = Process(Counter, context())
    node.fit(1)
    node.fit(2, 10)
    for _ in range(2):
        assert node.evaluate(2, 0) == {"sum": 1011, "rounds": 2, "seen": 2}
    assert node.fit(3, 20)[0] == 31


def test_evaluation_of_a_node_that_never_answered_starts_from_a_new_analyzer(context):
    node = Process(Counter, context())
    assert node.evaluate(4, 0, greeted=False) == {"sum": 1000, "rounds": 4, "seen": 0}


def test_a_node_that_missed_rounds_goes_on_from_its_last_with_the_runs_count(context):
    node = Process(Counter, context())
    node.fit(1)
    assert node.fit(4, 5, after=1) == [6, (0, None), (3, 5)]
    assert node.fit(5, 5) == [11, (0, None), (3, 5), (4, 5)]


def test_a_round_whose_answer_was_not_counted_has_not_been(context):
    node = Process(Counter, context())
    node.fit(1)
    assert node.fit(2, 10, greeted=False, after=0) == [10, (1, 10)]
    node.fit(3, 100, after=2)
    node.fit(4, 1000, after=2)
    assert node.fit(5, 5, after=2) == [15, (1, 10), (4, 5)]


def test_a_node_that_joins_late_starts_new_with_the_runs_count(context):
    node = Process(Counter, context())
    assert node.fit(3, 10, greeted=False) == [10, (2, 10)]


@pytest.mark.parametrize("lost", [["flame_flwr.states"], ["flame_flwr.states", "flame_flwr.run"]])
def test_a_node_that_has_lost_its_state_refuses_to_go_on(context, lost):
    node = Process(Counter, context())
    node.fit(1)
    for key in lost:
        del node.context.state[key]
    with pytest.raises(NodeFailedError) as raised:
        node.fit(2, 10)
    assert "has lost" in raised.value.message
    assert "restarted SuperNode" in raised.value.message
    assert "start the analysis again" in raised.value.message


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


def test_only_the_state_of_the_round_and_the_one_it_came_from_are_kept(context):
    node = Process(Counter, context())
    for number in range(1, 13):
        node.fit(number, 1)
    assert sorted(node.context.state["flame_flwr.states"], key=int) == ["11", "12"]


def test_the_result_is_not_kept_with_the_state(context):
    class Large(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return np.zeros(10**6)

    node = Process(Large, context())
    node.fit(1)
    kept = node.context.state["flame_flwr.states"]
    assert sum(len(array.data) for array in kept.values()) < 10_000


def test_state_is_of_one_run_and_one_node(context):
    a, b = Process(Counter, context()), Process(Counter, context())
    a.fit(1)
    a.fit(2, 10)
    assert b.fit(1) == [1, (0, None)]


# ---- what outlives the SuperNode ------------------------------------------------------------


@pytest.fixture
def restarted(context, tmp_path, monkeypatch):
    """Nodes of a deployment with one ``state-dir``; each has lost what was in memory."""
    monkeypatch.setattr(client_module, "runtime", lambda: "deployment")
    config = {"name": "a", "state-dir": str(tmp_path / "state"), "data": "random:random"}

    def restart(run_id=1, analyzer=Counter, **node_config):
        return Process(analyzer, context({**config, **node_config}, run_id=run_id))

    return restart


def test_a_restarted_node_goes_on_from_its_state_dir(restarted):
    assert json.loads(restarted().hello()["states"]) == []
    assert restarted().fit(1) == [1, (0, None)]
    assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]
    assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]
    assert restarted().evaluate(2, 0)["sum"] == 1011
    assert json.loads(restarted().hello()["states"]) == [1, 2]


def test_a_restarted_node_without_a_state_dir_refuses_to_go_on(restarted):
    restarted(**{"state-dir": ""}).fit(1)
    with pytest.raises(NodeFailedError, match="has no `state-dir` in its config"):
        restarted(**{"state-dir": ""}).fit(2, 10)


def test_a_state_dir_that_was_cleaned_is_told_from_none(restarted, tmp_path):
    restarted().fit(1)
    for file in (tmp_path / "state").rglob("*.state"):
        file.unlink()
    with pytest.raises(NodeFailedError, match="its `state-dir` was cleaned"):
        restarted().fit(2, 10)


def test_a_damaged_state_is_refused(restarted, tmp_path):
    restarted().fit(1)
    [file] = (tmp_path / "state").rglob("*.state")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(NodeFailedError, match="after round 1 cannot be read"):
        restarted().fit(2, 10)


def test_what_is_kept_is_this_users_alone(restarted, tmp_path):
    restarted().fit(1)
    paths = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in paths}
    assert modes == {
        "state": 0o700,
        "state/analyses": 0o700,
        "state/analyses/abc": 0o700,
        "state/analyses/abc/a": 0o700,
        "state/analyses/abc/a/run.json": 0o600,
        "state/analyses/abc/a/after-00000001.state": 0o600,
    }


def test_two_nodes_and_two_analyses_do_not_see_each_other(restarted):
    restarted().fit(1)
    assert json.loads(restarted().hello("another")["states"]) == []
    assert json.loads(restarted(name="b").hello()["states"]) == []
    assert restarted(name="b").fit(1) == [1, (0, None)]


def test_a_run_that_goes_on_with_an_analysis_takes_it_from_the_one_before(restarted):
    restarted(run_id=1).hello()
    restarted(run_id=1).fit(1)
    assert json.loads(restarted(run_id=2).hello()["states"]) == [1]
    for answer in (lambda old: old.fit(2, 10), lambda old: old.fit(1)):
        with pytest.raises(NodeFailedError, match="another run has gone on with this analysis"):
            answer(restarted(run_id=1))
    everyone = {"greeted": False, "after": 1}
    assert restarted(run_id=2).fit(2, 10, **everyone) == [11, (0, None), (1, 10)]


def test_hello_again_in_the_same_run_forgets_nothing(restarted):
    restarted().hello()
    restarted().fit(1)
    restarted().hello()
    assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]


def test_a_full_state_dir_fails_the_round_and_the_state_before_it_counts(restarted, monkeypatch):
    restarted().fit(1)

    def full(path, parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flame_flwr.data.kept_files.write_whole", full)
    with pytest.raises(DataError, match="cannot be written"):
        restarted().fit(2, 10)
    monkeypatch.undo()
    monkeypatch.setattr(client_module, "runtime", lambda: "deployment")
    assert restarted().fit(2, 10) == [11, (0, None), (1, 10)]


# ---- what users keep in themselves ----------------------------------------------------------


class Draws(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.rng = np.random.default_rng(7)
        self.random = random.Random(7)

    def analysis_method(self, data, aggregator_results):
        return [self.rng.random(), self.random.random()]


def test_random_generators_go_on_where_they_were(context):
    node = Process(Draws, context())
    got = [node.fit(number, 0) for number in (1, 2, 3)]
    rng, rand = np.random.default_rng(7), random.Random(7)
    assert got == [[rng.random(), rand.random()] for _ in range(3)]
    assert node.fit(3, 0) == got[2]


class Learns(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.model = SGDClassifier(random_state=0)
        self.model.coef_ = None

    def analysis_method(self, data, aggregator_results):
        features = np.arange(20.0).reshape(10, 2) + self.num_iterations
        self.model.partial_fit(features, np.arange(10) % 2, classes=[0, 1])
        return self.model.coef_


def test_fitted_estimators_go_on_where_they_were(context):
    node = Process(Learns, context())
    got = [node.fit(number, 0) for number in (1, 2, 3)]
    model = SGDClassifier(random_state=0)
    for number, coefficients in enumerate(got):
        features = np.arange(20.0).reshape(10, 2) + number
        model.partial_fit(features, np.arange(10) % 2, classes=[0, 1])
        assert np.array_equal(coefficients, model.coef_)
    assert not np.array_equal(got[0], got[2])


class Tangled(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.me = self
        self.handle = flame
        self.log = flame.flame_log
        self.callbacks = {"step": self.step}
        self.count = 0

    def step(self):
        self.count += 1
        return self.count

    def analysis_method(self, data, aggregator_results):
        self.callbacks["step"]()
        self.log("counted")
        same = self.me is self and self.handle is self.flame and self.log.__self__ is self.flame
        return [same, self.me.count]


def test_references_to_itself_and_the_handle_are_still_the_same_objects(context):
    node = Process(Tangled, context())
    assert [node.fit(number, 0) for number in (1, 2, 3)] == [[True, 1], [True, 2], [True, 3]]


class Slotted(StarAnalyzer):
    __slots__ = ("count",)

    def analysis_method(self, data, aggregator_results):
        self.count = getattr(self, "count", 0) + 1
        return self.count


def test_slots_are_kept(context):
    node = Process(Slotted, context())
    assert [node.fit(number, 0) for number in (1, 2, 3)] == [1, 2, 3]


class Chooses(StarAnalyzer):
    def __init__(self, flame):
        super().__init__(flame)
        self.count = 0
        self.cache = lambda: "cannot be pickled"

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "cache"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.cache = "made anew"

    def analysis_method(self, data, aggregator_results):
        self.count += 1
        return [self.count, self.cache if isinstance(self.cache, str) else "first"]


def test_an_analyzers_own_getstate_and_setstate_are_used(context):
    node = Process(Chooses, context())
    assert [node.fit(number, 0) for number in (1, 2)] == [[1, "first"], [2, "made anew"]]


def test_a_class_that_pickle_cannot_find_is_restored_as_the_plans(context):
    class Local(Counter):
        pass

    node = Process(Local, context())
    assert node.fit(1) == [1, (0, None)]
    assert node.fit(2, 5)[0] == 6


def test_progress_goes_on_where_it_was(context):
    class Progress(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            before = self.flame.get_progress()
            self.flame.set_progress(before + 30)
            return before

    node = Process(Progress, context())
    assert [node.fit(number, 0) for number in (1, 2, 3)] == [0, 30, 60]


# ---- what cannot be kept --------------------------------------------------------------------


def keeping(**attributes):
    """Make an analyzer that keeps these attributes, in this order."""

    class Keeps(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            for name, make in attributes.items():
                setattr(self, name, make(self))
            return 1

    return Keeps


def unsaved(analyzer, context):
    with pytest.raises(ModelError) as raised:
        Process(analyzer, context).fit(1)
    return raised.value


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda self: lambda: 3, "function"),
        (lambda self: socket.socket(), "socket"),
        (lambda self: (i for i in range(3)), "generator"),
        (lambda self: {"deep": [lambda: 3]}, "dict"),
        (lambda self: __import__("threading").Lock(), "lock"),
    ],
    ids=["lambda", "socket", "generator", "inside a dict", "lock"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_be_kept_is_named_with_the_mend(context, make, kind):
    error = unsaved(keeping(fine=lambda self: 3, special_thing=make), context())
    assert error.message == (
        f"the attribute 'special_thing' of Keeps ({kind}) cannot be saved for the next round; "
        "make it anew in analysis_method"
    )


def test_the_value_of_what_cannot_be_kept_is_not_in_the_message(context):
    class Refuses:
        def __reduce__(self):
            raise TypeError("Maria Muster")

    error = unsaved(keeping(thing=lambda self: Refuses()), context())
    assert "Maria" not in error.message
    assert "Maria" in error.detail


def test_a_reference_to_itself_is_not_blamed_for_another_attribute(context):
    analyzer = keeping(me=lambda self: self, bad=lambda self: lambda: 3)
    assert "the attribute 'bad'" in unsaved(analyzer, context()).message


def test_a_method_of_its_own_is_not_blamed_for_another_attribute(context):
    analyzer = keeping(step=lambda self: self.analysis_method, bad=lambda self: lambda: 3)
    assert "the attribute 'bad'" in unsaved(analyzer, context()).message


def test_a_slot_that_cannot_be_kept_is_named_too(context):
    class WithSlot(StarAnalyzer):
        __slots__ = ("bad",)

        def analysis_method(self, data, aggregator_results):
            self.bad = lambda: 3
            return 1

    assert "the attribute 'bad' of WithSlot (function)" in unsaved(WithSlot, context()).message


def test_what_getstate_leaves_out_is_not_blamed(context):
    class Chosen(StarAnalyzer):
        def __getstate__(self):
            return {key: value for key, value in vars(self).items() if key != "left_out"}

        def analysis_method(self, data, aggregator_results):
            self.left_out = lambda: 3
            self.bad = lambda: 4
            return 1

    assert "the attribute 'bad'" in unsaved(Chosen, context()).message
