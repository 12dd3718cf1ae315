"""Table 1, a logistic regression and Cox's model of breast cancer, over three hospitals.

The 686 women are those of the German Breast Cancer Study Group's second trial, as lifelines ships
them; the hospitals are made of them, of unlike size.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from lifelines.datasets import load_gbsg2

from flame_flwr.privacy import MaxBins, MinCount, Strict
from flame_flwr.regression import GLM, Cox, TableOne

TERMS = "age + horTh + grade + np.log(pnodes) + tsize"
LEVELS = {"horTh": ["no", "yes"], "grade": ["I or II", "III"]}

TABLE = TableOne(
    {"age": "mean", "pnodes": "median", "menostat": ["Pre", "Post"], "grade": ["I or II", "III"]},
    by="horTh",
    groups=["no", "yes"],
)
WITHIN_TWO_YEARS = GLM(f"early ~ {TERMS}", "binomial", levels=LEVELS)
TIME_TO_RECURRENCE = Cox(f"time, cens ~ {TERMS}", levels=LEVELS)

RULES = [MinCount(5), MaxBins(50), Strict()]
# two groups that differ by fewer than 5 have nothing to do with each other here
TABLE_RULES = [MinCount(5, differences=False), MaxBins(50), Strict()]


def women() -> pd.DataFrame:
    """Return all of them, with whether the cancer came back, or they died, within two years.

    Grade I is rare among those whose cancer came back, so it is joined with grade II.
    """
    table = load_gbsg2()
    early = (table["time"] <= 730) & (table["cens"] == 1)
    grade = table["tgrade"].replace({"I": "I or II", "II": "I or II"})
    return table.assign(early=early.astype(int), grade=grade)


def hospitals() -> list[pd.DataFrame]:
    """Return them at three hospitals."""
    table = women()
    return [table.iloc[:150], table.iloc[150:280], table.iloc[280:]]


def main() -> None:
    """Print all three, with a picture of each; the regressions with secure sums."""
    splits = hospitals()
    table = TABLE.test(splits, quiet=True, disclosure=TABLE_RULES).result
    print(table)
    Path("table_one.svg").write_text(table.to_svg(), encoding="utf-8")
    for name, study in {"odds": WITHIN_TWO_YEARS, "hazards": TIME_TO_RECURRENCE}.items():
        result = study.test(splits, quiet=True, disclosure=RULES, secure=True).result
        print(f"{result.model}: {result.nobs} women, {result.events} events")
        Path(f"{name}.svg").write_text(result.forest_plot(), encoding="utf-8")
        p = result.pvalues.map(lambda p: f"{p:.4f}" if p >= 1e-4 else "<0.0001")
        ratios = result.to_frame().iloc[:, -3:].round(4).assign(p=p)
        print(ratios.drop(index="Intercept", errors="ignore").to_string())
        print()


if __name__ == "__main__":
    main()
