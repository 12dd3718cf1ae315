"""Find where in user code an exception was raised; print tracebacks without our frames."""

from __future__ import annotations

import dis
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import text_of
from flame_flwr.flower import runtime
from flame_flwr.user_code.paths import FRAMEWORK_CODE, is_user_code

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["is_interrupt", "place_of", "traceback_text", "user_traceback"]

_RAISE = dis.opmap["RAISE_VARARGS"]

_ALL = sys.maxsize
"""How many frames of a traceback are read: a user's ``sys.tracebacklimit`` is for printing."""


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
    frames = _frames(trace)
    of_user = [frame for frame in frames if is_user_code(frame.filename)]
    if not of_user and not (anywhere and frames):
        return ""
    frame = (of_user or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def is_interrupt(error: BaseException) -> bool:
    """Tell whether an exception ends the process, as Ctrl-C does, and is no failure of a node.

    Raised by user code at a node it is one: nobody interrupts a node's analysis that way. A signal
    comes up between any two steps of a program, and never from a ``raise``.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if runtime() == "process":
        return True
    # So the last instruction tells: a `raise` of user code, or anything else for a signal.
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is None or at.tb_frame.f_code.co_code[at.tb_lasti] != _RAISE


def _frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Return the place of every frame of a traceback, outermost first."""
    try:
        return list(traceback.extract_tb(trace, limit=_ALL))
    except Exception:  # of a loader that cannot give the source: the places are known without
        found = traceback.walk_tb(trace)
        return list(traceback.StackSummary.extract(found, limit=_ALL, lookup_lines=False))


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
        return traceback_text(error)
    # Causes too, each with a stack of its own; `TracebackException` itself keeps cycles out.
    waiting: list[traceback.TracebackException | None] = [described]
    while waiting:
        part = waiting.pop()
        if part is not None:
            part.stack[:] = _of_user(list(part.stack), script)
            waiting += [part.__cause__, part.__context__]
    only = described.format() if described.stack else described.format_exception_only()
    return "".join(only)


def traceback_text(error: BaseException) -> str:
    """Return the traceback as Python prints it, or briefly if Python cannot."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return f"{type(error).__name__}: {text_of(error)}\n"


def _of_user(frames: list[traceback.FrameSummary], script: str) -> list[traceback.FrameSummary]:
    of_script = [i for i, frame in enumerate(frames) if frame.filename == script]
    if not of_script and frames and frames[-1].name == "_compiled":
        return []  # the script itself is no Python
    return [
        frame
        for i, frame in enumerate(frames, start=1)
        if i > min(of_script, default=0)
        and (
            i == len(frames)
            or not frame.filename.startswith((*FRAMEWORK_CODE, "<frozen importlib"))
        )
    ]
