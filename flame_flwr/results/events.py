"""Events for TensorBoard, written round by round with tensorboardX (the ``tensorboard`` extra)."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger
from flame_flwr.means import mean
from flame_flwr.results.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["EVENTS", "EventWriter", "Tags", "event_files"]

EVENTS = "tensorboard"
"""The folder of the events, beside the results."""

_SUFFIX = ".flame-flwr"
_FLUSH_EVERY = 1.0

_NOT_IN_TAGS = re.compile(r"[^-/\w.]")
_FRAMEWORKS = ("mean", "weighted", "round", "evaluation", "metric")
_STARTS = {
    "metric": "",
    "mean of metric": "mean",
    "weighted mean of metric": "weighted",
    "evaluation": "evaluation",
    "mean of evaluation": "evaluation/mean",
    "weighted mean of evaluation": "evaluation/weighted",
}


class EventWriter(Callback):
    """Writes what a round's line says: one tag per metric and node, and one for their mean.

    Tags are ``loss/hospital-a``, ``mean/loss`` (the plain mean) and ``weighted/loss_by_n``,
    ``evaluation/auc/hospital-a``, ``round/seconds``, ``round/bytes``, ``round/nodes`` and
    ``round/change``; the step is the round.
    No two things share a tag: see :class:`Tags`. Written in this thread: no queue is behind it.
    Metrics that the study does not show, and those of a private run, are left out.

    Parameters
    ----------
    folder : Path
        Of the results; the events go into ``tensorboard`` in it, when the first round is over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / EVENTS
        self._writer: Any = None
        self._broken = False
        self._flushed = 0.0
        self._tags = Tags()

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Write a round."""
        numbers = {
            "round/nodes": float(len(entry.node_seconds)),
            "round/seconds": entry.seconds,
            "round/bytes": float(sum(entry.node_bytes.values())),
        }
        public = record.public
        shown = public.round(entry)
        if shown.change is not None:
            numbers["round/change"] = shown.change
        numbers |= dict(self._by_node(shown.node_metrics))
        numbers |= self._weighted(public.weighted(entry), "metric")
        self._write(numbers, entry.round)

    def evaluated(self, record: RunRecord) -> None:
        """Write the scores of the last aggregate, at the last round."""
        public = record.public
        scores = dict(self._by_node(public.evaluations, "evaluation"))
        scores |= self._weighted(public.weighted_scores, "evaluation")
        self._write(scores, len(record.history))

    def close(self) -> None:
        """Write what is left, and close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._guarded(writer.close)

    def _write(self, numbers: Mapping[str, float], step: int) -> None:
        def write() -> None:
            if self._writer is None:
                self._writer = self._open()
            self._writer.write_event(_event(numbers, step))
            if time.monotonic() - self._flushed > _FLUSH_EVERY:
                self._flushed = time.monotonic()
                self._writer.flush()

        if numbers and not self._broken:
            self._guarded(write)

    def _open(self) -> Any:
        from tensorboardX.event_file_writer import EventsWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        return EventsWriter(str(self.folder / "events"), _SUFFIX)

    def _by_node(
        self, nodes: Mapping[str, Mapping[str, float]], kind: str = "metric"
    ) -> Iterator[tuple[str, float]]:
        """Give every node's numbers, by tag, and each number's mean over the nodes."""
        found: dict[str, list[float]] = {}
        for node, metrics in nodes.items():
            for name, value in metrics.items():
                yield self._tags.of(kind, name, node), float(value)
                found.setdefault(name, []).append(float(value))
        for name, values in found.items():
            average = mean(values)
            if not math.isnan(average):
                yield self._tags.of(f"mean of {kind}", name), average

    def _weighted(self, means: Mapping[str, tuple[float, str]], kind: str) -> dict[str, float]:
        """Return the means that are weighted, by tag, which says by what."""
        return {
            self._tags.of(f"weighted mean of {kind}", f"{name} by {by}"): mean
            for name, (mean, by) in means.items()
        }

    def _guarded(self, step: Any) -> None:
        """Do something with the file; where that fails, the run goes on without events."""
        try:
            step()
        except Exception as error:
            self._broken = True
            logger.error(
                "the events for TensorBoard cannot be written (%s: %s); the run goes on",
                type(error).__name__,
                error,
            )


class Tags:
    """Tags of letters that TensorBoard takes, no two of them the same.

    Other signs become ``_``; a name that then is another's gets a number behind it. A metric whose
    name begins as the framework's own tags do (``mean``, ``round``, ``evaluation``) is below
    ``metric/``.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, ...], str] = {}
        self._taken: set[str] = set()

    def of(self, kind: str, name: str, node: str = "") -> str:
        """Return a number's tag, always the same.

        Parameters
        ----------
        kind : str
            What it is: 'metric' or 'evaluation', 'mean of' these, or 'weighted mean of' them.
        name, node : str
            The metric's and, where it is one node's, the node's.
        """
        key = (kind, name, node)
        if key not in self._given:
            shown = self._unique(("name", name), _clean(name))
            own = kind == "metric" and shown.split("/")[0] in _FRAMEWORKS
            start = "metric" if own else _STARTS[kind]
            parts = (start, shown, self._unique(("node", node), _clean(node)) if node else "")
            self._unique(key, "/".join(filter(None, parts)))
        return self._given[key]

    def _unique(self, key: tuple[str, ...], text: str) -> str:
        """Return the text, with a number where another thing of this kind has it already."""
        if key in self._given:
            return self._given[key]
        of_kind = "tag" if len(key) > 2 else key[0]
        tried, number = text, 1
        while f"{of_kind} {tried}" in self._taken:
            number += 1
            tried = f"{text}_{number}"
        self._taken.add(f"{of_kind} {tried}")
        self._given[key] = tried
        return tried


def _clean(text: str) -> str:
    return _NOT_IN_TAGS.sub("_", text).strip("/") or "_"


def _event(numbers: Mapping[str, float], step: int) -> Any:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))


def event_files(folder: Path) -> list[Path]:
    """Return the files of events that runs have written beside results."""
    return sorted((folder / EVENTS).glob(f"events.out.tfevents.*{_SUFFIX}"))
