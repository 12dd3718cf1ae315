"""Events for TensorBoard, written round by round with tensorboardX (the ``tensorboard`` extra)."""

from __future__ import annotations

import math
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.log import logger
from flame_flwr.results.callbacks import Callback
from flame_flwr.results.event_tags import Tags
from flame_flwr.results.metric_means import mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["EVENTS", "EventWriter", "event_files"]

EVENTS = "tensorboard"
"""The folder of the events, beside the results."""

_SUFFIX = ".flame-flwr"
_FLUSH_EVERY = 1.0


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
        The results folder; events go into its ``tensorboard``, from the end of the first round.
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
            # Quick rounds are not flushed one by one: a flush costs more than such a round.
            if time.monotonic() - self._flushed > _FLUSH_EVERY:
                self._flushed = time.monotonic()
                self._writer.flush()

        if numbers and not self._broken:
            self._guarded(write)

    def _open(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        return _library().writer(str(self.folder / "events"), _SUFFIX)

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
            if not math.isnan(average):  # a node's own NaN is shown, and has no mean
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


def _event(numbers: Mapping[str, float], step: int) -> Any:
    library = _library()
    values = [library.summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
    summary = library.summary(value=values)
    return library.event(wall_time=time.time(), step=step, summary=summary)


class _Library(NamedTuple):
    """What is used of tensorboardX."""

    writer: Any
    event: Any
    summary: Any


@cache
def _library() -> _Library:
    """Import what is used of tensorboardX.

    The package itself imports PyTorch where that is installed, which takes seconds and hundreds of
    megabytes: its parts are imported below a stand-in that is gone afterwards.
    """
    name = "tensorboardX"
    # Where PyTorch is imported already, nothing is saved; a tensorboardX that is stays as it is.
    is_there = {name, "torch"} & sys.modules.keys()
    found = None if is_there else find_spec(name)
    if found is not None:
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = found.submodule_search_locations or []
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
    finally:
        if found is not None:
            del sys.modules[name]
    return _Library(EventsWriter, Event, Summary)


def event_files(folder: Path) -> list[Path]:
    """Return the files of events that runs have written beside results."""
    return sorted((folder / EVENTS).glob(f"events.out.tfevents.*{_SUFFIX}"))
