"""The reports of the conformance kit: one record per mistake, and the error that lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flame_flwr.errors import FlameError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHECKS", "ConformanceError", "ConformanceWarning", "Finding", "Severity"]

Severity = Literal["error", "warning"]

CHECKS = {
    "declared": "the classes and what is declared of them make a model",
    "runs": "the analysis runs to its end, within the time",
    "travels": "what nodes return, and the aggregate, can travel between processes",
    "rows": "nothing that leaves a node has an entry per row of its data",
    "state": "the attributes of analyzer and aggregator can be saved between rounds",
    "process": "the results are the same with a new process for every message",
    "repeats": "a second run gives the same results",
    "leaks": "a run leaves nothing behind that changes the next one in the same process",
    "arrival": "the results do not depend on which node answers first",
    "order": "the results do not depend on the order of the nodes",
    "masks": "secure sums that are masked give the results of those that are not",
    "folder": "nothing is read or written relative to the working directory or beside the code",
    "data": "analyzers leave their data as it is",
    "converges": "has_converged answers True or False, and at some time True",
    "result": "the final result can be written as output_type says",
}
"""Every check by its name: what holds where it finds nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would break later.

    Attributes
    ----------
    check : str
        Which of :data:`CHECKS` found it.
    class_name, method : str
        Where it is, as far as that is known; else empty.
    seen : str
        What was seen, with node, round and place. It may show values of the data.
    mend : str
        What to do.
    severity : {'error', 'warning'}
        Whether it breaks the analysis on Flower, or is only likely to, some day.

    Examples
    --------
    >>> print(Finding("runs", "Mean", "analysis_method", "it called sys.exit", "Return a value"))
    [runs] Mean.analysis_method: it called sys.exit. Return a value.
    """

    check: str
    class_name: str
    method: str
    seen: str
    mend: str
    severity: Severity = "error"

    @property
    def location(self) -> str:
        """``Class.method``, or what is known of it."""
        return ".".join(part for part in (self.class_name, self.method) if part)

    def __str__(self) -> str:
        """Return everything in one line."""
        check = self.check if self.severity == "error" else f"{self.check}, {self.severity}"
        return f"[{check}] {self.location or 'the analysis'}: {self.seen}. {self.mend}."


class ConformanceWarning(UserWarning):
    """A finding of the kit that is no error; :func:`warnings.warn` tells of it."""


class ConformanceError(FlameError, AssertionError):
    """The kit has found errors; the message lists them.

    Attributes
    ----------
    findings : list of Finding
        All of them, without warnings.

    Examples
    --------
    >>> finding = Finding("runs", "Mean", "analysis_method", "it called sys.exit", "Return a value")
    >>> raise ConformanceError([finding])
    Traceback (most recent call last):
        ...
    flame_flwr.testing.findings.ConformanceError: 1 finding
      [runs] Mean.analysis_method: it called sys.exit. Return a value.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        count = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"
        super().__init__("\n".join([count, *(f"  {finding}" for finding in findings)]))
        self.findings = list(findings)
