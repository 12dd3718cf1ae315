"""What has left a node and what was withheld, as its page shows it: the audit log, searched."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.privacy.audit_chain import chain_path
from flame_flwr.privacy.audit_files import read_entries
from flame_flwr.privacy.audit_words import answer_words, what_left, withheld_words
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["ALL", "COLUMNS", "Asked", "Egress", "columns_of"]

_MOST_LINES = 100
_MOST_DAYS = 1000
_LONGEST = 2000

COLUMNS = (
    *("time", "project", "run", "app", "node", "answer", "bytes", "masked", "rules", "filters"),
    *("left", "withheld", "withheld in part"),
)
"""The columns of the table that is saved.

How many rows or people an answer is of is not among them: the log does not hold it. An app's own
process counts them, for the gate to apply rules with, which then forgets the number.
"""


def columns_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the audit log by :data:`COLUMNS`: texts that can be shown, and numbers."""
    failed = bool(entry.get("failure"))
    size = entry.get("bytes")
    words = shown_text(what_left(entry), _LONGEST)
    return {
        **{key: shown_text(str(entry.get(key, "")), _LONGEST) for key in COLUMNS[:5]},
        "answer": shown_text(answer_words(entry)),
        "bytes": size if isinstance(size, int) else None,
        "masked": entry.get("masked") is True,
        "rules": _joined(entry.get("disclosure")),
        "filters": _joined(entry.get("filters")),
        "left": "" if failed else words,
        "withheld": words.removeprefix("failed: ") if failed else "",
        "withheld in part": shown_text(withheld_words(entry), _LONGEST),
    }


def _joined(names: object) -> str:
    return shown_text(", ".join(map(str, names))) if isinstance(names, list) else ""


@dataclass(frozen=True)
class Asked:
    """Which lines are asked for; empty: all of them.

    Attributes
    ----------
    project : str
        The study.
    day : str
        A day of UTC, or a month, such as ``"2026-11"``.
    text : str
        What stands somewhere in the line, in capitals or not.
    """

    project: str = ""
    day: str = ""
    text: str = ""

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a line is one of them."""
        return (
            (not self.project or row["project"] == self.project)
            and row["time"].startswith(self.day)
            and (not self.text or self.text.lower() in _all_of(row))
        )


def _all_of(row: Mapping[str, Any]) -> str:
    return " ".join(each for each in row.values() if isinstance(each, str)).lower()


ALL = Asked()


@dataclass
class Egress:
    """What has left a node: its audit log, read again when it has grown.

    Parameters
    ----------
    path : Path or None
        The log; ``None`` where the node keeps none.
    """

    path: Path | None
    _known: tuple[Any, ...] = ()
    _cost: float = 0.0
    _read_at: float = 0.0
    _part: dict[str, Any] = field(default_factory=dict)

    def part(self) -> dict[str, Any]:
        """Return the newest lines, and how many answers left by study and day."""
        if self.path is None:
            return {"trouble": "this node keeps no audit log: its config has no `audit-log`"}
        signs = _signs(self.path)
        # A log of years takes a second to read: not more than a tenth of the time goes into it.
        if signs != self._known and time.monotonic() - self._read_at >= 10 * self._cost:
            began = time.monotonic()
            self._part = self._read()
            self._cost, self._read_at = time.monotonic() - began, time.monotonic()
            self._known = signs
        return self._part

    def entries(self, asked: Asked = ALL) -> Iterator[dict[str, Any]]:
        """Yield the lines that are asked for, the oldest first.

        Raises
        ------
        ConfigError
            There is no log, or it cannot be read.
        """
        if self.path is None:
            raise ConfigError("this node keeps no audit log")
        return filter(asked.fits, map(columns_of, read_entries(self.path)))

    def found(
        self, asked: Asked = ALL, look: Callable[[dict[str, Any]], object] | None = None
    ) -> dict[str, Any]:
        """Return how many lines of the whole log fit, how many withheld, and the newest of both.

        Parameters
        ----------
        asked : Asked
            Which lines.
        look : callable, optional
            Sees each of them.
        """
        newest: deque[dict[str, Any]] = deque(maxlen=_MOST_LINES)
        refused: deque[dict[str, Any]] = deque(maxlen=_MOST_LINES)
        fitting = withheld = 0
        try:
            for row in self.entries(asked):
                newest.append(row)
                fitting += 1
                if row["withheld"] or row["withheld in part"]:
                    refused.append(row)
                    withheld += 1
                if look is not None:
                    look(row)
        except ConfigError as error:
            return {"trouble": str(error)}
        return {
            "lines": list(reversed(newest)),
            "fitting": fitting,
            "refused": list(reversed(refused)),
            "withheld": withheld,
        }

    def _read(self) -> dict[str, Any]:
        days: dict[tuple[str, str], Counter[str]] = {}

        def note(row: dict[str, Any]) -> None:
            if row["answer"]:  # a line of the node's start is none
                counts = days.setdefault((row["time"][:10], row["project"]), Counter())
                counts.update(answers=1, bytes=row["bytes"] or 0, masked=int(row["masked"]))
                counts.update(withheld=bool(row["withheld"]))
                counts.update({"withheld in part": bool(row["withheld in part"])})

        found = self.found(look=note)
        if "trouble" in found:
            return found
        of_days = [
            {"day": day, "project": project, **counts}
            for (day, project), counts in sorted(days.items(), key=lambda each: each[0][1])
        ]
        of_days.sort(key=lambda each: str(each["day"]), reverse=True)
        return {
            **found,
            "days": of_days[:_MOST_DAYS],
            "projects": sorted({project for _, project in days}),
            "all": sum(counts["answers"] for counts in days.values()),
        }


def _signs(path: Path) -> tuple[Any, ...]:
    """Return what changes when a line is added, or the log is moved."""
    found: list[tuple[int | None, ...]] = []
    for each in (str(path), chain_path(str(path))):
        try:
            about = os.stat(each)
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        except OSError as error:
            found.append((error.errno,))
    return tuple(found)
