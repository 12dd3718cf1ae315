"""What scaling does: accuracy and change per round, without, per hospital, and agreed on.

``python compare.py`` prints the README's tables and draws ``pictures/scaling.png``. It takes some
seconds: all runs are in this process.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from sklearn.linear_model import LogisticRegression  # noqa: E402

from flame_flwr.star import StarModelTester  # noqa: E402
from pancreas.analysis import (  # noqa: E402
    FederatedLogisticRegression,
    PancreasAnalyzer,
    Scaling,
    coefficients,
    halves,
    score,
)
from pancreas.hospitals import (  # noqa: E402
    HOSPITALS,
    MEASUREMENTS,
    SEED,
    Hospital,
    hospital_csv,
)
from pancreas.table import FILE  # noqa: E402

SCALINGS: tuple[Scaling, ...] = get_args(Scaling)
NAMES = {"none": "none", "site": "each hospital its own", "merged": "agreed on in round 1"}
SAME_MIX = (Hospital(112, 188), Hospital(67, 113), Hospital(33, 56))
DRAWS = 20


def aggregates(splits: list[Any], scaling: Scaling) -> list[Any]:
    """Run the analysis and return the aggregate of every round."""
    seen = []

    class Watched(FederatedLogisticRegression):
        """Keeps what it returns."""

        def has_converged(self, result: Any, last_result: Any) -> bool:
            seen.append(result)
            return super().has_converged(result, last_result)

    StarModelTester(
        splits,
        PancreasAnalyzer,
        Watched,
        "s3",
        simple_analysis=False,
        output_type="pickle",
        analyzer_kwargs={"columns": MEASUREMENTS, "scaling": scaling},
        quiet=True,
    )
    return seen


def changes(found: list[Any]) -> list[float]:
    """Return how much the coefficients changed in each round (L2 norm), NaN where they are new."""
    coefs = [coefficients(aggregate) for aggregate in found]
    known = [(new, old) for old, new in pairwise(coefs)]
    return [np.nan] + [
        np.nan if old is None else float(np.linalg.norm(new - old)) for new, old in known
    ]


def accuracies(splits: list[Any], scaling: Scaling, found: list[Any]) -> list[float]:
    """Return the share of all hospitals' test patients judged rightly after each round."""
    tables = [halves(data, MEASUREMENTS) for data in splits]
    shares = []
    for aggregate in found:
        if coefficients(aggregate) is None:
            shares.append(np.nan)
            continue
        counts = [score(test, train, scaling, aggregate) for train, test in tables]
        shares.append(sum(c["correct"] for c in counts) / sum(c["n_test"] for c in counts))
    return shares


def pooled(splits: list[Any]) -> float:
    """Return the accuracy of the same model trained to its optimum on all rows in one place."""
    tables = [halves(data, MEASUREMENTS) for data in splits]
    x, labels = map(np.concatenate, zip(*(train for train, _ in tables), strict=True))
    means, deviations = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(fit_intercept=False, max_iter=10_000)
    model.fit((x - means) / deviations, labels)
    aggregate = {"coef": model.coef_, "means": means, "deviations": deviations}
    return accuracies(splits, "merged", [aggregate])[0]


def draw(
    table: dict[Scaling, tuple[list[float], list[float], list[float]]], healthy: float, path: Path
) -> None:
    """Draw accuracy, and change relative to the coefficients' norm, per round."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for scaling, colour, marker in zip(
        SCALINGS, ("#b5493b", "#c79a2b", "#2b6cb0"), "sD^", strict=True
    ):
        right_shares, change, norms = table[scaling]
        rounds = np.arange(1, len(right_shares) + 1)
        style = {"color": colour, "marker": marker, "markersize": 5, "label": NAMES[scaling]}
        left.plot(rounds, np.multiply(right_shares, 100), **style)
        right.semilogy(rounds, np.divide(change, norms) * 100, **style)
    left.axhline(100 * healthy, color="0.5", linestyle=":", linewidth=1)
    left.text(11, 100 * healthy - 1, "always saying “healthy”", ha="right", va="top", color="0.4")
    left.set(xlabel="round", ylabel="test patients judged rightly (%)", ylim=(55, 101))
    right.set(xlabel="round", ylabel="change of coefficients (% of norm)", ylim=(5, 80))
    right.set_yticks([5, 10, 20, 40, 80], ["5", "10", "20", "40", "80"])
    right.minorticks_off()
    left.legend(title="scaling", frameon=False, loc="center right", fontsize=9)
    for axes in (left, right):
        axes.set_xticks(range(1, 12))
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(prog="python compare.py", description=__doc__)
    parser.add_argument("--picture", type=Path, default=HERE / "pictures" / "scaling.png")
    options = parser.parse_args(arguments)

    splits = _splits(HOSPITALS, SEED)
    table = {}
    for scaling in SCALINGS:
        found = aggregates(splits, scaling)
        norms = [
            np.nan if coefficients(a) is None else float(np.linalg.norm(coefficients(a)))
            for a in found
        ]
        table[scaling] = (accuracies(splits, scaling, found), changes(found), norms)
    print("       test patients judged rightly     change of the coefficients")
    print("round      none     site   merged          none     site   merged")
    for i in range(11):
        shares = "".join(_cell(table[s][0][i], ".1%") for s in SCALINGS)
        change = "".join(_cell(table[s][1][i], ".2g") for s in SCALINGS)
        print(f"{i + 1:5} {shares}     {change}".rstrip())
    print(f"\nall rows in one place, trained to the optimum: {pooled(splits):.1%}")
    tests = np.concatenate([halves(data, MEASUREMENTS)[1][1] for data in splits])
    draw(table, float(1 - tests.mean()), options.picture)

    print(f"\nafter 11 rounds, mean (least to most) of {DRAWS} draws of who is where")
    print(f"{'hospitals':24}{'none':>23}{'site':>23}{'merged':>23}")
    for name, hospitals in (("as here", HOSPITALS), ("the same share is ill", SAME_MIX)):
        cells = []
        for scaling in SCALINGS:
            last = []
            for seed in range(DRAWS):
                drawn = _splits(hospitals, seed)
                last.append(accuracies(drawn, scaling, aggregates(drawn, scaling)[-1:])[0])
            cells.append(f"{np.mean(last):.1%} ({min(last):.0%} to {max(last):.0%})")
        print(f"{name:24}" + "".join(f"{cell:>23}" for cell in cells))


def _splits(hospitals: tuple[Hospital, ...], seed: int) -> list[Any]:
    return [[{FILE: hospital_csv(k, hospitals, seed)}] for k in range(len(hospitals))]


def _cell(value: float, form: str) -> str:
    return f"{'' if np.isnan(value) else format(value, form):>9}"


if __name__ == "__main__":
    main()
