"""The study once more on other draws of who is where: ``python draws.py`` takes half a minute.

One draw has few test patients, and its differences are often one patient. This writes the scores
on 20 draws to ``draws.csv``, and prints their means, and how often the common model is at least as
good as the hospital's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy  # noqa: E402
from cross_site.hospitals import HOSPITALS, hospital_files  # noqa: E402
from cross_site.settings import COMPARISON, filters  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402

DRAWS = 20
FILE = HERE / "draws.csv"


class ScoresOnly(CrossSiteStrategy):
    """Writes no files."""

    def __init__(self) -> None:
        super().__init__(COMPARISON)
        self.files, self.outputs = None, ()


def scores(draw: int) -> pd.DataFrame:
    """Return each model's scores at every hospital; ``own`` is tested at home only.

    Returns
    -------
    DataFrame
        ``draw``, ``model``, ``site``, ``accuracy``, ``auc`` and ``loss``.
    """
    tester = StarModelTester(
        [[hospital_files(number, draw)] for number in range(len(HOSPITALS))],
        CrossSiteAnalyzer,
        ScoresOnly,
        "s3",
        analyzer_kwargs={"share_own": False},
        filters=filters(COMPARISON),
        quiet=True,
    )
    rows = []
    for site, found in tester.evaluations.items():
        models = {"own": f"own/{site}"} | {each.key: f"common/{each.key}" for each in COMPARISON}
        for name, key in models.items():
            of = {what: found[f"{key}/{what}"] for what in ("accuracy", "auc", "loss")}
            rows.append({"draw": draw, "model": name, "site": site, **of})
    return pd.DataFrame(rows)


def tables(drawn: pd.DataFrame) -> str:
    """Return two tables: each hospital's own model and the common one, and all common ones."""
    lines = ["at home               accuracy: alone  common     AUC: alone  common  AUC not worse"]
    numbers = drawn.set_index(["draw", "site"])
    by_model = {name: rows.drop(columns="model") for name, rows in numbers.groupby("model")}
    own, common = by_model["own"], by_model["full"]
    wins = (common["auc"] >= own["auc"]).groupby("site").sum()
    for k, hospital in enumerate(HOSPITALS):
        site = f"node-{k}"
        alone, with_others = (each.xs(site, level="site").mean() for each in (own, common))
        lines.append(
            f"{site}, {hospital.malignant + hospital.benign:3} patients "
            f"{alone['accuracy']:19.3f} {with_others['accuracy']:7.3f} "
            f"{alone['auc']:14.3f} {with_others['auc']:7.3f} "
            f"{wins[site]:5} of {drawn['draw'].nunique()}"
        )
    lines += ["", f"{'mean of all hospitals':38} accuracy    AUC   loss"]
    for each in COMPARISON:
        mean = by_model[each.key].mean()
        lines.append(
            f"{each.text:38} {mean['accuracy']:8.3f} {mean['auc']:6.3f} {mean['loss']:6.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    drawn = pd.concat([scores(draw) for draw in range(DRAWS)], ignore_index=True)
    drawn.to_csv(FILE, index=False)
    print(tables(drawn))
