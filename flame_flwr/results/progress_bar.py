"""A live progress bar, where standard output is a terminal; elsewhere nothing of it.

Lines of the log, and whatever else is printed, go above it, whole: while it is there, it stands in
for ``sys.stdout`` and, where that is a terminal too, ``sys.stderr``. While a line is shown that has
no end yet (dots, another bar), it is away. A debugger that is started by
``breakpoint()`` finds the terminal as it was. In the process that runs user code there is no thread
behind it, so that user code may fork: it is drawn anew when a node answers or a line is printed.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from flame_flwr.log import handlers, is_terminal
from flame_flwr.results.callbacks import Callback
from flame_flwr.results.followed_lines import (
    ParticipantsLine,
    ResultsLine,
    RoundLine,
    parse_line,
)
from flame_flwr.results.metric_means import summary
from flame_flwr.results.print_above import PrintAbove

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress

    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["Bar", "LineBar", "bars", "following", "on_terminal"]

_WIDTH, _TIME = 20, 7  # columns of the bar itself, and of the time
_LEAST_TEXT, _MOST_TEXT = 8, 80  # columns of the metrics; fewer say nothing
_REDRAW = 0.1


def on_terminal() -> bool:
    """Tell whether there is a terminal that a bar can be drawn on, and no debugger in the way."""
    return is_terminal() and sys.gettrace() is None


def bars() -> list[Callback]:
    """Return the bar for a run in this process, where there is a terminal."""
    return [Bar()] if on_terminal() else []


@contextmanager
def following(on_line: Callable[[str], object] = print) -> Iterator[Callable[[str], object]]:
    """Give what gets the log's lines of a run elsewhere, with a bar where there is a terminal."""
    if not on_terminal():
        yield on_line
        return
    bar = LineBar(on_line)
    try:
        yield bar
    finally:
        bar.close()


