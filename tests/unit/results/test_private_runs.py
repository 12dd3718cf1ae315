"""Private runs: no exact figure is said, whatever stopped them."""

import json
import re

import numpy as np
import pytest

from flame_flwr.aggregation import Convergence, DeltaNorm, MaxRounds, StarAggregation
from flame_flwr.strategies import StarStrategy

from .small_runs import Never, Scalar, Shrinks, full_run, reported


class Means(Scalar):
    has_converged = Never.has_converged


class Own(Convergence):
    def check(self, number, aggregate, last):
        return f"it is {aggregate!r}" if number > 2 else None


SETTLED = "when the aggregate changes by at most 0.9 (Euclidean norm)"
PRIVATE = {"epsilon": 1.0, "sensitivity": 1.0}


def told(aggregate, last):
    return f"it is {aggregate!r}"


@pytest.mark.parametrize(
    ("convergence", "reason"),
    [
        (DeltaNorm(None, tol=0.9), f"as declared, {SETTLED}"),
        (
            DeltaNorm(None, tol=0.9) & MaxRounds(3) | MaxRounds(9),
            f"as declared, {SETTLED} and as declared, after 3 rounds",
        ),
        (Own(), "Own said so"),
        (told, "as declared, when told says so"),
    ],
)
def test_a_private_run_gives_inexact_reasons(tmp_path, convergence, reason, caplog):
    caplog.set_level("INFO", "flame_flwr")
    exact = [float(np.mean([16.1717 / (3 + i), 4.3131 / (3 + i)])) for i in range(3)]
    page = reported(
        tmp_path,
        Shrinks,
        [16.1717, 4.3131],
        Means,
        convergence=convergence,
        quiet=False,
        **PRIVATE,
    )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["reason"] == about["history"][-1]["reason"] == reason
    history = (tmp_path / "history.csv").read_text()
    assert reason.split(",")[0] in history
    assert f": {reason}" in caplog.text
    measured = [*exact, *map(abs, np.diff(exact))]
    for text in (history, page.text, caplog.text, json.dumps(about)):
        assert not [number for number in measured if repr(float(number))[:8] in text]
        assert "changed by" not in text
        assert not re.search(r"it is \d", text)


def test_an_own_aggregations_reason_stays_private(tmp_path):
    class Says(StarAggregation):
        def finish(self):
            return super().finish()._replace(converged=True, reason="the mean is 3.4")

    class Made(StarStrategy):
        def make_aggregation(self, flame, nodes, simple_analysis):
            return Says(Scalar(flame), nodes, simple_analysis)

    full_run(tmp_path, analyzer=Shrinks, aggregator=Made(Scalar), **PRIVATE)
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["reason"] == "the aggregation said so"
