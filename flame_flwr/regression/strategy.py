"""``RegressionStrategy``: agree on the design, step to the maximum, and report it there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.convergence import Convergence
from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import DataError, ModelError
from flame_flwr.regression.questions import (
    NO_ROWS,
    agreed_design,
    first_question,
    next_question,
)
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flame_flwr.config import RunSettings
    from flame_flwr.regression.newton import Path
    from flame_flwr.regression.study import Study
    from flame_flwr.strategies.star_strategy import StarResult

__all__ = ["RegressionStrategy", "files"]


class Settled(Convergence):
    """Stops after the round in which all sums are those of the maximum."""

    words = "when the steps of the regression have settled"

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Return why it is over, once it is."""
        if aggregate["stage"] != "done":
            return None
        return f"the {aggregate['steps']} steps of the regression have settled"


class RegressionStrategy(ReduceStrategy):
    """Asks hospitals for sums, step by step, until the coefficients are those of all rows.

    The first round agrees on levels and means; each further one is a step; the last has the sums
    at the final coefficients. It is what a study's ``strategy`` gives.

    Parameters
    ----------
    study : Study
        The regression.
    outputs : sequence, optional
        As for :class:`~flame_flwr.strategies.ReduceStrategy`: the functions get the result.
    """

    _DECLARED = ReduceStrategy._DECLARED | {"study"}
    _fixed = frozenset({"reductions", "first"})

    def __init__(self, study: Study, *, outputs: Any = (), secure: bool | None = None) -> None:
        self.study = study
        self._path: Path | None = None
        self._last: tuple[Any, Any] | None = None
        super().__init__(
            {"sums": Merge()},
            first={"agreed": Merge()},
            convergence=Settled(),
            outputs=outputs,
            secure=secure,
        )

    def sum_securely(self, secure: bool | None) -> None:
        """Take whether sums are secure: nodes then send nothing that is no sum."""
        if secure is not None and self.study.site_effects:
            raise ModelError(
                "site_effects do not go with secure sums: the score of a hospital's own intercept "
                "is nobody's else, so its sum over all hospitals would tell that hospital's part"
            )
        super().sum_securely(secure)
        self.initial = {"stage": "agree", "secure": self.secure is not None}

    def start(
        self, *arguments: Any, settings: RunSettings | None = None, **more: Any
    ) -> StarResult:
        """Run the analysis; what the run config says of secure sums is in the first question."""
        # before the first round, whose question tells nodes to send nothing that is no sum
        asked = None if settings is None else settings.secure
        if self.secure is None:
            self.sum_securely(asked)
        return super().start(*arguments, settings=settings, **more)

    def update(self, merged: Any, last: Any) -> Any:
        """Make of a round's sums what the next one is asked for.

        Raises
        ------
        DataError
            There is no result; the message says why.
        """
        if last["stage"] == "agree":
            return self._agreed(merged["agreed"], last)
        sums = merged["sums"]
        fit = sums["fit"]
        if last["stage"] == "final":
            self._last = sums, last
            return {"stage": "done", "steps": last["steps"]}
        asked, self._path = next_question(self.study, fit, last, self._path)
        return asked

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the result of the last round's sums, which a checkpoint has kept."""
        assert self._last is not None
        return self.study.result(*self._last)

    def _agreed(self, merged: Any, last: Any) -> dict[str, Any]:
        # rows that a rule withholds are there all the same, and may be enough later
        if not merged["rows"].n and not merged["rows"].suppressed:
            raise DataError(NO_ROWS)
        levels, moments = agreed_design(self.study, merged, secure=last["secure"])
        return first_question(self.study, levels, moments, merged, secure=last["secure"])


def files() -> list[tuple[str, str, Callable[[Any], Any]]]:
    """Return the files of a regression: two tables, a picture and JSON."""
    return [
        ("coefficients.csv", "str", lambda result: result.to_frame().to_csv()),
        ("coefficients.html", "str", lambda result: result.to_html()),
        ("coefficients.svg", "str", lambda result: result.forest_plot()),
        ("summary.txt", "str", lambda result: result.summary()),
        ("result.json", "str", lambda result: json.dumps(result.to_json(), indent=1)),
    ]
