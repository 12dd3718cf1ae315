"""Hints for user code that asks for a file, query or data source that the node does not have.

The names of files and queries are the node's own. They go into a note that stays in this process
and in the node's own log; the hint that may leave only says that they are listed there.
"""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flame_flwr.failure.notes import Hint, NodeOnlyNote
from flame_flwr.failure.operation import loops, operation, steps, user_step
from flame_flwr.text.suggestions import did_you_mean, listed

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["LISTED", "hint_missing"]

_MOST = 20
LISTED = "what is there is listed in the node's own log"
_LIST = "data is a list with one dict per data source: begin with data[0], such as data[0]['x.csv']"


def hint_missing(error: Exception, data: Any, data_type: str) -> None:
    """Explain an exception of user code that asked the node's data for something it does not have.

    Parameters
    ----------
    error : Exception
        As it came out of a method of the analyzer.
    data : list of dict
        The node's: one dict per data source.
    data_type : str
        The model's.
    """
    if not _asks_data(error, data):
        return
    what = {"fhir": "FHIR query", "sql": "table"}.get(data_type, "file")
    if isinstance(error, KeyError) and len(error.args) == 1:
        # Two notes: the first may leave the node; the second has names, which may be patients'.
        error.add_note(Hint(f"the data has no {what} of that name: {LISTED}"))
        error.add_note(NodeOnlyNote(_keys(error.args[0], data)))
    elif isinstance(error, IndexError):
        error.add_note(Hint(f"the data has no data source of that number: {LISTED}"))
        error.add_note(NodeOnlyNote(_sources(data)))
    elif isinstance(error, TypeError) and "list indices must be integers" in str(error):
        error.add_note(Hint(_LIST))


def _keys(asked: Any, data: list[dict[Any, Any]]) -> str:
    """Describe the keys there are, after the nearest one."""
    every = dict.fromkeys(key for files in data for key in files)
    said = filter(None, (did_you_mean(every, asked), _sources(data)))
    return f"{asked!r} is not there: {' '.join(said)}"


def _sources(data: list[dict[Any, Any]]) -> str:
    if not data:
        return "the node has no data source"
    return "; ".join(f"data[{i}] has {listed(files)}" for i, files in enumerate(data[:_MOST]))


def _asks_data(error: Exception, data: Any) -> bool:
    """Tell whether the failed operation was on the data, or on a part of it.

    It is where Python itself raised it, in user code, on what has a name of them. A ``KeyError``
    of pandas, for a column, comes out of a function of pandas.
    """
    step = user_step(error)
    if not isinstance(error, KeyError | IndexError | TypeError) or step is None:
        return False
    if step is not [*steps(error)][-1]:
        return False
    # By what variables hold, and not by their names: only objects of the data itself count.
    names = _names_of(step.tb_frame, data)
    with suppress(SyntaxError):
        names |= {
            ast.unparse(loop.target) for loop in loops(step) if ast.unparse(loop.iter) in names
        }
    return any(ast.unparse(node) in names for node in ast.walk(_asked(step)))


def _asked(step: TracebackType) -> ast.AST:
    """Return the object that was asked for a key: ``data[0]`` in ``data[0]["x.csv"]``."""
    failed: ast.AST = ast.Tuple([], ast.Load())
    with suppress(SyntaxError):
        failed = operation(step)
    if isinstance(failed, ast.Call) and isinstance(failed.func, ast.Attribute):
        return failed.func.value  # of data[0].pop("x.csv")
    return failed.value if isinstance(failed, ast.Subscript) else failed


def _names_of(frame: FrameType, data: list[dict[Any, Any]]) -> set[str]:
    """Return the names a frame has for the data, a source's dict, or a dict of their entries."""
    keys = {key for files in data for key in files}
    named = dict(frame.f_locals)
    attributes = vars(named["self"]) if hasattr(named.get("self"), "__dict__") else {}
    named |= {f"self.{name}": value for name, value in attributes.items()}
    return {
        name
        for name, value in named.items()
        if value is data
        or any(value is files for files in data)
        or (isinstance(value, dict) and value and value.keys() <= keys)
    }
