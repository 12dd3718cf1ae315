"""How near the meta-analysis comes to one Cox regression on all rows in one place.

``python pooled.py`` prints the README's tables: for the three hospitals, and over 200 draws of who
is at which hospital. It takes half a minute; all of it is in this process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fedstats.app import COLUMNS  # noqa: E402
from fedstats.hospitals import SEED, SIZES, hospital_csv, rossi  # noqa: E402
from fedstats.meta import Combined, Values, combine  # noqa: E402
from fedstats.survival import FILE, fit_cox, load_table  # noqa: E402
from flame_flwr.errors import DataError  # noqa: E402

DRAWS = 200


def federated(seed: int) -> Combined:
    """Return the meta-analysis of the hospitals of one draw."""
    tables = [load_table([{FILE: hospital_csv(k, seed)}], **COLUMNS) for k in range(len(SIZES))]
    fits = [fit_cox(table, **COLUMNS) for table in tables]
    return combine(np.stack([f["log_hr"] for f in fits]), np.stack([f["error"] for f in fits]))


def one_place() -> tuple[Values, Values]:
    """Return log hazard ratios and standard errors of the regression on all rows."""
    fit = fit_cox(rossi().astype(float), **COLUMNS)
    return fit["log_hr"], fit["error"]


def stratified(seed: int) -> tuple[Values, Values]:
    """Return those of the regression on all rows with a baseline of its own per hospital."""
    from lifelines import CoxPHFitter  # type: ignore[import-untyped]

    tables = [load_table([{FILE: hospital_csv(k, seed)}], **COLUMNS) for k in range(len(SIZES))]
    table = pd.concat(tables, keys=range(len(SIZES)), names=["hospital"]).reset_index(0)
    fit = CoxPHFitter().fit(table, COLUMNS["duration"], COLUMNS["event"], strata=["hospital"])
    names = COLUMNS["covariates"]
    return fit.params_[names].to_numpy(), fit.standard_errors_[names].to_numpy()


def main() -> None:
    """Print both tables."""
    pooled, pooled_error = one_place()
    strata, strata_error = stratified(SEED)
    found = federated(SEED)
    print("             meta-analysis        one place  one place, stratified")
    print("covariate   log HR     SE    log HR     SE         log HR     SE    difference / SE")
    for i, name in enumerate(COLUMNS["covariates"]):
        print(
            f"{name:9}   {found['estimate'][i]:+.3f}  {found['error'][i]:.3f}    "
            f"{pooled[i]:+.3f}  {pooled_error[i]:.3f}         {strata[i]:+.3f}  "
            f"{strata_error[i]:.3f}    {(found['estimate'][i] - pooled[i]) / pooled_error[i]:+.2f}"
        )
    worst, refused = [], 0
    for seed in range(DRAWS):
        try:
            estimate = federated(seed)["estimate"]
        except DataError:
            refused += 1
            continue
        worst.append(float(np.abs((estimate - pooled) / pooled_error).max()))
    print(f"\n{DRAWS} draws of who is where, {refused} refused (too few events somewhere):")
    print("largest |difference| / SE of the four covariates")
    print(
        f"median {np.median(worst):.2f}, 95 % below {np.quantile(worst, 0.95):.2f}, "
        f"most {max(worst):.2f}"
    )


if __name__ == "__main__":
    main()
