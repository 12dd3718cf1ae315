"""When a run stops, and the one line that says why."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flame_flwr.aggregation import Convergence, DeltaNorm, MaxRounds, Plateau, When
from flame_flwr.aggregation.base import Finished
from flame_flwr.aggregation.convergence import as_convergence
from flame_flwr.aggregation.delta_norm import delta_norm
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.errors import DataError, ModelError
from flame_flwr.results.aggregate_change import Change


def told(convergence, aggregates):
    """Return the first round that it stops after and its reason, or ``(None, None)``."""
    convergence, last = as_convergence(convergence), None
    for number, aggregate in enumerate(aggregates, start=1):
        reason = convergence.check(number, aggregate, last)
        if reason:
            assert "\n" not in reason
            return number, reason
        last = aggregate
    return None, None


def test_rounds_are_counted_from_one():
    assert told(MaxRounds(1), [0] * 5) == (1, "1 rounds are done")
    assert told(MaxRounds(4), [0] * 5)[0] == 4
    assert told(MaxRounds(9), [0] * 5) == (None, None)


@given(
    arrays(float, (3, 4), elements=st.floats(-1e6, 1e6)),
    arrays(float, (3, 4), elements=st.floats(-1e6, 1e6)),
    st.sampled_from([1, 1.5, 2, 3, math.inf]),
)
def test_the_norm_is_that_of_one_long_vector(a, b, order):
    new, old = {"w": [a, 2.0], "v": a[0]}, {"v": b[0], "w": [b, 1.0]}
    long = np.concatenate([(a - b).ravel(), [1.0], (a - b)[0]])
    assert delta_norm(new, old, order) == pytest.approx(np.linalg.norm(long, order), rel=1e-12)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_counters_of_batches_do_not_keep_from_settling(kind):
    def model(k):
        return {"0.w": np.array([1.0 + 0.1**k]), "1.num_batches_tracked": np.array(9 * k, kind)}

    steps = [{"model": [model(k)], "rounds": k} for k in range(9)]
    at, reason = told(DeltaNorm("model", 1e-3), steps)
    assert (at, reason) == (5, "`model` changed by 0.0009, at most 0.001")
    assert told(DeltaNorm(lambda found: found["model"][0], 1e-3), steps)[0] == 5
    counted = DeltaNorm(lambda found: found["model"][0]["1.num_batches_tracked"], 1e-3)
    assert told(counted, steps) == (None, None)
    shown = Change()
    changes = [shown.measure(step) for step in steps]
    assert changes[1:] == pytest.approx([0.1**k - 0.1 ** (k + 1) for k in range(8)])


def test_long_arrays_are_compared_in_blocks():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200_001))
    for order in (1, 2, math.inf):
        assert delta_norm(a, b, order) == pytest.approx(np.linalg.norm(a - b, order), rel=1e-12)


def test_whole_numbers_beyond_floats_change_without_end():
    large = 10**400
    for old, new in ((1, large), (large, 1), (large, -large), ([0.5, large], [0.5, 2])):
        assert delta_norm(new, old) == math.inf
        assert told(DeltaNorm(None, 1e3), [old, new]) == (None, None)
    for mode, numbers in (("min", [3, large, large]), ("max", [3, -large, -large])):
        assert told(Plateau(None, 2, mode), numbers)[0] == 3


def test_a_small_change_stops_and_says_which():
    steps = [{"m": {"coef": np.array([3.0, 4.0]) / 10**k}} for k in range(9)]
    number, reason = told(DeltaNorm("m.coef", 1e-3), steps)
    changes = [
        np.linalg.norm(a["m"]["coef"] - b["m"]["coef"]) for a, b in itertools.pairwise(steps)
    ]
    assert number == 2 + next(i for i, change in enumerate(changes) if change <= 1e-3)
    assert reason == "`m.coef` changed by 0.00045, at most 0.001"
    assert told(DeltaNorm(None, 0.0), [1.0, 2.0, 2.0])[0] == 3
    assert told(DeltaNorm(lambda value: value[0], 0.5), [(1, 9), (1.4, 0)])[0] == 2


def test_a_mistyped_key_is_an_error():
    steps = [{"coef": 1.0 / k} for k in range(1, 30)]
    for convergence in (DeltaNorm("ceof", 1e-3), DeltaNorm("ceof", 1e-3) | MaxRounds(25)):
        with pytest.raises(DataError, match="DeltaNorm: the aggregate has no `ceof`: name one"):
            told(convergence, steps)


class Settled(Convergence):
    def __init__(self, answer):
        self.answer = answer

    def check(self, number, aggregate, last):
        return self.answer


class Still:
    def begin(self, number):
        pass

    def finish(self):
        return Finished({"a": 1}, False, "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (True, "Settled returned True"),
        (np.bool_(True), "Settled returned True"),
        (False, ""),
        (np.bool_(False), ""),
        (None, ""),
        ("", ""),
        ("one line\nand another", "one line and another"),
    ],
)
def test_the_answer_of_ones_own_becomes_one_line(answer, reason):
    for convergence in (
        Settled(answer),
        Settled(answer) | MaxRounds(9),
        Settled(answer) & Settled(True),
    ):
        run = EarlyStopping(Still(), convergence)
        run.begin(1)
        finished = run.finish()
        assert finished.converged == bool(reason)
        assert finished.reason.startswith(reason)
        assert "\n" not in finished.reason
    with pytest.raises(
        ModelError, match="Settled: check must return in one line why to stop, or N"
    ):
        EarlyStopping(Still(), Settled(3.5)).finish()


def test_what_cannot_be_compared_does_not_stop():
    assert told(DeltaNorm("w", 9.0), [{"w": math.nan}] * 3) == (None, None)
    assert told(DeltaNorm("w", 9.0), [{"a": 1}, {"w": 1.0}, {"w": np.ones(2)}]) == (None, None)
    with pytest.raises(DataError, match="DeltaNorm: the aggregate has no `v`"):
        told(DeltaNorm("v", 1), [{"v": 1}, {"w": 1}])
    with pytest.raises(DataError, match="of type str, so it has no norm"):
        told(DeltaNorm("v", 1), [{"v": "a"}] * 2)


def test_a_plateau_waits_for_patience_rounds():
    losses = [5.0, 3.0, 3.1, 2.95, 3.2, 3.0, 3.0, 1.0]
    values = [{"loss": loss} for loss in losses]
    number, reason = told(Plateau("loss", 3), values)
    assert (number, reason) == (7, "`loss` has not become better for 3 rounds")
    assert told(Plateau("loss", 3, min_delta=0.1), values)[0] == 5
    negated = [{"loss": -loss} for loss in losses]
    assert told(Plateau("loss", 3, mode="max"), negated)[0] == 7
    assert told(Plateau("loss", 2), [{"loss": math.nan}] * 3)[0] == 2
    with pytest.raises(DataError, match="must be a number, not str"):
        told(Plateau("loss", 2), [{"loss": "low"}])


def test_any_function_is_a_convergence():
    def settled(aggregate, last):
        return last is not None and np.bool_(aggregate == last)

    assert told(settled, [1, 2, 2]) == (3, "settled returned True")
    assert told(When(lambda a, _: "enough\nof it" if a > 1 else ""), [1, 2]) == (2, "enough of it")


def test_combinations_are_or_and_and():
    values = [1.0, 2.0, 2.0, 2.0, 2.0]
    both = MaxRounds(4) & DeltaNorm(None, 0.1)
    assert told(both, values) == (
        4,
        "4 rounds are done and the whole value changed by 0, at most 0.1",
    )
    one = MaxRounds(4) | DeltaNorm(None, 0.1)
    assert told(one, values)[0] == 3
    assert told(MaxRounds(5) | (lambda a, _: a == 2), values)[0] == 2
    assert told((lambda a, _: a == 2) & MaxRounds(4) | MaxRounds(9), values)[0] == 4
    assert repr((MaxRounds(1) | MaxRounds(2)) & MaxRounds(3)) == (
        "(MaxRounds(rounds=1) | MaxRounds(rounds=2)) & MaxRounds(rounds=3)"
    )


def test_every_part_counts_every_round():
    values = [{"loss": 1.0}] * 6
    assert told(MaxRounds(3) & Plateau("loss", 2), values)[0] == 3
    assert told(MaxRounds(5) & Plateau("loss", 2), values)[0] == 5


def test_state_goes_on_in_another_object():
    declared = MaxRounds(99) | Plateau("loss", 3)
    values = [{"loss": 1.0}] * 3
    assert told(declared, values) == (None, None)
    again = MaxRounds(99) | Plateau("loss", 3)
    again.restore(declared.state())
    assert again.check(4, values[0], values[0]) == "`loss` has not become better for 3 rounds"


def test_one_of_ones_own_keeps_its_attributes():
    class Twice(Convergence):
        def __init__(self):
            self.seen = 0

        def check(self, number, aggregate, last):
            self.seen += 1
            return "seen twice" if self.seen == 2 else None

    one = Twice()
    assert one.check(1, 0, None) is None
    other = Twice()
    other.restore(one.state())
    assert other.check(2, 0, 0) == "seen twice"


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        (lambda: MaxRounds(0), "whole number from 1"),
        (lambda: MaxRounds(2.5), "whole number from 1"),
        (lambda: DeltaNorm("a", -1), "DeltaNorm: tol"),
        (lambda: DeltaNorm("a", 1, ord=0), "ord must be above 0"),
        (lambda: Plateau("a", 0), "patience"),
        (lambda: Plateau("a", 1, mode="low"), "mode must be one of"),
        (lambda: Plateau("a", 1, min_delta=math.nan), "min_delta"),
        (lambda: as_convergence(3), "convergence must be"),
        (lambda: as_convergence(MaxRounds), "convergence must be"),
        (lambda: MaxRounds(1) | None, "None is no convergence"),
    ],
)
def test_what_is_declared_wrongly_is_found_at_once(declared, what):
    with pytest.raises(ModelError, match=what):
        declared()
