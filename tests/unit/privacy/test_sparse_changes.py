"""``TopFraction(sparse=True)``: fewer bytes, the same bits, and nothing that a forger gains."""

import numpy as np
import pytest

from flame_flwr.aggregation import MaxRounds
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.payload import decode, encode
from flame_flwr.payload.sparse_change import SparseChange, holds_sparse_change
from flame_flwr.privacy import Clip, MinCount, TopFraction
from flame_flwr.privacy.answer_cost import cost_of
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.sparse_changes import made_dense
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import CyclicTraining, WeightedFedAvg

SIZE = 2000


class Drift(StarAnalyzer):
    """Moves every weight a little towards the node's own, in two types of numbers."""

    def analysis_method(self, data, aggregator_results):
        goal = np.random.default_rng(data).normal(size=SIZE)
        held = None if aggregator_results is None else aggregator_results["model"]
        wide = np.zeros(SIZE) if held is None else held["wide"]
        narrow = np.zeros((50, 40), np.float32) if held is None else held["narrow"]
        model = {
            "wide": wide + (goal - wide) / 2,
            "narrow": (narrow + (goal.reshape(50, 40) - narrow) / 3).astype(np.float32),
        }
        return {"model": model, "local_n_samples": data}


def strategy():
    return WeightedFedAvg(convergence=MaxRounds(4))


def run(*filters, **more):
    return StarModelTester([3, 5, 7], Drift, strategy(), "s3", filters=filters, quiet=True, **more)


@pytest.mark.parametrize("fraction", [0.01, 0.25])
def test_same_bits_as_whole_in_fewer_bytes(fraction):
    whole, sparse = run(TopFraction(fraction)), run(TopFraction(fraction, sparse=True))
    assert set(sparse.result["model"]) == set(whole.result["model"]) != set()
    for name, array in whole.result["model"].items():
        assert sparse.result["model"][name].tobytes() == array.tobytes()
        assert sparse.result["model"][name].dtype == array.dtype
    for number, (one, other) in enumerate(
        zip(whole.record.history, sparse.record.history, strict=True), 1
    ):
        assert set(one.node_bytes) == set(other.node_bytes) != set()
        for node, nbytes in one.node_bytes.items():
            few = other.node_bytes[node]
            # 2 bytes of a place beside at most 8 of a value, of `fraction` of the numbers of both
            at_most = nbytes if number == 1 else fraction * 2 * SIZE * (2 + 8) + 700
            assert few <= at_most, (number, few, at_most)


def over_messages(grid_class=LocalGrid, analyzer=Drift, made=strategy, **settings):
    record = RunRecord()
    plan = NodePlan(analyzer, data_type="s3", filters=(TopFraction(0.1, sparse=True),))
    with grid_class(plan, [3, 5, 7]) as grid:
        made().start(
            grid, settings=RunSettings.from_config(settings), record=record, simple_analysis=False
        )
    return record


def test_it_is_alike_over_messages():
    model, local = over_messages().result["model"], run(TopFraction(0.1)).result["model"]
    assert set(model) == set(local) != set()
    for name, array in local.items():
        assert model[name].tobytes() == array.tobytes()


def test_a_change_is_of_what_was_sent():
    def cyclic():
        return CyclicTraining("random", rounds=3, seed=2)

    def here(**more):
        filters = [TopFraction(0.1, **more)]
        return StarModelTester([3, 5, 7], Drift, cyclic(), "s3", filters=filters, quiet=True)

    whole, sparse = here(), here(sparse=True)
    for record in (sparse.record, over_messages(made=cyclic)):
        assert record.history[1].node_bytes["node-2"] < whole.record.history[1].node_bytes["node-2"]
        for name, array in whole.result["model"].items():
            assert record.result["model"][name].tobytes() == array.tobytes()


def test_filters_behind_it_decide_what_is_short():
    """A clipped change moves every number that has changed, and no other."""
    whole = run(TopFraction(0.1), Clip(0.5))
    sparse = run(TopFraction(0.1, sparse=True), Clip(0.5))
    assert sparse.result["model"]["wide"].tobytes() == whole.result["model"]["wide"].tobytes()
    assert (
        sparse.record.history[2].node_bytes["node-0"]
        < 0.3 * whole.record.history[2].node_bytes["node-0"]
    )


def test_what_is_not_shorter_travels_whole():
    dense = run(TopFraction(1.0, sparse=True)).record.history[1].node_bytes
    assert dense == run(TopFraction(1.0)).record.history[1].node_bytes


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1000,), (20, 50), (1000, 1)])
def test_a_change_gives_every_bit_back(kind, shape):
    rng = np.random.default_rng(1)
    before = rng.normal(size=shape)
    array = before.astype(kind)
    array.reshape(-1)[[0, 7, 500, 999]] = [0.0, -0.0, 2.5, 1e-3]
    for held in (before, np.asfortranarray(before), before.astype("f4")):
        change = SparseChange.of(array, held)
        if held.dtype != before.dtype and kind == "f8":
            continue  # there every number has changed
        again = decode(encode({"a": change}))["a"]
        assert again.dense(held).tobytes() == array.tobytes()
        assert again.dense(held).shape == shape


