"""The report of a node that failed: enough to mend the cause, and nothing of its data.

The exception's type and its place in user code travel. Its text and traceback stay in the
node's own log, unless the node shares them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from flame_flwr.errors import FlameError, text_of
from flame_flwr.failure.notes import Hint, notes_of
from flame_flwr.failure.tracebacks import place_of, traceback_text
from flame_flwr.text.foreign_json import OddReportError
from flame_flwr.text.shown_text import one_line, shown_lines, shown_text

__all__ = ["Failure"]

_LONGEST, _LONGEST_TEXT, _LONGEST_TRACEBACK = 300, 4000, 20_000
"""Characters of what another party says."""

_MOST_BYTES = 2**20
_OTHER_PROGRAM = (
    "no node of flame-flwr says that, so it runs something else, or it was changed on its way: "
    "look at what runs there, and install the server's version"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a node did not give a result.

    Parameters
    ----------
    type : str
        The exception's class name, or ``timeout`` or ``crash``.
    place : str
        ``file.py:42 in analysis_method``, or empty.
    text : str
        What the framework itself says of it; the exception's own text where it is shared.
    traceback : str
        Where it is shared; else empty.

    Examples
    --------
    >>> print(Failure("ValueError", "study.py:42 in analysis_method"))
    ValueError at study.py:42 in analysis_method
    """

    type: str
    place: str = ""
    text: str = ""
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException, *, share: bool) -> Failure:
        """Describe an exception, with its text and traceback only where they are shared."""
        text = ""
        if isinstance(error, FlameError):
            text = text_of(error) if share else error.message
        elif isinstance(error, SystemExit):
            text = "user code called sys.exit; return a value or raise an error instead"
        elif share:
            text = text_of(error)
        # Only our own notes: one that user code has added may hold a patient's data.
        hints = [note for note in notes_of(error) if isinstance(note, Hint)]
        text = "; ".join(part for part in (text, *hints) if part)
        return cls(
            type=type(error).__name__,
            place=place_of(error.__traceback__, anywhere=not isinstance(error, FlameError)),
            text=text,
            traceback=traceback_text(error) if share else "",
        )

    def to_json(self) -> bytes:
        """Return the failure as the bytes that travel."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of_flower(cls, kind: str, reason: str) -> Failure:
        """Describe an error that Flower reports for a node, whose last line says what it was."""
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        return cls(kind, text=shown_text(lines[-1], _LONGEST) if lines else "no reason given")

    @classmethod
    def of_odd_answer(cls, kind: str, error: Exception) -> Failure:
        """Describe what another party's answer raised where it was read, with what to do."""
        text = str(error) if isinstance(error, OddReportError) else f"a {type(error).__name__}"
        return cls(kind, text=f"{text}; {_OTHER_PROGRAM}")

    @classmethod
    def from_json(cls, data: object) -> Failure:
        """Read a failure that arrived; if it cannot be read, return one that says so.

        It is another party's: each text becomes one line of limited length, and a traceback some.
        """
        if isinstance(data, bytes) and len(data) > _MOST_BYTES:
            text = f"the node answered with a failure of more than {_MOST_BYTES} bytes"
            return cls("unreadable", text=text)
        try:
            # Deep JSON raises a RecursionError, which is no ValueError and is caught below, too.
            fields: dict[str, Any] = json.loads(data if isinstance(data, bytes) else b"")
            said = {key: str(fields.get(key, "")) for key in cls.__slots__}
            return cls(
                one_line(said["type"], _LONGEST),
                one_line(said["place"], _LONGEST),
                one_line(said["text"], _LONGEST_TEXT),
                shown_lines(said["traceback"], _LONGEST_TRACEBACK),
            )
        except (TypeError, ValueError, AttributeError, RecursionError):
            return cls("unreadable", text="the node answered with an unreadable failure")

    def __str__(self) -> str:
        """Return type, place and text in one line."""
        place = f" at {self.place}" if self.place else ""
        text = f": {self.text}" if self.text else ""
        return f"{self.type}{place}{text}"
