"""What may be shown of a run: log lines, files, events and the report use this view alone.

The record itself holds everything, for the user's aggregator. Whatever is written or printed of a
run goes through its :attr:`~flame_flwr.results.run_record.RunRecord.public` view, which leaves out
the metrics and scores that the study does not show, and of a private run all that is exact.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from flame_flwr.errors import FlameError, text_of
from flame_flwr.failure.notes import Hint, notes_of
from flame_flwr.results.metric_means import metric_names, of_scores
from flame_flwr.text.shown_text import cut_off

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["PublicRecord"]

_Value = TypeVar("_Value")

_LONGEST = 30_000
"""Characters of an error's text, which may hold a node's value: with a traceback, few have more."""


class PublicRecord:
    """A run as it may be shown.

    Parameters
    ----------
    record : RunRecord
        The run. The view follows it as the run goes on.

    Examples
    --------
    >>> from flame_flwr.results.run_record import RoundRecord, RunRecord
    >>> record = RunRecord(nodes=["hospital-a"], shown=("auc",))
    >>> record.history.append(RoundRecord(1, metrics={"auc": 0.7, "cost": 412.0}))
    >>> record.public.history[0].metrics
    {'auc': 0.7}
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    @property
    def exact(self) -> bool:
        """Whether exact values may be written; never for a private run, nor to rescue it."""
        return self._record.privacy is None

    @property
    def history(self) -> list[RoundRecord]:
        """The finished rounds, as they may be shown."""
        return [self.round(entry) for entry in self._record.history]

    @property
    def evaluations(self) -> dict[str, dict[str, float]]:
        """The scores of the last aggregate that may be shown, per node."""
        return self._shown(self._record.evaluations)

    def round(self, entry: RoundRecord) -> RoundRecord:
        """Return a round as it may be shown.

        Parameters
        ----------
        entry : RoundRecord
            A round of this run; it is not changed.
        """
        return replace(
            entry,
            node_metrics=self._shown(entry.node_metrics),
            metrics=self._named(entry.metrics),
            change=entry.change if self.exact else None,
        )

    def hides(self, name: str) -> bool:
        """Tell whether this is the name of a metric that the study does not show.

        Parameters
        ----------
        name : str
            A key of the aggregate: of what is no metric, nothing is hidden.
        """
        shown = self._record.shown
        return shown is not None and name not in shown and name in self._record.metric_names

    def weighted(self, entry: RoundRecord) -> dict[str, tuple[float, str]]:
        """Return a round's weighted means of metrics, with what they are weighted by."""
        by = self._record.weighted_by
        return {name: (mean, by[name]) for name, mean in self._named(entry.metrics).items()}

    @property
    def weighted_scores(self) -> dict[str, tuple[float, str]]:
        """The weighted means of the last aggregate's scores; the weight itself may be hidden."""
        return self._named(of_scores(self._record.evaluations))

    def error(self, error: BaseException) -> str:
        """Return what an error is and where it came up; of a private run without what users say.

        A message of user code may hold exact figures; the framework's own holds none.
        """
        text = text_of(error)
        if isinstance(error, KeyboardInterrupt):  # which has no text
            text = "stopped by Ctrl-C"
        elif not self.exact:
            text = error.message if isinstance(error, FlameError) else ""
        hints = [note for note in notes_of(error) if isinstance(note, Hint) or self.exact]
        about = f"{type(error).__name__}: {text}" if text else type(error).__name__
        about = cut_off(about, _LONGEST)
        return f"{about} ({'; '.join(hints)})" if hints else about

    def to_json(self) -> dict[str, Any]:
        """Return everything but the values of aggregate and result."""
        record = self._record
        return {
            "app": record.app,
            "study": record.study,
            "in_words": record.in_words,
            "heading": record.heading.to_json(),
            "nodes": record.nodes,
            "hospitals": record.hospitals,
            "sizes": record.sizes,
            "rounds": len(record.history),
            "resumed_after": record.resumed_after,
            "converged": record.converged,
            "reason": record.history[-1].reason if record.history else "",
            "shown": None if record.shown is None else list(record.shown),
            "evaluations": self.evaluations,
            "failures": record.failures,
            "privacy": record.privacy,
            "secure": record.secure,
            "filters": record.filters.to_json(),
            "left": record.left.to_json(),
            "disclosure": record.disclosure,
            "frozen": record.frozen,
            "data_changed": record.data_changed,
            "weighted_by": self._named(record.weighted_by),
            "history": [asdict(entry) for entry in self.history],
        }

    def unknown(self) -> list[str]:
        """Return the names that the study shows and no node has reported: perhaps mistyped."""
        record = self._record
        known = metric_names(
            [record.evaluations, *(entry.node_metrics for entry in record.history)]
        )
        return [name for name in record.shown or () if name not in known]

    def _shown(self, nodes: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        """Return of the nodes' numbers those that may be shown; of a node without any, nothing."""
        shown = {node: self._named(found) for node, found in nodes.items()}
        return {node: found for node, found in shown.items() if found or not nodes[node]}

    def _named(self, values: Mapping[str, _Value]) -> dict[str, _Value]:
        """Return what may be shown of something that there is for every name."""
        # Of a private run no name at all: the noise on the result would hide nothing then.
        names: Sequence[str] | None = self._record.shown if self.exact else ()
        return {name: value for name, value in values.items() if names is None or name in names}
