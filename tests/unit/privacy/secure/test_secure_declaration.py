"""What is no sum is refused when the strategy is built, and a declaration is the same from text."""

import numpy as np
import pytest

from flame_flwr.aggregation import Grid, Mean, MergeCounts, Sum, WeightedMean
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import PayloadError
from flame_flwr.privacy.secure.declaration import SecureDeclaration, SecureLeaf
from flame_flwr.privacy.secure.fields import fields_of
from flame_flwr.statistics import Moments
from flame_flwr.strategies import MergeStatistics, ReduceStrategy, WeightedFedAvg

DECLARED = {
    "PerNode": lambda a: {"x": a.PerNode()},
    "Min": lambda a: {"x": a.Min()},
    "Max": lambda a: {"x": a.Max()},
    "Concat": lambda a: {"x": a.Concat()},
    "Function": lambda a: {"x": max},
    "MergeCounts": lambda a: {"x": a.MergeCounts()},
    "missing": lambda a: {"x": a.Sum(missing="skip")},
    "differing": lambda a: {"x": a.Sum(differing="skip")},
    "non_finite": lambda a: {"x": a.Sum(non_finite="keep")},
    "bad_weight": lambda a: {"x": a.WeightedMean("n", bad_weight="skip")},
    "function": lambda a: {"x": a.WeightedMean(lambda answer: 1)},
}


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("what", DECLARED)
def test_what_is_no_sum_is_refused_when_built(what, secure):
    from flame_flwr import aggregation

    with pytest.raises(TypeError, match=rf"secure sums: `x` .*{what}.*: ") as caught:
        ReduceStrategy(DECLARED[what](aggregation), secure=secure)
    assert caught.value.message.count(":") >= 2  # what is wrong, and the way out


@pytest.mark.parametrize("kind", [Sum, Mean, WeightedMean, MergeCounts])
@pytest.mark.parametrize("method", ["collector", "taken"])
def test_reduction_of_ones_own_is_no_sum(kind, method):
    """What a subclass merges otherwise, nobody would ask it."""
    own = type("Halved", (kind,), {method: lambda self, of: getattr(kind, method)(self, of)})
    given = {"labels": ["f"]} if kind is MergeCounts else {}
    with pytest.raises(TypeError, match="`x` is merged by Halved, which is no sum"):
        ReduceStrategy({"x": own(**given)}, secure=False)
    named = type("Named", (kind,), {"about": "the same by another name"})
    ReduceStrategy({"x": named(**given)}, secure=True)


def test_optimisers_of_flower_are_refused():
    from flwr.serverapp.strategy import FedAdam

    with pytest.raises(TypeError, match="`model` is merged by FlowerReduction"):
        WeightedFedAvg(server=FedAdam(), secure=True)


def test_statistics_that_do_not_add_up_are_refused():
    from flame_flwr.statistics import MinMax

    with pytest.raises(TypeError, match="MinMax, whose merge is not addition"):
        MergeStatistics(MinMax, secure=True)


def test_no_two_paths_have_one_key():
    """Else a server could have two nodes sum different values, and the masks would cancel."""
    paths = [("a", "b"), ("a.b",), ('"a.b"',), (1,), ("1",), ("",), (), ("a", "")]
    assert len({SecureLeaf(path, "sum").key for path in paths}) == len(paths)
    assert SecureLeaf(("model", "layer_1"), "sum").key == "model.layer_1"


@pytest.mark.parametrize(
    "run", [[64.0, 0, 1], [64, 0.0, 1], [64, 0, True], [64, 0, -1], ["", 0, 1]]
)
def test_forged_form_of_a_statistic_is_refused(run):
    declared = SecureDeclaration.of(declare({"x": Moments}))
    with pytest.raises(PayloadError, match="not the form"):
        fields_of(declared, [["statistic", {}, [run]]])


def test_declaration_is_the_same_from_text():
    from flame_flwr import aggregation as a

    tree = declare(
        {
            "coef": [a.WeightedMean("n", grid=Grid(128, 64), like=np.zeros(3)), a.Mean()],
            "sex": MergeCounts(labels=["f", 1]),
            "ages": Moments,
            3: Sum(),
        }
    )
    declared = SecureDeclaration.of(tree)
    assert SecureDeclaration.from_text(declared.to_text()) == declared
