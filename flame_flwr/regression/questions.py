"""What hospitals are asked next in a regression: plain arithmetic, on a server or at one hospital.

The first question follows from what was agreed on, each further one from the sums of the last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import DataError
from flame_flwr.regression.newton import Path, next_step
from flame_flwr.regression.rows import agreed_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.labels import Label
    from flame_flwr.regression.study import Study
    from flame_flwr.statistics import ScoreInformation

__all__ = ["NO_ROWS", "agreed_design", "first_question", "next_question"]

NO_ROWS = "no hospital has a row in which every column of the formula is there"


def agreed_design(
    study: Study, merged: Mapping[str, Any], *, secure: bool = False
) -> tuple[dict[str, list[Label]], dict[str, list[float]]]:
    """Return the levels of categories, and the moments of what the formula centres or scales.

    Parameters
    ----------
    study : Study
        The regression.
    merged : mapping
        ``labels``, ``moments`` and ``numbers`` of :func:`~flame_flwr.regression.rows.agreement`,
        of all hospitals.
    secure : bool
        Whether sums are secure: levels are then those that are declared.

    Raises
    ------
    DataError
        There are no levels, or no moments.
    """
    design = study.design
    labels = agreed_levels(merged["labels"], design.levels)
    if secure:
        labels = {name: list(levels) for name, levels in design.levels.items()}
    for name in list(labels):
        counted = merged["labels"][name].size if name in merged["labels"] else 0
        # as most rows have it; the others' nodes will say that theirs is something else
        if name in merged["numbers"] and merged["numbers"][name].size > counted:
            del labels[name]
    for name in design.categories:
        if name not in labels:
            raise DataError(f"no level of {name} is common enough to be named by a hospital")
    for name, levels in labels.items():
        if len(levels) < 2:
            raise DataError(
                f"all hospitals name one level of {name} alone, so that it explains nothing: leave "
                "the term out. Where the others are too rare to be named, declare them"
            )
    moments = {}
    for call, found in merged["moments"].items():
        figures = found.result()
        if not figures["std"]:
            raise DataError(f"{call}: it is the same in all rows of all hospitals")
        moments[call] = [figures["mean"], figures["std"]]
    return labels, moments


def first_question(
    study: Study,
    levels: Mapping[str, Sequence[Label]],
    moments: Mapping[str, Any],
    agreed: Mapping[str, Any],
    *,
    secure: bool = False,
) -> dict[str, Any]:
    """Return what the first step asks for.

    Parameters
    ----------
    study : Study
        The regression.
    levels, moments : mapping
        Of :func:`agreed_design`.
    agreed : mapping
        ``numbers`` and ``outcome`` of the rows that are fitted.
    secure : bool
        Whether sums are secure.
    """
    numbers = {name: found.result() for name, found in agreed["numbers"].items()}
    return {
        "stage": "step",
        "secure": secure,
        "levels": levels,
        "moments": moments,
        "standard": {
            name: [found["mean"], found["std"]]
            for name, found in numbers.items()
            # nothing to divide by: of a constant, and of values whose squares are no floats
            if name not in levels and found["std"] and math.isfinite(found["std"])
        },
        "coefficients": None,
        "steps": 0,
        **study.start(agreed["outcome"]),
    }


def next_question(
    study: Study, fit: ScoreInformation, last: Mapping[str, Any], path: Path | None
) -> tuple[dict[str, Any], Path]:
    """Return what is asked for after the sums of a step, and where the steps have come to.

    Raises
    ------
    DataError
        There is no maximum; the message says why.
    """
    if not fit.n:
        raise DataError(NO_ROWS)
    path = path if path is not None else study.path(fit, last)
    path = next_step(path, fit, study.dispersion)
    asked = {**last, "coefficients": path.coefficients, "steps": path.steps}
    return (asked | {"stage": "final"} | study.finish(fit) if path.settled else asked), path
