"""What ``flame-flwr node log`` prints: an audit log run by run, or whether it is unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from flame_flwr.cli.say import head, say
from flame_flwr.cli.tables import print_table
from flame_flwr.errors import FlameError
from flame_flwr.privacy.audit_words import answer_words, what_left, withheld_words
from flame_flwr.text.shown_text import shown_text
from flame_flwr.text.sizes import shown_size
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from flame_flwr.privacy.audit_verify import Verified

__all__ = ["LineFilter", "show_log", "show_verified"]

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines of an audit log are shown; an empty field leaves nothing out.

    Parameters
    ----------
    project, run, node : str
        As they stand in the line.
    day : str
        Of UTC: 2026-11-29; a month, 2026-11, too.
    """

    project: str = ""
    run: str = ""
    node: str = ""
    day: str = ""

    def has(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether a line is one of those.

        Examples
        --------
        >>> LineFilter(day="2026-11").has({"time": "2026-11-29T12:00:00.000+00:00"})
        True
        """
        exact = {"project": self.project, "run": self.run, "node": self.node}
        return str(entry.get("time", "")).startswith(self.day) and all(
            not wanted or str(entry.get(key)) == wanted for key, wanted in exact.items()
        )


def show_log(entries: Iterable[Mapping[str, Any]], wanted: LineFilter) -> None:
    """Print the lines that are wanted, under a heading for each run.

    Parameters
    ----------
    entries : iterable of mappings
        The lines, in this order.
    wanted : LineFilter
        Which of them.
    """
    models = _Models()
    shown = (models.counted(each) for each in entries if wanted.has(each))
    number = 0
    for number, (about, of_run) in enumerate(groupby(shown, _about_run), start=1):
        if number > 1:
            say("")
        head(about)
        titles = ("line", "size", "time (UTC)", "node", "answer", "what left")
        rows = map(_cells, of_run)
        print_table(titles, rows, numbers=("line", "size"), whole=("time (UTC)",))
    if not number:
        say("no such lines")
    for line in models.lines():
        say("")
        say(line)


class _Models:
    """Counts the regressions of each project: a sequence of them tells what none of them does."""

    def __init__(self) -> None:
        self._rounds: dict[str, set[tuple[str, int]]] = {}

    def counted(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Count a line of the log, and return it."""
        number = entry.get("round")
        if "regression" in entry and not entry.get("failure") and isinstance(number, int):
            project = str(entry.get("project", ""))
            self._rounds.setdefault(project, set()).add((str(entry.get("run")), number))
        return entry

    def lines(self) -> Iterator[str]:
        """Yield what there is to say of each project."""
        for project, rounds in sorted(self._rounds.items()):
            models = counted(len({run for run, _ in rounds}), "regression")
            yield f"project {_shown(project)}: {models}, of {len(rounds)} rounds in all"


def show_verified(path: Path, found: Verified) -> None:
    """Print what the look along the chain of a log has found.

    Raises
    ------
    FlameError
        A line is not as it was written.
    """
    for note in found.notes:
        say(f"note: {note}")
    if found.wrong:
        raise FlameError(
            f"{path}: {found.wrong}"
            + (f". Lines up to {found.sound} are as they were written" if found.sound else "")
        )
    lines = counted(found.lines, "line")
    say(f"{lines}, each as it was written. The last is line {found.last.number}:")
    say(f"  {found.last.sha256}")
    say(
        "Note this hash elsewhere. Later, --expect with it shows that the log still has this line: "
        "without that, nobody can tell a log that was written anew."
    )


def _shown(text: object) -> str:
    return shown_text(text, _LONGEST)


def _about_run(entry: Mapping[str, Any]) -> str:
    keys = [key for key in ("project", "run", "app") if entry.get(key)]
    return ", ".join(f"{key} {_shown(entry[key])}" for key in keys)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    size = entry.get("bytes")
    return [
        str(entry.get("number", "")),
        shown_size(size) if isinstance(size, int) else "",
        _shown(entry.get("time", ""))[:19].replace("T", " "),
        _shown(entry.get("node", "")),
        _shown(answer_words(entry)),
        _shown("; ".join(filter(None, (what_left(entry), withheld_words(entry))))),
    ]
