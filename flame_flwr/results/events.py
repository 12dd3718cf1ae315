"""Events for TensorBoard, written round by round with tensorboardX (the ``tensorboard`` extra)."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger
from flame_flwr.metrics import mean
from flame_flwr.results.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["EVENTS", "EventWriter", "event_files"]

EVENTS = "tensorboard"
"""The folder of the events, beside the results."""

_SUFFIX = ".flame-flwr"
_FLUSH_EVERY = 1.0


class EventWriter(Watcher):
    """Writes what a round's line says: one tag per metric and node, and one for their mean.

    Tags are ``loss/hospital-a`` and ``mean/loss``, ``evaluation/auc/hospital-a``,
    ``round/seconds``, ``round/bytes``, ``round/nodes`` and ``round/change``; the step is the round.
    Of a private run no metrics and no change are written: they are exact.

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

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Write a round."""
        numbers = {
            "round/nodes": float(len(entry.node_seconds)),
            "round/seconds": entry.seconds,
            "round/bytes": float(sum(entry.node_bytes.values())),
        }
        if record.privacy is None:
            if entry.change is not None:
                numbers["round/change"] = entry.change
            numbers |= dict(_by_node(entry.node_metrics))
        self._write(numbers, entry.round)

    def evaluated(self, record: RunRecord) -> None:
        """Write the scores of the last aggregate, at the last round."""
        if record.privacy is None:
            scores = {f"evaluation/{tag}": value for tag, value in _by_node(record.evaluations)}
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
            for tag, value in numbers.items():
                self._writer.add_scalar(tag, value, step)
            if time.monotonic() - self._flushed > _FLUSH_EVERY:
                self._flushed = time.monotonic()
                self._writer.flush()

        if numbers and not self._broken:
            self._guarded(write)

    def _open(self) -> Any:
        with _without_torch():
            from tensorboardX import SummaryWriter

        return SummaryWriter(str(self.folder), flush_secs=5, filename_suffix=_SUFFIX)

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


def event_files(folder: Path) -> list[Path]:
    """Return the files of events that runs have written beside results."""
    return sorted((folder / EVENTS).glob(f"events.out.tfevents.*{_SUFFIX}"))


@contextmanager
def _without_torch() -> Iterator[None]:
    """Keep tensorboardX from importing torch, which takes seconds and is of no use here."""
    loaded = "torch" in sys.modules
    if not loaded:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not loaded:
            del sys.modules["torch"]


def _by_node(nodes: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    """Give every node's numbers, by tag, and each number's mean over the nodes."""
    found: dict[str, list[float]] = {}
    for node, metrics in nodes.items():
        for name, value in metrics.items():
            yield f"{name}/{node}", float(value)
            found.setdefault(name, []).append(float(value))
    for name, values in found.items():
        average = mean(values)
        if not math.isnan(average):
            yield f"mean/{name}", average
