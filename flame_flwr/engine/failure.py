"""What a node says when it failed: enough to mend it, nothing of its data.

The exception's type and its place in user code travel. Its text and traceback stay in the
node's own log, unless the node shares them.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import FlameError, text_of
from flame_flwr.log import logger

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "AtNode",
    "Failure",
    "Hint",
    "Place",
    "add_hint",
    "is_user_code",
    "log_error",
    "notes_of",
    "place_of",
    "places_of",
    "user_traceback",
]

_PACKAGE = str(Path(__file__).resolve().parents[1])
_PATHS = sysconfig.get_paths()
_OWN_CODE = tuple(
    path + os.sep
    for path in (
        _PACKAGE,
        str(Path(_PACKAGE).with_name("clients")),
        str(Path(_PACKAGE).with_name("strategies")),
    )
)
_NOT_USER_CODE = (
    *_OWN_CODE,
    *(_PATHS[kind] + os.sep for kind in ("stdlib", "purelib", "platlib")),
    "<frozen ",  # modules of the standard library that Python has built in
)

_COMPILED = (".pyx", ".pxd", ".pxi")
"""Files of compiled packages, such as pandas, whose frames name no folder of theirs."""


_ALL = sys.maxsize
"""How many frames of a traceback are read: a user's ``sys.tracebacklimit`` is for printing."""


class Hint(str):
    """A note of the framework's own on an exception: free of data, so it travels in any case."""


class Place(Hint):
    """A hint that says only on which node and in which round it was."""


class AtNode(str):
    """A note that may hold names of the node's data: it stays in this process and its log."""


def add_hint(error: BaseException, text: str) -> None:
    """Add a hint to an exception; one that takes no notes stays as it is."""
    with suppress(Exception):
        error.add_note(text if isinstance(text, Hint) else Hint(text))


def notes_of(error: BaseException) -> list[str]:
    """Return an exception's notes, whatever user code has put in their place."""
    with suppress(Exception):
        return [note for note in error.__notes__ if isinstance(note, str)]
    return []


def log_error(error: BaseException, what: str, *values: object) -> None:
    """Log an exception with its traceback; in short where Python cannot print that."""
    try:
        logger.error(what, *values, exc_info=error)
    except Exception:
        logger.error(f"{what}: %s", *values, type(error).__name__)


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
        hints = [note for note in notes_of(error) if isinstance(note, Hint)]
        text = "; ".join(part for part in (text, *hints) if part)
        return cls(
            type=type(error).__name__,
            place=place_of(error.__traceback__, anywhere=not isinstance(error, FlameError)),
            text=text,
            traceback=_traceback(error) if share else "",
        )

    def to_json(self) -> bytes:
        """Return the failure as the bytes that travel."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of_flower(cls, kind: str, reason: str) -> Failure:
        """Describe an error that Flower reports for a node, whose last line says what it was."""
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        return cls(kind, text=lines[-1][:300] if lines else "no reason given")

    @classmethod
    def from_json(cls, data: object) -> Failure:
        """Read a failure that arrived; one that cannot be read is a failure of its own."""
        try:
            fields: dict[str, Any] = json.loads(data if isinstance(data, bytes) else b"")
            return cls(**{key: str(fields.get(key, "")) for key in cls.__slots__})
        except (TypeError, ValueError, AttributeError, RecursionError):
            return cls("unreadable", text="the node answered with an unreadable failure")

    def __str__(self) -> str:
        """Return type, place and text in one line."""
        place = f" at {self.place}" if self.place else ""
        text = f": {self.text}" if self.text else ""
        return f"{self.type}{place}{text}"


def place_of(trace: TracebackType | None, *, anywhere: bool = True) -> str:
    """Return the innermost place in user code, ``file.py:42 in function``, or ``''``.

    Parameters
    ----------
    trace : traceback or None
        An exception's.
    anywhere : bool
        Name the innermost frame of all where none is user code: not one of this framework, the
        standard library or an installed package.
    """
    frames = places_of(trace)
    own = [frame for frame in frames if is_user_code(frame.filename)]
    if not own and not (anywhere and frames):
        return ""
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def places_of(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Return the place of every frame of a traceback, outermost first."""
    try:
        return list(traceback.extract_tb(trace, limit=_ALL))
    except Exception:  # of a loader that cannot give the source: the places are known without
        found = traceback.walk_tb(trace)
        return list(traceback.StackSummary.extract(found, limit=_ALL, lookup_lines=False))


def is_user_code(filename: str) -> bool:
    """Tell whether a file is not one of this framework, the standard library or a package."""
    return not filename.startswith(_NOT_USER_CODE) and not filename.endswith(_COMPILED)


def user_traceback(error: BaseException, script: str) -> str:
    """Return the traceback of an exception as ``python script`` would print it.

    It begins with the script; frames of the framework and of imports are left out, but for the
    last one.

    Parameters
    ----------
    error : BaseException
        The exception.
    script : str
        The script's path, as its frames have it.
    """
    try:
        described = traceback.TracebackException.from_exception(error)
    except Exception:  # of an exception that cannot even be looked at
        return _traceback(error)
    waiting: list[traceback.TracebackException | None] = [described]
    while waiting:
        part = waiting.pop()
        if part is not None:
            part.stack[:] = _of_user(list(part.stack), script)
            waiting += [part.__cause__, part.__context__]
    only = described.format() if described.stack else described.format_exception_only()
    return "".join(only)


def _traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it; in short where Python itself cannot."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return f"{type(error).__name__}: {text_of(error)}\n"


def _of_user(frames: list[traceback.FrameSummary], script: str) -> list[traceback.FrameSummary]:
    mine = [i for i, frame in enumerate(frames) if frame.filename == script]
    if not mine and frames and frames[-1].name == "_compiled":
        return []  # the script itself is no Python
    return [
        frame
        for i, frame in enumerate(frames, start=1)
        if i > min(mine, default=0)
        and (i == len(frames) or not frame.filename.startswith((*_OWN_CODE, "<frozen importlib")))
    ]
