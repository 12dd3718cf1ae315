"""What commonly goes wrong in user code, told from an exception: the mistake and the mend.

A hint states facts that the framework knows and the exception's text does not: what was ``None``,
what shape the data had. It is added to the exception as a note, and holds nothing of a node's
data, so it may leave the node. Where no fact explains the exception there is no hint.
"""

from __future__ import annotations

import inspect
import linecache
import os
import re
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from flame_flwr.errors import text_of
from flame_flwr.failure.missing import hint_missing
from flame_flwr.failure.notes import add_hint
from flame_flwr.failure.tracebacks import places_of
from flame_flwr.user_code import is_user_code

if TYPE_CHECKING:
    import traceback
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

    from flame_flwr.clients.node import Node
    from flame_flwr.star.nodes import StarAggregator

__all__ = ["hint_aggregator", "hint_analyzer", "hint_evaluation", "hint_relative", "is_file_dicts"]

_OF_NONE = (TypeError, AttributeError)
_OF_SHAPE = (TypeError, AttributeError, KeyError, IndexError)

_AS_FILES = r"\s*\[\s*-?\d+\s*\]\s*(\[|\.(items|keys|values|get)\b)"
"""What comes behind ``data`` where it is taken for a list of dicts: ``[0]["x.csv"]``."""

_LATEST = "latest_result"
"""The attribute that holds what a method's second parameter does."""

_NO_AGGREGATE = (
    "aggregator_results is None in the first round, when there is no aggregate yet: begin with "
    "`if aggregator_results is None:`"
)
_NO_LAST_RESULT = (
    "last_result, and self.latest_result, are None in the first round, when there is no aggregate "
    "before: begin with `if last_result is None: return False`"
)
_RELATIVE = (
    "it opens a relative path, and under Flower code runs in a folder of its own, where that is "
    "not: data comes through `data`, and constants belong into a module beside the code"
)
_NO_RETURN = "aggregation_method returned None: has it a `return`?"

_Arguments = ParamSpec("_Arguments")


def _harmless(hint: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Have a function that looks for a hint find none where it fails: the user's error counts."""

    @wraps(hint)
    def looks(*arguments: _Arguments.args, **more: _Arguments.kwargs) -> None:
        with suppress(Exception):
            hint(*arguments, **more)

    return looks


@_harmless
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
        method = node.plan.analyzer.analysis_method
        forgotten = node.analyzer is not None and node.analyzer.latest_result is None
        if forgotten and _uses_none(error, method, 2, _LATEST):
            add_hint(error, _NO_AGGREGATE if number == 1 else _NO_RETURN)
        if data is None and data_type == "none" and _uses_none(error, method, 1):
            add_hint(
                error, "data is None because the model says data_type='none': say 's3' or 'fhir'"
            )
    elif isinstance(error, _OF_SHAPE) and data is not None:
        shape = _content_hint(data, data_type)
        if not is_file_dicts(data) and _fails_at_data(error, node.plan.analyzer.analysis_method):
            shape = _shape_hint(data, is_split=node.is_split)
        if shape:
            add_hint(error, shape)
        elif is_file_dicts(data):
            hint_missing(error, data, data_type)


@_harmless
def hint_evaluation(error: Exception, node: Node) -> None:
    """Add to an exception of ``evaluation_method`` what the data has, where it lacks something."""
    data = node.data()
    if is_file_dicts(data):
        hint_missing(error, data, node.plan.data_type)


@_harmless
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
    method = type(aggregator).has_converged
    if empty:
        add_hint(
            error, f"analysis_method returned None on {', '.join(empty[:5])}: has it a `return`?"
        )
    elif _uses_none(error, method, 1):
        add_hint(error, _NO_RETURN)
    elif aggregator.latest_result is None and _uses_none(error, method, 2, _LATEST):
        add_hint(error, _NO_RETURN if aggregator.num_iterations else _NO_LAST_RESULT)


@_harmless
def hint_relative(error: BaseException) -> None:
    """Add to an exception under Flower what a relative path is relative to; the path stays."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if isinstance(name, str) and not os.path.isabs(name):
        add_hint(error, _RELATIVE)


def is_file_dicts(data: Any) -> bool:
    """Tell whether data has the shape that a node's has: a list with one dict per source."""
    return isinstance(data, list) and all(isinstance(files, dict) for files in data)


def _is_about_none(error: Exception) -> bool:
    return isinstance(error, _OF_NONE) and "NoneType" in text_of(error)


def _uses_none(
    error: Exception, method: Callable[..., Any], number: int, attribute: str = ""
) -> bool:
    """Tell whether the code that failed uses a parameter of a user's method which is ``None``.

    Only the operation counts at which the innermost user code failed. A parameter is followed
    into the functions that it is handed to.

    Parameters
    ----------
    error : Exception
        With its traceback.
    method : callable
        The user's.
    number : int
        Which of its parameters; 1 is the one behind ``self``.
    attribute : str
        Of ``self``, which holds the same.
    """
    code = getattr(inspect.unwrap(method), "__code__", None)
    places, text = places_of(error.__traceback__), text_of(error)
    names: set[str] = set()
    uses = False
    for (frame, _), place in zip(_frames(error), places, strict=True):
        own = frame.f_code
        if own is code:
            names = {_name(own, number)}
        elif not is_user_code(own.co_filename):
            continue
        else:
            handed_on = own.co_varnames[: own.co_argcount + own.co_kwonlyargcount] if uses else ()
            names = (names & {*own.co_freevars}) | {*handed_on}
        names = {name for name in names if frame.f_locals.get(name, ...) is None}
        words = [rf"(?<![\w.\"']){re.escape(name)}\b" for name in names]
        words += [rf"\.{attribute}\b"] if attribute else []
        source = _source_at(place, whole_line="to unpack" in text or "unpack non" in text)
        uses = any(re.search(word, source) for word in words)
    return uses


def _source_at(place: traceback.FrameSummary, *, whole_line: bool) -> str:
    """Return the source of the operation at which a frame failed, or its line's.

    Of ``a, b = c`` the operation is ``a, b``, so that there it has to be the line.
    """
    first, last = place.lineno or 0, place.end_lineno or 0
    lines = [linecache.getline(place.filename, line) for line in range(first, last + 1)]
    start, end = place.colno, place.end_colno
    if whole_line or not lines or start is None or end is None:
        return linecache.getline(place.filename, first)
    lines[-1] = lines[-1].encode()[:end].decode(errors="replace")
    lines[0] = lines[0].encode()[start:].decode(errors="replace")
    return "".join(lines)


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
