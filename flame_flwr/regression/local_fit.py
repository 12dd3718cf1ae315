"""A regression of one hospital's rows alone, by the same steps as that of all rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError
from flame_flwr.log import logger
from flame_flwr.regression.newton import Path
from flame_flwr.regression.questions import first_question, next_question
from flame_flwr.regression.row_people import CellPeople
from flame_flwr.regression.rows import agreement, design_matrix
from flame_flwr.regression.sites import INTERCEPT
from flame_flwr.regression.solving import SingularError
from flame_flwr.statistics import SiteFits
from flame_flwr.statistics.site_fits import NO_MAXIMUM, NO_ROWS, SINGULAR, is_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.result import RegressionResult
    from flame_flwr.regression.rows import DesignMatrix
    from flame_flwr.regression.study import Study
    from flame_flwr.statistics import ScoreInformation

__all__ = ["fit_alone", "site_fits"]


def site_fits(
    study: Study,
    rows: pd.DataFrame,
    levels: Mapping[str, Sequence[Label]],
    moments: Mapping[str, Any],
    site: str,
) -> SiteFits:
    """Return one hospital's own fit, or why it has none.

    Parameters
    ----------
    study : Study
        The regression.
    rows : DataFrame
        Its complete rows.
    levels, moments : mapping
        What hospitals agreed on.
    site : str
        The hospital.
    """
    if not len(rows):
        return SiteFits.of_none(site, NO_ROWS)
    outcome = study.agree(rows)
    matrix = design_matrix(study.design, rows, levels, moments)
    # what is alike in all of its rows is singular here, and not so over all hospitals
    matrix, comparable = _varying(matrix, site_effects=study.site_effects)
    try:
        fit, result = fit_alone(study, rows, matrix, levels, moments, outcome)
    except DataError as error:
        # the message may name a level; it stays here, and one of four reasons leaves
        logger.info("this node is left out of the meta-analysis: %s", error.message)
        return SiteFits.of_none(site, SINGULAR if isinstance(error, SingularError) else NO_MAXIMUM)
    pairs = zip(result.columns, result.coefficients, result.bse, strict=True)
    estimates = [found for found in pairs if found[0] in comparable]
    if not all(is_estimate(b, error) for _, b, error in estimates):
        return SiteFits.of_none(site, NO_MAXIMUM)
    cells = zip(map(str, fit.cells), fit.cell_rows, fit.cell_events, strict=True)
    found = SiteFits.from_data(site, fit.counted, fit.n, fit.events, estimates, cells)
    if (people := CellPeople.of(matrix.cells, study.happened(rows), rows)) is not None:
        people.known_to(found)
    return found


def fit_alone(
    study: Study,
    rows: pd.DataFrame,
    matrix: DesignMatrix,
    levels: Mapping[str, Sequence[Label]],
    moments: Mapping[str, Any],
    outcome: Mapping[str, Any],
) -> tuple[ScoreInformation, RegressionResult]:
    """Return the sums at the maximum of some rows' likelihood, and the result there.

    Raises
    ------
    DataError
        There is no maximum; the message says why.
    """
    numbers = agreement(study.design, rows, secure=False)["numbers"]
    asked = first_question(study, levels, moments, {"numbers": numbers, "outcome": outcome})
    prepared = study.prepare(rows, matrix, asked)
    path: Path | None = None
    while True:
        sums = study.sums(prepared, asked)
        if asked["stage"] == "final":
            return sums["fit"], study.result(sums, asked)
        asked, path = next_question(study, sums["fit"], asked, path)


def _varying(matrix: DesignMatrix, *, site_effects: bool) -> tuple[DesignMatrix, set[str]]:
    """Return a design without its constant columns, and which coefficients can be compared.

    Where a column is 1 in all rows, the intercept is not what it is at other hospitals.
    """
    alike = (matrix.table == matrix.table[0]).all(axis=0)
    inner = np.array([name == INTERCEPT for name in matrix.columns])
    kept = np.flatnonzero(inner | ~alike)
    columns = tuple(matrix.columns[place] for place in kept)
    moved = site_effects or bool((alike & ~inner & (matrix.table[0] != 0)).any())
    comparable = {name for name in columns if not (moved and name == INTERCEPT)}
    return replace(matrix, table=matrix.table[:, kept], columns=columns), comparable
