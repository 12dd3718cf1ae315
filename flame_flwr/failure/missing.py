"""A key or a data source that the node's data does not have: what there is, said at the node.

Names of files and searches are the node's own, so they stand in a plain note, which stays in this
process and in the node's own log; what leaves says only that they are there.
"""

from __future__ import annotations

import ast
import linecache
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from flame_flwr.failure.failure import AtNode
from flame_flwr.failure.notes import Hint
from flame_flwr.suggestions import did_you_mean, listed
from flame_flwr.user_code import is_user_code

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["LISTED", "hint_missing"]

_MOST = 20
LISTED = "what is there is listed in the node's own log"
_LIST = "data is a list with one dict per data source: begin with data[0], such as data[0]['x.csv']"


def hint_missing(error: Exception, data: Any, data_type: str) -> None:
    """Add to an exception of user code what the node's data has, where it asked for something else.

    Parameters
    ----------
    error : Exception
        As it came out of a method of the analyzer.
    data : list of dict
        The node's: one dict per data source.
    data_type : str
        The model's.
    """
    asked = _asks_data(error, data)
    if not asked:
        return
    what = "FHIR query" if data_type == "fhir" else "file"
    if isinstance(error, KeyError) and len(error.args) == 1:
        error.add_note(Hint(f"the data has no {what} of that name: {LISTED}"))
        error.add_note(AtNode(_keys(error.args[0], data)))
    elif isinstance(error, IndexError):
        error.add_note(Hint(f"the data has no data source of that number: {LISTED}"))
        error.add_note(AtNode(_sources(data)))
    elif isinstance(error, TypeError) and "list indices must be integers" in str(error):
        error.add_note(Hint(_LIST))


def _keys(asked: Any, data: list[dict[Any, Any]]) -> str:
    """Say which keys there are, the nearest one first."""
    every = dict.fromkeys(key for files in data for key in files)
    said = filter(None, (did_you_mean(every, asked), _sources(data)))
    return f"{asked!r} is not there: {' '.join(said)}"


def _sources(data: list[dict[Any, Any]]) -> str:
    if not data:
        return "the node has no data source"
    return "; ".join(f"data[{i}] has {listed(files)}" for i, files in enumerate(data[:_MOST]))


def _asks_data(error: Exception, data: Any) -> bool:
    """Tell whether the operation that failed is one on the data, or on a part of it.

    It is where Python itself raised it, in user code, on what has a name of them. A ``KeyError``
    of pandas, for a column, comes out of a function of pandas.
    """
    if not isinstance(error, KeyError | IndexError | TypeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not is_user_code(trace.tb_frame.f_code.co_filename):
        return False
    asked = _asked_of(trace)
    names = _names_of(trace.tb_frame, data)
    return any(re.search(rf"(?<![\w\"']){re.escape(name)}\b", asked) for name in names)


def _asked_of(trace: TracebackType) -> str:
    """Return the code of what was asked for a key, as ``data[0]`` of ``data[0]["x.csv"]``.

    The line that failed, where Python does not tell which part of it did.
    """
    filename, code = trace.tb_frame.f_code.co_filename, trace.tb_frame.f_code
    line = linecache.getline(filename, trace.tb_lineno)
    try:
        first, last, start, end = next(islice(code.co_positions(), trace.tb_lasti // 2, None))
        if first is None:
            return line
        lines = [each.encode() for each in linecache.getlines(filename)[first - 1 : last]]
        lines[-1] = lines[-1][:end]
        lines[0] = lines[0][start:]
        failed = ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except (StopIteration, TypeError, IndexError, SyntaxError, ValueError):
        return line
    if isinstance(failed, ast.Subscript):
        return ast.unparse(failed.value)
    if isinstance(failed, ast.Call) and isinstance(failed.func, ast.Attribute):
        return ast.unparse(failed.func.value)
    return line


def _names_of(frame: FrameType, data: list[dict[Any, Any]]) -> list[str]:
    """Return what a frame calls the data, a source's dict, or a dict made of their entries."""
    keys = {key for files in data for key in files}
    named = dict(frame.f_locals)
    own = vars(named["self"]) if hasattr(named.get("self"), "__dict__") else {}
    named |= {f"self.{name}": value for name, value in own.items()}
    return [
        name
        for name, value in named.items()
        if value is data
        or any(value is files for files in data)
        or (isinstance(value, dict) and value and value.keys() <= keys)
    ]
