"""Cox's baseline hazards: Breslow's estimator at a hospital, and survival that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError
from flame_flwr.regression.exact_products import linear
from flame_flwr.regression.partial_likelihood import hazards_at
from flame_flwr.statistics import BaselineHazards

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from flame_flwr.regression.partial_likelihood import SurvivalRows
    from flame_flwr.statistics.values import Numbers

__all__ = ["baseline_frame", "breslow", "stratum_labels", "survival_frame"]


def breslow(
    rows: SurvivalRows,
    labels: Sequence[str],
    coefficients: Numbers,
    times: Sequence[float],
    site: str,
) -> BaselineHazards:
    """Return the cumulative hazards of a hospital's strata, of a row of zeros.

    Breslow (1974), whatever the ties: at each time the events, by the sum of the hazard ratios of
    those who are at risk.

    Parameters
    ----------
    rows : SurvivalRows
        The hospital's.
    labels : sequence of str
        Each row's stratum.
    coefficients : ndarray, shape (p,)
        Of the rows' columns.
    times : sequence of float
        The grid.
    site : str
        The hospital.
    """
    predictors, names = linear(rows.table, coefficients), np.array(labels)
    strata = []
    for stratum in np.unique(rows.strata):
        places = np.flatnonzero(rows.strata == stratum)
        hazards, events = hazards_at(rows, places, predictors[places], np.array(times))
        strata.append((site, str(names[places[0]]), hazards.tolist(), len(places), events.tolist()))
    return BaselineHazards.from_data(times, strata)


def stratum_labels(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return each row's stratum, such as ``ward=a``; without columns it is ``""``."""
    # The rows of a table of no columns are none to some versions of pandas.
    rows = zip(*(frame[name] for name in columns), strict=True) if columns else [()] * len(frame)
    return [
        ", ".join(f"{name}={value}" for name, value in zip(columns, values, strict=True))
        for values in rows
    ]


def baseline_frame(found: BaselineHazards | None, at: float) -> pd.DataFrame:
    """Return the cumulative hazards of a row of zeros: a row for each time.

    Parameters
    ----------
    found : BaselineHazards or None
        The hazards of all hospitals' strata, at the centres of the columns.
    at : float
        The linear predictor there.
    """
    import pandas as pd

    if found is None:
        return pd.DataFrame()
    columns = {
        f"{each.site}: {each.label}" if each.label else each.site: np.array(
            each.hazards, dtype=np.float64
        )
        * np.exp(-at)  # columns were centred at the hospitals
        for each in found.strata
    }
    return pd.DataFrame(columns, index=pd.Index(found.times, name="time"))


def survival_frame(
    found: BaselineHazards, site: str, labels: Sequence[str], predictors: Any
) -> pd.DataFrame:
    """Return the survival of rows: one for each of them, and a column for each time.

    Parameters
    ----------
    found : BaselineHazards
        Of all hospitals.
    site : str
        The hospital.
    labels : sequence of str
        Each row's stratum.
    predictors : Series
        Their linear predictors, less that of the baseline.

    Raises
    ------
    DataError
        There is no hazard of this hospital, or of this stratum there.
    """
    import pandas as pd

    known = {each.label: each.hazards for each in found.strata if each.site == site}
    lacking = sorted(set(labels) - set(known))
    if lacking:
        strata = " or ".join(filter(None, lacking))
        raise DataError(f"there is no baseline hazard of {site}{strata and f', {strata}'}")
    hazards = np.array([known[label] for label in labels], dtype=np.float64)
    hazards = hazards.reshape(len(labels), len(found.times))
    survival = np.exp(-hazards * np.exp(predictors.to_numpy())[:, None])
    return pd.DataFrame(survival, index=predictors.index, columns=list(found.times))