PLACES, VALUES = np.array([1, 4], np.uint8), np.array([0.5, 0.25])


@pytest.mark.parametrize(
    ("shape", "places", "values"),
    [
        ((9,), np.array([4, 1], np.uint8), VALUES),  # falling
        ((9,), np.array([1, 1], np.uint8), VALUES),  # twice
        ((4,), PLACES, VALUES),  # beyond the end
        ((9,), np.array([-1, 4], np.int8), VALUES),  # signed
        ((9,), PLACES.reshape(1, 2), VALUES.reshape(1, 2)),
        ((9,), PLACES, VALUES[:1]),
        ((9,), PLACES, np.array([1, 2])),  # no floats
        ((9,), PLACES, VALUES.astype(">f8")),
        ((-9,), PLACES, VALUES),
        ((2**70,), PLACES, VALUES),
        ((True,), PLACES, VALUES),
        ((9,) * 40, PLACES, VALUES),
    ],
)
def test_a_forged_change_is_refused_when_read(shape, places, values):
    with pytest.raises(ValueError, match=r"change|shape"):
        SparseChange(shape, places, values, 0)
    honest = SparseChange((9,), PLACES, VALUES, 0)
    for name, value in (("shape", shape), ("places", places), ("values", values)):
        object.__setattr__(honest, name, value)
    with pytest.raises(PayloadError, match="not a valid payload"):
        decode(forged(encode([honest])))


def forged(payload):
    """Return a payload as one that came from outside."""
    return type(payload)(payload.header, payload.arrays)


def test_a_change_of_nothing_sent_is_refused():
    sent = {"a": np.zeros(900), "text": "b"}
    change = SparseChange.of(np.eye(1, 900, 5)[0], sent["a"])
    assert made_dense([{"a": 1}], lambda: None) == [{"a": 1}]
    other = {"a": np.ones(900)}
    for value, base in (
        ({"b": change}, sent),
        ({"text": change}, sent),
        ([change], sent),
        (change, sent),
        ({"a": change}, None),
        ({"a": change}, {"a": np.zeros(901)}),
        ({"a": change}, {"a": np.zeros((30, 30))}),
        ({"a": change}, other),
    ):
        with pytest.raises(PayloadError, match="tells the change of"):
            made_dense(value, lambda base=base: base)
    deep = change
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(PayloadError, match="was not sent"):
        made_dense(deep, lambda: sent)


def test_a_gate_sees_through_own_changes():
    """Filters and rules act on the whole array, whatever the analysis has made of it."""
    before = {"a": np.zeros(900)}
    array = np.zeros(900)
    array[:60] = np.arange(60)
    change = SparseChange.of(array, before["a"])
    for rules, filters in (((), (Clip(1.0),)), ((MinCount(5),), ())):
        gate = Gate("ward", rules=rules, filters=filters)
        passed = gate.result(forged(encode({"a": change})), Study(), 2, encode(before))
        left = decode(passed.payload)["a"]
        assert isinstance(left, np.ndarray)
        assert np.linalg.norm(left) == pytest.approx(1.0 if filters else np.linalg.norm(array))
    with pytest.raises(PayloadError, match="was not sent"):
        Gate("ward", filters=(Clip(1.0),)).result(forged(encode({"a": change})), Study(), 1)


def test_one_forger_costs_its_own_part_only():
    class Forging(Drift):
        def analysis_method(self, data, aggregator_results):
            answer = super().analysis_method(data, aggregator_results)
            if data == 5 and aggregator_results is not None:
                held = aggregator_results["model"]["wide"]
                shape = SparseChange((SIZE,), PLACES, VALUES, 1)
                assert held.shape == (SIZE,)
                return {**answer, "model": {**answer["model"], "wide": shape}}
            return answer

    record = RunRecord()
    with LocalGrid(NodePlan(Forging, data_type="s3"), [3, 5, 7]) as grid:
        strategy().start(
            grid,
            settings=RunSettings.from_config({"on-failure": "skip", "min-nodes": 2}),
            record=record,
            simple_analysis=False,
        )
    assert [list(each.failed) for each in record.history] == [[], *[["node-1"]] * 3]


def test_masked_sums_are_of_whole_arrays():
    gate = Gate("ward", filters=(TopFraction(0.1, sparse=True),))
    before, array = {"a": np.zeros(900)}, np.arange(900.0)
    for sparse in (True, False):
        passed = gate.result(encode({"a": array}), Study(), 2, encode(before), sparse=sparse)
        assert holds_sparse_change(passed.payload) is sparse
        assert cost_of(passed).figures == (90 if sparse else 900)


def test_without_asking_filters_return_whole_arrays():
    result, _ = apply_filters(
        [TopFraction(0.1, sparse=True)], {"a": np.arange(900.0)}, {"a": np.zeros(900)}, 2, "ward"
    )
    assert isinstance(result["a"], np.ndarray)


def test_sparse_is_true_or_false():
    with pytest.raises(ModelError, match="TopFraction: sparse must be True or False, not 1"):
        TopFraction(0.5, sparse=1)
    assert TopFraction(0.5, sparse=True).about() == {
        "filter": "TopFraction",
        "fraction": 0.5,
        "sparse": True,
    }
