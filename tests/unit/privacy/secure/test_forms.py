"""Structure is equal at all nodes; and what a hostile hospital may send as an answer's form."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation import Sum, WeightedMean
from flame_flwr.aggregation.merged_round import merge_values
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import AnswerError, DataError, PayloadError
from flame_flwr.privacy.secure.declaration import SecureDeclaration
from flame_flwr.privacy.secure.grid_round import GridRound
from flame_flwr.privacy.secure.layout import Answer, lay_out
from flame_flwr.statistics import Moments, RowCount
from flame_flwr.strategies import MergeStatistics


def summed(declared, answers):
    tree = declare(declared)
    nodes = [f"node-{place}" for place in range(len(answers))]
    added = GridRound(1, nodes, tree, SecureDeclaration.of(tree))
    for node, answer in zip(nodes, answers, strict=True):
        added.add(node, answer)
    return added.result()


ALIKE_BUT_FOR_STRUCTURE = {
    "keys with dots": ({"a.b": 1.0}, {"a": {"b": 1.0}}),
    "a number as a key": ({1: 1.0}, {"1": 1.0}),
    "list and dict": ([1.0], {0: 1.0}),
    "list and tuple": ([1.0, 2.0], (1.0, 2.0)),
    "what is empty": ([[], 1.0], [{}, 1.0]),
}


@pytest.mark.parametrize("what", ALIKE_BUT_FOR_STRUCTURE)
@pytest.mark.parametrize("of", ["sum", "weighted", "statistics"])
def test_structure_is_equal_at_all_nodes(what, of):
    """Two values of one place, as their words are as many, would be added up."""

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(filled, value))
        return Moments.from_data([value])

    one, other = ALIKE_BUT_FOR_STRUCTURE[what]
    if of == "statistics":
        declared, values = MergeStatistics().reductions, [filled(one), filled(other)]
    else:
        reduction = Sum() if of == "sum" else WeightedMean("n")
        declared, values = {"x": reduction}, [{"x": one, "n": 2}, {"x": other, "n": 2}]
    for first, second in (values, values[::-1]):
        with pytest.raises(AnswerError, match=r"node-1: key .* as of the others"):
            summed(declared, [first, second, first])
        known = lay_out(SecureDeclaration.of(declare(declared)), first, 3).forms
        with pytest.raises(DataError, match="than in the answers before it"):
            lay_out(SecureDeclaration.of(declare(declared)), second, 3, known)


@pytest.mark.parametrize(
    ("declared", "answer", "why"),
    [
        ({"x": Moments}, {"x": RowCount(3)}, r"sent a row count where a statistic \(Moments\)"),
        (
            {"x": Moments},
            {"x": [{"a": RowCount(3)}]},
            r"sent a row count where a statistic \(Moments\)",
        ),
        ({"a.b": Sum()}, {"a": {"b": 1.0}}, "has not this key"),
        ({"0": Sum()}, [1.0], "has not this key"),
    ],
)
def test_undeclared_is_refused_as_without_a_grid(declared, answer, why):
    for add_up in (summed, merge_values):
        with pytest.raises(AnswerError, match=f"node-0.*{why}"):
            add_up(declared, [answer] * 3)


def test_order_of_keys_is_each_nodes_own():
    answers = [{"x": {"a": 1.0, "b": {1: 2.0, 0: 3.0}}}, {"x": {"b": {0: 3.0, 1: 2.0}, "a": 1.0}}]
    assert summed({"x": Sum()}, [*answers, answers[0]]) == {"x": {"a": 3.0, "b": {1: 6.0, 0: 9.0}}}


# ---- what a hostile hospital may send --------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(["number", "array", "list", "tuple", "dict", "statistic", "int", "float64"])
FORMS = st.lists(
    JSON | st.lists(KINDS | JSON | st.lists(KINDS | JSON, max_size=3), max_size=4), max_size=4
)


@pytest.mark.parametrize("place", ["path", "by", "labels"])
def test_key_without_bytes_is_none_of_a_declaration(place):
    """JSON can name half a surrogate, and what is hashed is UTF-8."""
    [leaf] = json.loads(SecureDeclaration.of(declare({"x": WeightedMean("n")})).to_text())
    leaf[place] = "\ud800" if place == "by" else ["\ud800"]
    with pytest.raises(PayloadError, match="cannot be read"):
        SecureDeclaration.from_text(json.dumps([leaf]))


@settings(max_examples=100)
@given(forms=FORMS | JSON, words=st.integers(0, 9))
@pytest.mark.parametrize("declared", [{"x": Sum()}, {"x": WeightedMean("n")}, {"x": Moments}])
def test_form_of_any_kind_is_its_nodes_failure(declared, forms, words):
    tree = declare(declared)
    added = GridRound(1, ["a", "b", "c"], tree, SecureDeclaration.of(tree), masked=True)
    hostile = Answer(forms, np.zeros(words, np.uint64))
    with suppress(AnswerError):
        added.add("b", Answer.from_bytes(hostile.to_bytes()))


@pytest.mark.parametrize(
    "forms",
    [
        [["number", 5]],
        [["dict"]],
        [["dict", [[1]], [["number", "float"]]]],
        [["list", ["x"]]],
        [["array", "float64", [7]]],
        5,
    ],
)
@pytest.mark.parametrize("declared", [{"x": Sum()}, {"x": Moments}])
def test_refused_form_leaves_nothing_behind(declared, forms):
    tree = declare(declared)
    of = SecureDeclaration.of(tree)
    added = GridRound(1, ["a", "b", "c"], tree, of, masked=True)
    with pytest.raises(AnswerError, match="round 1, a: "):
        added.add("a", Answer(forms, np.zeros(2, np.uint64)))
    value = {"x": 2.0} if declared["x"] == Sum() else {"x": Moments.from_data([2.0])}
    for node in "abc":  # what is not masked cancels
        added.add(node, lay_out(of, value, 3))
    assert added.result() == merge_values(declared, [value] * 3)
