"""Filters on model updates: which numbers of a result they act on, in which order, against what."""

import json
import math
import pickle
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest

from flame_flwr.errors import FlameError, ModelError
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector, TopFraction, UpdateFilter
from flame_flwr.privacy.filter_chain import FilterChain
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import check_filters

EVERY = [
    Clip(0.5),
    TopFraction(0.25),
    GaussianNoise(1.0, 1.0, seed=1),
    SparseVector(0.5, bound=1, threshold=0.1, epsilon_select=1, epsilon_values=1, seed=1),
]


def applied(filters, result, aggregate=None, number=2, own=(), node="node-0"):
    return FilterChain.of(filters, own, node).apply(result, aggregate, number)


@pytest.mark.parametrize(
    ("fraction", "size", "count"), [(0.3, 10, 3), (1e-10, 3, 1), (0.26, 4, 2), (1.0, 5, 5)]
)
def test_a_fraction_is_rounded_up(fraction, size, count):
    assert np.count_nonzero(TopFraction(fraction).change(np.arange(1.0, size + 1), None)) == count


def test_of_no_numbers_none_leave():
    for each in EVERY:
        assert each.change(np.zeros(0), Noise(1)).size == 0


def test_the_fraction_is_of_all_chosen_arrays_together():
    result = {"a": np.array([1.0, 9.0]), "b": np.array([[8.0, 2.0]], dtype=np.float32)}
    filtered = applied([TopFraction(0.5)], result)
    assert filtered["a"].tolist() == [0, 9]
    assert filtered["b"].tolist() == [[8, 0]]
    assert filtered["b"].dtype == np.float32


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_a_norm_neither_overflows_nor_vanishes(size):
    filtered = applied([Clip(size)], np.array([3 * size, 4 * size]))
    np.testing.assert_allclose(filtered, [0.6 * size, 0.8 * size], rtol=1e-12)


def test_a_nodes_own_filters_act_last():
    result, before = np.array([4.0, 3.0, 0.5]), np.array([0.0, 0.0, 0.25])
    first = applied([TopFraction(1 / 3), Clip(2)], result, before)
    assert first.tolist() == [2, 0, 0.25]
    then = applied([TopFraction(1 / 3)], result, before, own=[Clip(2)])
    assert then.tolist() == first.tolist()
    swapped = applied([Clip(2)], result, before, own=[TopFraction(1 / 3)])
    assert swapped[1:].tolist() == [0, 0.25]
    assert swapped[0] == pytest.approx(2 * 4 / math.hypot(4, 3, 0.25))


@pytest.mark.parametrize(
    ("aggregate", "number"),
    [
        *((None, 1), ({"other": np.zeros(2)}, 2), ("text", 2), ([np.zeros(2)], 2)),
        *(({"coef": "text"}, 2), (5, 2)),
    ],
)
def test_without_an_aggregate_changes_count_from_zero(aggregate, number, caplog):
    filtered = applied([Clip(1.0)], {"coef": np.array([3.0, -4.0])}, aggregate, number)
    assert filtered["coef"].tolist() == pytest.approx([0.6, -0.8])
    assert ("its change is counted from zero" in caplog.text) is (number > 1)


def test_the_aggregate_may_hold_another_type_of_number():
    result = np.array([3.0, 1.0], dtype=np.float32)
    for before in (np.array([1, 1]), np.array([1, 1], dtype=np.float16)):
        filtered = applied([Clip(1.0)], result, before)
        assert filtered.tolist() == [2, 1]
        assert filtered.dtype == np.float32


# ---- what of a result is filtered ----------------------------------------------------------


def test_other_values_leave_as_they_are():
    frame = object()
    result = {
        "coef": np.array([8.0, 1.0]),
        "n": 5,
        "mean": 2.5,
        "counts": np.array([3, 4]),
        "mask": np.array([True]),
        "list": [1.0, 2.0],
        7: (np.array([9.0]), "text", frame),
        "scalar": np.float64(4.0),
    }
    filtered = applied([TopFraction(1 / 3)], result)
    assert list(filtered) == list(result)
    assert filtered["coef"].tolist() == [0, 0]
    assert filtered[7][0].tolist() == [9]
    for key in ("n", "mean", "counts", "mask", "list", "scalar"):
        assert filtered[key] is result[key]
    assert filtered[7][1:] == ("text", frame)


