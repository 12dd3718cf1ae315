"""What the sums of a GLM tell before its steps: some have no maximum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.errors import DataError
from flame_flwr.regression.sites import NO_CLUSTERS, NO_SITE_EFFECTS, site_of

if TYPE_CHECKING:
    from flame_flwr.statistics import ScoreInformation

__all__ = ["check_first_sums"]


def check_first_sums(
    sums: ScoreInformation, outcome: str, rate: float | None, *, by_cluster: bool
) -> None:
    """Refuse a regression that cannot have a result.

    Parameters
    ----------
    sums : ScoreInformation
        Of all hospitals, at the starting means.
    outcome : str
        The left side of the formula.
    rate : float or None
        Of counts, their mean over all rows.
    by_cluster : bool
        Whether standard errors are by subject.

    Raises
    ------
    DataError
        The outcome is the same in all rows, a hospital has no row for its intercept, or each has
        one subject only.
    """
    is_binary = sums.counted == "rarer"
    if rate == 0 or (is_binary and sums.events in (0, sums.n)):
        raise DataError(
            f"{outcome} is {int(sums.events > 0)} in all rows of all hospitals: there is nothing "
            "to explain, and no maximum"
        )
    empty = [
        site_of(name)
        for name, row in zip(sums.columns, sums.matrix(), strict=True)
        if site_of(name) and not any(row)
    ]
    if empty:
        raise DataError(f"{' and '.join(empty)} has no complete rows. {NO_SITE_EFFECTS}")
    if by_cluster and sums.figure("clusters") == sums.figure("hospitals"):
        raise DataError(f"subject: every hospital has one only, and {NO_CLUSTERS}")
