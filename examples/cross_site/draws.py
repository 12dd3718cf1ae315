"""The study once more on other draws of who is where: ``python draws.py`` takes half a minute.

One draw has few test patients, and its differences are often one patient. This prints means over
20 draws, and how often the common model is at least as good as the hospital's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy
from cross_site.hospitals import HOSPITALS, hospital_files
from cross_site.settings import COMPARISON, filters
from flame_flwr.star import StarModelTester

DRAWS = 20


class ScoresOnly(CrossSiteStrategy):
    """Writes no files."""

    def __init__(self) -> None:
        super().__init__(COMPARISON)
        self.files, self.outputs = None, ()


def scores(seed: int) -> dict[str, list[dict[str, float]]]:
    """Return each model's scores at every hospital; ``own`` is tested at home only."""
    tester = StarModelTester(
        [[hospital_files(number, seed)] for number in range(len(HOSPITALS))],
        CrossSiteAnalyzer,
        ScoresOnly,
        "s3",
        analyzer_kwargs={"share_own": False},
        filters=filters(COMPARISON),
        quiet=True,
    )

    def of(site: str, model: str) -> dict[str, float]:
        found = tester.evaluations[site]
        return {what: found[f"{model}/{what}"] for what in ("accuracy", "auc", "loss")}

    sites = list(tester.evaluations)
    common = {each.key: [of(site, f"common/{each.key}") for site in sites] for each in COMPARISON}
    return {"own": [of(site, f"own/{site}") for site in sites], **common}


def main() -> None:
    """Print two tables."""
    drawn = [scores(seed) for seed in range(DRAWS)]
    print("at home               accuracy: alone  common     AUC: alone  common  AUC not worse")
    for k, hospital in enumerate(HOSPITALS):
        own, common = ([draw[name][k] for draw in drawn] for name in ("own", "full"))
        cells = [
            np.mean([each[what] for each in found])
            for what in ("accuracy", "auc")
            for found in (own, common)
        ]
        wins = sum(b["auc"] >= a["auc"] for a, b in zip(own, common, strict=True))
        size = hospital.malignant + hospital.benign
        print(
            f"node-{k}, {size:3} patients {cells[0]:19.3f} {cells[1]:7.3f} {cells[2]:14.3f} "
            f"{cells[3]:7.3f} {wins:5} of {DRAWS}"
        )
    print(f"\n{'mean of all hospitals':38} accuracy    AUC   loss")
    for each in COMPARISON:
        means = [
            np.mean([site[what] for draw in drawn for site in draw[each.key]])
            for what in ("accuracy", "auc", "loss")
        ]
        print(f"{each.text:38} {means[0]:8.3f} {means[1]:6.3f} {means[2]:6.3f}")


if __name__ == "__main__":
    main()