def test_the_result_and_the_aggregate_are_not_changed():
    result, aggregate = {"a": [np.array([1.0, 2.0])]}, {"a": [np.array([0.5, 0.5])]}
    for each in EVERY:
        applied([each], result, aggregate)
    assert result["a"][0].tolist() == [1, 2]
    assert aggregate["a"][0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("keys", "filtered_ones"),
    [
        *((None, {1, 2, 3, 4}), ("model", {2, 3}), ("model.coef", {2})),
        *((["model.coef", "a"], {1, 2}), ("2", {4}), (("a", "model.layer.0.weight"), {1, 3})),
    ],
)
def test_keys_name_arrays_and_what_is_within(keys, filtered_ones):
    result = {
        "a": np.array([1.0]),
        "model": {"coef": np.array([2.0]), "layer.0.weight": np.array([3.0])},
        2: np.array([4.0]),
    }
    new = applied([Clip(1e-9, keys=keys)], result)
    arrays = [new["a"], *new["model"].values(), new[2]]
    changed = {i for i, [value] in enumerate(arrays, start=1) if value != i}
    assert changed == filtered_ones


def test_containers_keep_their_types():
    result = OrderedDict(a=(np.array([2.0]), [np.array([3.0])]), b=1)
    filtered = applied([Clip(1.0)], result)
    assert type(filtered) is OrderedDict
    assert type(filtered["a"]) is tuple
    assert type(filtered["a"][1]) is list
    assert filtered["b"] == 1


def test_shapes_and_types_of_arrays_stay():
    for dtype in (np.float16, np.float32, np.float64, ">f8"):
        for shape in ((), (0,), (3, 2), (1, 1, 4)):
            result = {"a": np.ones(shape, dtype=dtype), "b": np.ones(2)}
            for each in EVERY:
                filtered = applied([each], result)["a"]
                assert filtered.shape == shape
                assert filtered.dtype == np.dtype(dtype)


@pytest.mark.parametrize("result", [{"n": 5}, [1.0, 2.0], None, "text", np.array([1, 2])])
def test_results_without_float_arrays_are_refused_or_skipped(result):
    with pytest.raises(ModelError, match="no NumPy array of floats anywhere"):
        applied([Clip(1.0)], result)
    chain = FilterChain.of([Clip(1.0, missing="skip")], (), "a")
    assert chain.apply(result, None, 1) is result
    assert chain.applied == [False]


def test_a_key_without_array_is_named_or_skipped():
    result = {"coef": np.array([2.0])}
    with pytest.raises(ModelError, match=r"floats at number 2 of its keys.*\[bias\]"):
        applied([Clip(1.0, keys=["coef", "bias"])], result)
    filtered = applied([Clip(1.0, keys=["coef", "bias"], missing="skip")], result)
    assert filtered["coef"].tolist() == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_does_not_leave(value):
    for each in EVERY:
        with pytest.raises(ModelError, match="finite numbers") as raised:
            applied([each], {"Maria Muster": np.array([1.0, value])})
        assert "Maria" not in raised.value.message
        with pytest.raises(ModelError, match="finite numbers"):
            applied([each], np.array([1.0]), np.array([value]))
    rest = {"coef": np.array([2.0]), "auc": np.array([value])}
    assert applied([Clip(1.0, keys="coef")], rest)["auc"] is rest["auc"]


def test_another_shape_than_the_aggregates_is_refused():
    with pytest.raises(ModelError, match=r"the shape \(3,\), and the aggregate's .* \(2,\)"):
        applied([Clip(1.0)], np.ones(3), np.ones(2))


def test_a_number_too_large_for_float16_is_refused():
    noisy = GaussianNoise(norm=1e6, noise_multiplier=1e3, seed=3)
    with pytest.raises(ModelError, match="does not fit into float16"):
        applied([noisy], np.ones(50, dtype=np.float16))


def test_values_within_themselves_are_left_to_encode():
    result = {"a": np.ones(1)}
    result["self"] = [result, result]
    assert applied([Clip(0.5)], result)["a"].tolist() == [0.5]


# ---- declaring them ------------------------------------------------------------------------


def test_a_model_takes_a_list_of_filters():
    assert check_filters(None) == ()
    assert check_filters([Clip(1.0)]) == (Clip(1.0),)
    for wrong in (Clip(1.0), "Clip(1.0)", {Clip(1.0)}):
        with pytest.raises(ModelError, match="filters must be a list"):
            check_filters(wrong)
    with pytest.raises(ModelError, match="not the class Clip"):
        check_filters([Clip])


