"""What commonly goes wrong in user code, told from an exception: the mistake and the mend.

A hint states facts that the framework knows and the exception's text does not: what was ``None``,
what shape the data had. It is added to the exception as a note, and holds nothing of a node's
data, so it may leave the node. Where no fact explains the exception there is no hint.
"""

from __future__ import annotations

import inspect
import linecache
import re
from typing import TYPE_CHECKING, Any

from flame_flwr.data.source import SplitData
from flame_flwr.engine.failure import Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

    from flame_flwr.clients.node import Node
    from flame_flwr.star.nodes import StarAggregator

__all__ = ["hint_aggregator", "hint_analyzer", "is_file_dicts"]

_OF_NONE = (TypeError, AttributeError)
_OF_SHAPE = (TypeError, AttributeError, KeyError, IndexError)

_AS_FILES = r"\s*\[\s*-?\d+\s*\]\s*(\[|\.(items|keys|values|get)\b)"
"""What comes behind ``data`` where it is taken for a list of dicts: ``[0]["x.csv"]``."""

_NO_AGGREGATE = (
    "aggregator_results is None in the first round, when there is no aggregate yet: begin with "
    "`if aggregator_results is None:`"
)
_NO_LAST_RESULT = (
    "last_result, and self.latest_result, are None in the first round, when there is no aggregate "
    "before: begin with `if last_result is None: return False`"
)
_NO_RETURN = "aggregation_method returned None: has it a `return`?"


def hint_analyzer(error: Exception, node: Node, number: int) -> None:
    """Add to an exception of ``analysis_method`` what explains it, if anything does.

    Parameters
    ----------
    error : Exception
        As it came out of the method.
    node : Node
        Whose analyzer raised it.
    number : int
        The round, from 1.
    """
    data, data_type = node.data(), node.plan.data_type
    if _is_about_none(error):
        if node.analyzer is not None and node.analyzer.latest_result is None:
            error.add_note(Hint(_NO_AGGREGATE if number == 1 else _NO_RETURN))
        if data is None and data_type == "none":
            error.add_note(
                Hint("data is None because the model says data_type='none': say 's3' or 'fhir'")
            )
    elif isinstance(error, _OF_SHAPE) and data is not None:
        shape = _content_hint(data, data_type)
        if not is_file_dicts(data) and _fails_at_data(error, node.plan.analyzer.analysis_method):
            shape = _shape_hint(data, is_split=isinstance(node.source, SplitData))
        if shape:
            error.add_note(Hint(shape))


def hint_aggregator(
    error: Exception, aggregator: StarAggregator, names: Sequence[str], values: Sequence[Any]
) -> None:
    """Add to an exception of an aggregator's round what explains it, if anything does.

    Parameters
    ----------
    error : Exception
        As it came out of the round.
    aggregator : StarAggregator
        The instance; its ``latest_result`` is that of the round before.
    names : sequence of str
        The nodes that answered.
    values : sequence
        Their results, parallel to `names`.
    """
    if not _is_about_none(error):
        return
    empty = [name for name, value in zip(names, values, strict=True) if value is None]
    frame = _frame_of(error, type(aggregator).has_converged)
    result = _argument(frame, 1)
    if empty:
        error.add_note(
            Hint(f"analysis_method returned None on {', '.join(empty[:5])}: has it a `return`?")
        )
    elif frame is not None and result is None:
        error.add_note(Hint(_NO_RETURN))
    elif aggregator.latest_result is None:
        error.add_note(Hint(_NO_RETURN if aggregator.num_iterations else _NO_LAST_RESULT))


def is_file_dicts(data: Any) -> bool:
    """Tell whether data has the shape that a node's has: a list with one dict per source."""
    return isinstance(data, list) and all(isinstance(files, dict) for files in data)


def _is_about_none(error: Exception) -> bool:
    return isinstance(error, _OF_NONE) and "NoneType" in str(error)


def _shape_hint(data: Any, *, is_split: bool) -> str:
    if not is_split:
        return f"the data is {_kind(data)}: what a data source returns is handed over as it is"
    return (
        f"this split is {_kind(data)} and reaches analysis_method as it is; a node's data is "
        "[{key: content, ...}, ...], one dict per data source: write the split as "
        "[{'x.csv': b'...'}]"
    )


def _content_hint(data: Any, data_type: str) -> str:
    if not is_file_dicts(data):
        return ""
    contents = [content for files in data for content in files.values()]
    if data_type == "fhir" and any(isinstance(content, bytes) for content in contents):
        return (
            "data_type is 'fhir', and the data holds files (bytes), not bundles (dicts): "
            "say data_type='s3'"
        )
    if data_type == "s3" and any(_is_bundle(content) for content in contents):
        return (
            "data_type is 's3', and the data holds FHIR bundles (dicts), not files (bytes): "
            "say data_type='fhir'"
        )
    return ""


def _is_bundle(content: Any) -> bool:
    return isinstance(content, dict) and "resourceType" in content


def _kind(value: Any) -> str:
    """Name a value's type, and of a list what its elements are; never a value."""
    name = type(value).__name__
    if isinstance(value, list | tuple) and value:
        return f"a {name} of {type(value[0]).__name__}"
    return f"of type {name}"


def _fails_at_data(error: Exception, analysis_method: Callable[..., Any]) -> bool:
    """Tell whether the line that raised takes ``data[0]`` for a dict of files, as a node's is."""
    frame = _frame_of(error, analysis_method)
    if frame is None:
        return False
    file, name = frame.f_code.co_filename, _name(frame.f_code, 1)
    lines = [line for frame, line in _frames(error) if frame.f_code.co_filename == file]
    source = linecache.getline(file, lines[-1])
    return bool(name and re.search(rf"\b{re.escape(name)}{_AS_FILES}", source))


def _frame_of(error: Exception, method: Callable[..., Any]) -> FrameType | None:
    """Return the frame of a user's method in an exception's traceback."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    return next((frame for frame, _ in _frames(error) if frame.f_code is code), None)


def _frames(error: Exception) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _name(code: CodeType, number: int) -> str:
    return code.co_varnames[number] if code.co_argcount > number else ""


def _argument(frame: FrameType | None, number: int) -> Any:
    """Return what a frame's parameter holds; ``...`` where there is none."""
    if frame is None:
        return ...
    return frame.f_locals.get(_name(frame.f_code, number), ...)