class Bar(Callback):
    """Shows how far the rounds of this process are: the round, its nodes, the last metrics.

    It must be closed, also after a failure.

    Parameters
    ----------
    console : Console, optional
        Where to; standard output where it is not given.
    """

    _ticks = False

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._streams: list[tuple[Any, str, Any]] = []
        self._drawn = 0.0
        self._progress: Progress | None = None
        self._task: Any = None
        self._most: int | None = None
        self._nodes: int | None = None
        self._hook: Callable[..., Any] | None = None
        self._away = False

    def began(self, record: RunRecord, most: int | None) -> None:
        """Draw the bar of a run in this process."""
        self.draw(len(record.nodes), most)

    def entered(self, number: int) -> None:
        """Start over with the nodes of the next round."""
        of = f" of {self._most}" if self._most is not None else ""
        self._update(description=f"round {number}{of}", completed=0)

    def answered(self, node: str) -> None:
        """Count a node that has answered."""
        if self._progress is not None:
            self._progress.advance(self._task)
            self._redraw()

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Show the round's metrics, as far as they may be shown."""
        public = record.public
        text = summary(public.round(entry).node_metrics.values(), public.weighted(entry))
        self._update(last=text, completed=self._nodes)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            for owner, name, value in reversed(self._streams):
                with suppress(OSError, ValueError):  # the terminal may be gone, or closed
                    getattr(owner, name).flush()  # the stand-in keeps what has no line end yet
                setattr(owner, name, value)
            self._streams = []
            self._progress.stop()
            self._progress = None
        # User code may have set a hook of its own meanwhile. `==`: a bound method is never the same
        # object twice.
        if self._hook is not None and sys.breakpointhook == self._debug:
            sys.breakpointhook = self._hook
        self._hook = None

    def draw(self, nodes: int | None, most: int | None) -> None:
        """Draw the bar.

        Parameters
        ----------
        nodes : int or None
            How many answer a round; ``None`` where it is not known how many have answered.
        most : int or None
            How many rounds there are at most.
        """
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self.close()  # the log of one run may have several analyses, each with its rounds
        self._away = False
        self._nodes, self._most = nodes, most
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=_WIDTH),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=_TIME)),
            TextColumn("{task.fields[shown]}", markup=False),
            console=self._console or Console(file=sys.stdout),
            transient=True,
            refresh_per_second=4,
            auto_refresh=self._ticks,
            # Rich's own redirection gives all that is flushed a line of its own, also a single dot.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("round 1", total=nodes, last="", shown="")
        self._progress.start()
        self._stand_in()
        self._hook, sys.breakpointhook = sys.breakpointhook, self._debug

    @property
    def away(self) -> bool:
        """Whether a line without an end has the terminal, or nothing is drawn any more."""
        return self._away or self._progress is None

    def give_way(self) -> None:
        """Leave the terminal to a line that has no end yet."""
        self._away = True
        if self._progress is not None:
            self._progress.stop()

    def come_back(self) -> None:
        """Draw the bar again, below a line that has ended."""
        self._away = False
        if self._progress is not None:
            with suppress(OSError):
                self._progress.start()

    def print_above(self, line: str) -> None:
        """Print a line above the bar."""
        from rich.text import Text

        if self._progress is not None:
            # Flower colours its lines; one that is broken up could not be copied as it is.
            self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def _update(self, **fields: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._task, **fields)
            self._progress.update(self._task, shown=self._that_fits(self._progress))
            self._redraw()

    def _that_fits(self, progress: Progress) -> str:
        """Return of the last text what leaves its place to the round and the bar."""
        task = progress.tasks[0]
        gaps = 4  # one between two columns, and the last of the line, where some terminals wrap
        room = progress.console.width - len(task.description) - _WIDTH - _TIME - gaps
        text = str(task.fields["last"])
        most = min(room, _MOST_TEXT)
        if len(text) <= most:
            return text
        return f"{text[: most - 1]}…" if most >= _LEAST_TEXT else ""

    def _redraw(self) -> None:
        """Draw it, but not all the time."""
        now = time.monotonic()
        if self._progress is not None and not self._ticks and now - self._drawn > _REDRAW:
            self._drawn = now
            with suppress(OSError):  # a terminal that is gone ends no run
                self._progress.refresh()

    def _stand_in(self) -> None:
        """Print everything above the bar, also from log handlers that hold a stream."""
        above: dict[int, PrintAbove] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # What goes into a file meanwhile, as with `2> errors.txt`, goes on into it.
            if stream is not None and stream.isatty():
                above[id(stream)] = stand_in = PrintAbove(stream, self)
                self._streams.append((sys, name, stream))
                setattr(sys, name, stand_in)
        # A stream handler keeps the stream that there was when it was made.
        handler: logging.Handler
        for handler in handlers():
            stream = getattr(handler, "stream", None)
            if id(stream) in above:
                self._streams.append((handler, "stream", stream))
                handler.stream = above[id(stream)]  # type: ignore[attr-defined]

    def _debug(self, *args: Any, **kwargs: Any) -> Any:
        """Give the terminal to the debugger, for good, and start it."""
        hook = self._hook or sys.__breakpointhook__
        self.close()
        return hook(*args, **kwargs)


class LineBar(Bar):
    """The same for a run in another process, of which only the lines of its log are there.

    Nothing else comes from a SuperLink: see :mod:`flame_flwr.results.followed_lines`.

    Parameters
    ----------
    on_line : callable
        Gets every line, as without a bar.
    console : Console, optional
        Where the bar goes.
    """

    _ticks = True

    def __init__(
        self, on_line: Callable[[str], object] = print, console: Console | None = None
    ) -> None:
        super().__init__(console)
        self._on_line = on_line

    def __call__(self, line: str) -> None:
        """Pass a line on, and look what it says of the rounds."""
        self._on_line(line)
        # Who has answered a round so far is in no line: it is told when the round is over.
        match parse_line(line):
            case ParticipantsLine():
                self.draw(None, None)
            case RoundLine(round=number, metrics=metrics):
                self._update(description=f"after round {number}", last=metrics)
            case ResultsLine():
                self.close()