def test_filters_are_values():
    for each in EVERY:
        assert pickle.loads(pickle.dumps(each)) == each
        assert json.loads(json.dumps(each.about()))["filter"] == type(each).__name__
    assert Clip(1) == Clip(1.0)


@dataclass(frozen=True)
class Rounded(UpdateFilter):
    """A user's own."""

    digits: int

    def change(self, update, noise):
        return np.round(update, self.digits)


def test_an_own_filter_needs_one_method():
    filtered = applied([Rounded(1, keys="a")], {"a": np.array([1.234]), "b": np.array([1.234])})
    assert filtered["a"].tolist() == [1.2]
    assert filtered["b"].tolist() == [1.234]


@pytest.mark.parametrize("wrong", [lambda u: u[:1], lambda u: u * math.nan, lambda u: "text"])
def test_an_own_filter_returns_as_many_finite_numbers(wrong):
    class Wrong(Rounded):
        def change(self, update, noise):
            return wrong(update)

    with pytest.raises((FlameError, ValueError)):
        applied([Wrong(1)], np.ones(3))


# ---- noise: once for a place, or the same again ----------------------------------------------


@pytest.mark.parametrize("each", EVERY[2:])
def test_a_seed_repeats_noise_per_node_and_round(each):
    result = np.arange(20.0)
    drawn = {
        (node, number): applied([each], result, None, number, node=node).tobytes()
        for node in ("a", "b")
        for number in (1, 2)
    }
    assert len(set(drawn.values())) == 4
    for (node, number), before in drawn.items():
        assert applied([each], result, None, number, node=node).tobytes() == before


def test_one_seed_gives_two_filters_different_noise():
    twin = GaussianNoise(1.0, 1.0, seed=1)
    once = applied([twin], np.zeros(20))
    twice = applied([GaussianNoise(1e9, 1e-9, seed=2), twin], np.zeros(20))
    assert np.abs(twice - once).max() > 0.1


def test_without_a_seed_noise_is_never_the_same():
    for each in (
        GaussianNoise(1.0, 1.0),
        SparseVector(0.5, bound=1, threshold=0.1, epsilon_select=1, epsilon_values=1),
    ):
        drawn = {applied([each], np.arange(20.0), None, 1).tobytes() for _ in range(20)}
        assert len(drawn) == 20


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
ODD = {
    "masked": (MASKED, "a masked array.*with .filled"),
    "masked NaN": (np.ma.array([1.0, np.nan, 3.0], mask=[False, True, False]), "a masked array"),
    "all masked": (np.ma.masked_all(3), "a masked array"),
    "none masked": (np.ma.array([1.0, 2.0, 3.0]), "a masked array"),
    "the constant": (np.ma.masked, "a masked array"),
    "a matrix": (np.matrix([[1.0, 2.0, 3.0]]), r"a numpy\.matrix.*numpy\.asarray"),
}


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
@pytest.mark.parametrize("odd", ODD)
def test_arrays_that_are_no_plain_ones_are_named(each, odd):
    """Without its mask, what is masked would leave."""
    value, words = ODD[odd]
    for aggregate in (None, {"a": np.zeros(np.shape(value))}):
        with pytest.raises(ModelError, match=f"{each.name}: an array of the result is {words}"):
            applied([each], {"a": value}, aggregate)


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
def test_a_masked_aggregate_is_named(each):
    with pytest.raises(ModelError, match=r"of the aggregate is a masked array"):
        applied([each], {"a": np.ones(3)}, {"a": MASKED})


def test_what_is_filled_is_filtered():
    filtered = applied([Clip(1.0, keys="a")], {"a": MASKED.filled(0.0), "n": MASKED})
    assert filtered["n"] is MASKED
    np.testing.assert_allclose(filtered["a"], [1 / 10**0.5, 0.0, 3 / 10**0.5], rtol=1e-12)


@pytest.mark.parametrize("kind", [list, dict])
def test_a_result_nested_too_deeply_is_refused(kind):
    """A thousand levels may be encoded: more than arrays can be looked for in."""
    deep = np.ones(3)
    for _ in range(900):
        deep = [deep] if kind is list else {"a": deep}
    with pytest.raises(ModelError, match="nested more than 200 levels deep"):
        applied([Clip(1.0)], deep, None)
