"""A federated logistic regression in this process, beside statsmodels' fit of all rows together.

Both make the design of a formula themselves, as a user would have them. Memory is the most that is
held beyond the tables, as NumPy and Python have asked for it: that of a node that has all the rows,
by row in the size of its row of the design, must stay as it is with more rows.
"""

from __future__ import annotations

import tracemalloc
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

from flame_flwr.regression import GLM

HOSPITALS, ROWS, COLUMNS = 10, 1_000_000, 25
PARAMETERS = COLUMNS + 5
FORMULA = "died ~ stage + sex + " + " + ".join(f"x{number}" for number in range(COLUMNS))
MEMORY_ROWS = (50_000, 200_000)


def main() -> None:
    """Print seconds, their ratio, and memory."""
    print(f"A GLM of {ROWS:,} rows at {HOSPITALS} hospitals, {PARAMETERS} parameters (best of 2)")
    table = patients(ROWS)
    splits = [table.iloc[places] for places in np.array_split(np.arange(ROWS), HOSPITALS)]
    small = table.iloc[:2000]
    times: dict[str, list[float]] = {"statsmodels": [], "federated": []}
    for rows, parts in ((small, [small]), (table, splits), (table, splits)):
        started = perf_counter()
        wanted = smf.glm(FORMULA, rows, family=sm.families.Binomial()).fit()
        times["statsmodels"].append(perf_counter() - started)
        started = perf_counter()
        found = fit(parts)
        times["federated"].append(perf_counter() - started)
    assert np.abs(found.params.to_numpy() - wanted.params.to_numpy()).max() < 1e-6
    best = {name: min(taken[1:]) for name, taken in times.items()}
    for name, seconds in best.items():
        limit = "" if name == "statsmodels" else f"  {seconds / best['statsmodels']:5.2f} (<= 0.5)"
        print(f"{name:14} {seconds:6.2f} s{limit}")
    for rows_at_node in MEMORY_ROWS:
        held = most_held(table.iloc[:rows_at_node])
        print(f"memory of a node with {rows_at_node:>9,} rows: {held:.2f} times its design")


def patients(n: int) -> pd.DataFrame:
    """Return a table of numbers and labels, and an outcome that depends on them."""
    rng = np.random.default_rng(1)
    names = [f"x{number}" for number in range(COLUMNS)]
    table = pd.DataFrame(rng.normal(size=(n, COLUMNS)), columns=names)
    table["stage"] = rng.choice(["I", "II", "III", "IV"], n)
    table["sex"] = rng.choice(["f", "m"], n)
    risk = 0.1 * table[names].sum(axis=1) + 0.3 * (table["stage"] == "IV") - 1
    table["died"] = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(int)
    return table


def fit(splits: list[pd.DataFrame]) -> Any:
    """Return the regression over hospitals."""
    return GLM(FORMULA, "binomial").test(splits, quiet=True).result


def most_held(rows: pd.DataFrame) -> float:
    """Return the most memory that one node's fit holds, in sizes of its design."""
    tracemalloc.start()
    fit([rows])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / (8 * PARAMETERS * len(rows))


if __name__ == "__main__":
    main()
