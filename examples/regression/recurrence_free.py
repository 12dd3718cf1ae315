"""How long women live without recurrence, with and without hormone therapy: a figure to print.

The women and the three hospitals are those of recurrence.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from recurrence import hospitals

from flame_flwr.privacy import MaxBins, Strict
from flame_flwr.regression import Survival

DAYS_IN_A_MONTH = 30.4375
CURVES = Survival(
    "months", "cens", times=range(1, 88), by="horTh", groups=["no", "yes"], at=range(0, 85, 12)
)
# the counts of a month are small, and leave a hospital masked only
RULES = [MaxBins(100), Strict()]


def by_month(table: pd.DataFrame) -> pd.DataFrame:
    """Return a hospital's rows with the time in whole months, as the grid has it."""
    return table.assign(months=np.ceil(table["time"] / DAYS_IN_A_MONTH))


def main() -> None:
    """Print medians and numbers at risk, and write the figure."""
    splits = [by_month(table) for table in hospitals()]
    result = CURVES.test(splits, quiet=True, disclosure=RULES, secure=True).result
    print(result)
    Path("recurrence_free.svg").write_text(result.plot(), encoding="utf-8")
    Path("recurrence_free.png").write_bytes(result.plot_png())


if __name__ == "__main__":
    main()
