"""A live progress bar, where standard output is a terminal; elsewhere nothing of it.

Lines of the log go above it: while it is there, it stands in for ``sys.stdout``, to which the log
is written. A debugger that is started by ``breakpoint()`` finds the terminal as it was.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from flame_flwr.metrics import summary
from flame_flwr.results.lines import ROUND, TAKE_PART
from flame_flwr.results.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress

    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["Bar", "LineBar", "on_terminal"]

_MOST_TEXT = 80


def on_terminal() -> bool:
    """Tell whether there is a terminal that a bar can be drawn on, and no debugger in the way."""
    try:
        there = sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False
    return there and os.environ.get("TERM") != "dumb" and sys.gettrace() is None


class Bar(Watcher):
    """Shows how far the rounds of this process are: the round, its nodes, the last metrics.

    Parameters
    ----------
    console : Console, optional
        Where to; standard output where it is not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: Any = None
        self._most: int | None = None
        self._nodes: int | None = None
        self._hook: Callable[..., Any] | None = None

    def began(self, record: RunRecord, most: int | None) -> None:
        """Draw it."""
        self.draw(len(record.nodes), most)

    def entered(self, number: int) -> None:
        """Start over with the nodes of the next round."""
        of = f" of {self._most}" if self._most is not None else ""
        self._update(description=f"round {number}{of}", completed=0)

    def answered(self, node: str) -> None:
        """Count a node."""
        if self._progress is not None:
            self._progress.advance(self._task)

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Show the round's metrics, unless they are exact figures of a private run."""
        text = summary(entry.node_metrics.values()) if record.privacy is None else ""
        self._update(last=text[:_MOST_TEXT], completed=self._nodes)

    def close(self) -> None:
        """Leave the terminal as it was."""
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.stop()
        if self._hook is not None and sys.breakpointhook == self._debug:
            sys.breakpointhook = self._hook
        self._hook = None

    def draw(self, nodes: int | None, most: int | None) -> None:
        """Begin.

        Parameters
        ----------
        nodes : int or None
            How many answer a round; ``None`` where it is not known how many have answered.
        most : int or None
            How many rounds there are at most.
        """
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.close()
        self._nodes, self._most = nodes, most
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[last]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._progress.add_task("round 1", total=nodes, last="")
        self._progress.start()
        self._hook, sys.breakpointhook = sys.breakpointhook, self._debug

    def _update(self, **fields: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._task, **fields)

    def _debug(self, *args: Any, **kwargs: Any) -> Any:
        """Give the terminal to the debugger, for good, and start it."""
        hook = self._hook or sys.__breakpointhook__
        self.close()
        return hook(*args, **kwargs)


class LineBar(Bar):
    """The same for a run in another process, of which only the lines of its log are there.

    Parameters
    ----------
    on_line : callable
        Gets every line, as without a bar.
    console : Console, optional
        Where the bar goes.
    """

    def __init__(
        self, on_line: Callable[[str], object] = print, console: Console | None = None
    ) -> None:
        super().__init__(console)
        self._on_line = on_line

    def __call__(self, line: str) -> None:
        """Pass a line on, and look what it says of the rounds."""
        self._on_line(line)
        if TAKE_PART.search(line):
            self.draw(None, None)
        elif found := ROUND.search(line):
            number, answered, nodes = (int(found[i]) for i in (1, 2, 3))
            text = f"round {number}: {answered} of {nodes} nodes, {found[4]}"
            self._update(description=f"round {number + 1}", last=text[:_MOST_TEXT])
        elif self._progress is not None and "results in " in line:
            self.close()
