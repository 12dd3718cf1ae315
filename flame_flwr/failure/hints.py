"""Hints on exceptions of user code: common mistakes, and how to mend them.

A hint states facts that the framework knows and the exception's text does not: what was ``None``,
what shape the data had. It is added to the exception as a note and holds nothing of a node's data,
so it may leave the node. If no fact explains the exception, there is no hint.
"""

from __future__ import annotations

import ast
import inspect
import os
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from flame_flwr.errors import text_of
from flame_flwr.failure.missing import hint_missing
from flame_flwr.failure.notes import add_hint
from flame_flwr.failure.operation import operation, passed_on, steps, user_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, FrameType

    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer

__all__ = ["hint_aggregator", "hint_analyzer", "hint_evaluation", "hint_relative", "is_file_dicts"]

_OF_NONE = (TypeError, AttributeError)
_OF_SHAPE = (TypeError, AttributeError, KeyError, IndexError)

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
    """Ignore errors of a function that looks for a hint: the user's own error counts."""

    @wraps(hint)
    def looks(*arguments: _Arguments.args, **more: _Arguments.kwargs) -> None:
        with suppress(Exception):
            hint(*arguments, **more)

    return looks


@_harmless
def hint_analyzer(
    error: Exception, analyzer: StarAnalyzer, data: Any, data_type: str, *, is_split: bool
) -> None:
    """Explain an exception of ``analysis_method``, if a known fact does.

    Parameters
    ----------
    error : Exception
        As it came out of the method.
    analyzer : StarAnalyzer
        Which raised it.
    data : Any
        What it was given.
    data_type : str
        The model's.
    is_split : bool
        Whether the data was handed over as it is, and not read from a source.
    """
    method = type(analyzer).analysis_method
    if _is_about_none(error):
        if analyzer.latest_result is None and _uses_none(error, method, 2):
            add_hint(error, _NO_RETURN if analyzer.num_iterations else _NO_AGGREGATE)
        if data is None and data_type == "none" and _uses_none(error, method, 1):
            add_hint(
                error,
                "data is None because the model says data_type='none': say 's3', 'fhir' or 'sql'",
            )
    elif isinstance(error, _OF_SHAPE) and data is not None:
        shape = _content_hint(data, data_type)
        if not is_file_dicts(data) and _takes_for_files(error, method):
            shape = _shape_hint(data, is_split=is_split)
        if shape:
            add_hint(error, shape)
        elif is_file_dicts(data):
            hint_missing(error, data, data_type)


@_harmless
def hint_evaluation(error: Exception, data: Any, data_type: str) -> None:
    """Explain an exception of ``evaluation_method`` that asked for data that is not there."""
    if is_file_dicts(data):
        hint_missing(error, data, data_type)


@_harmless
def hint_aggregator(
    error: Exception, aggregator: StarAggregator, names: Sequence[str], values: Sequence[Any]
) -> None:
    """Explain an exception of an aggregator's round, if a known fact does.

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
    elif _uses_none(error, method, 1, attribute=""):
        add_hint(error, _NO_RETURN)
    elif aggregator.latest_result is None and _uses_none(error, method, 2):
        add_hint(error, _NO_RETURN if aggregator.num_iterations else _NO_LAST_RESULT)


@_harmless
def hint_relative(error: BaseException) -> None:
    """Explain why a relative path was not found under Flower, without naming the path."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if isinstance(name, str) and not os.path.isabs(name):
        add_hint(error, _RELATIVE)


def is_file_dicts(data: Any) -> bool:
    """Tell whether data has the shape that a node's has: a list with one dict per source."""
    return isinstance(data, list) and all(isinstance(files, dict) for files in data)


# ---- a None that was forgotten ----------------------------------------------------------------


def _is_about_none(error: Exception) -> bool:
    # In all of Python's texts: "'NoneType' object is not iterable", "... is not subscriptable".
    return isinstance(error, _OF_NONE) and "NoneType" in text_of(error)


def _uses_none(
    error: Exception, method: Callable[..., Any], number: int, attribute: str = "latest_result"
) -> bool:
    """Tell whether the operation that failed uses a parameter of a user's method that is ``None``.

    In a function that the method calls it is what the method has handed on.

    Parameters
    ----------
    error : Exception
        With its traceback.
    method : callable
        The user's.
    number : int
        Which of its parameters; 1 is the one behind ``self``.
    attribute : str
        The attribute of ``self`` that holds the same as the second parameter; ``''`` for none.
    """
    step = user_step(error)
    if step is None:
        return False
    failed = operation(step, whole_line="unpack" in text_of(error))
    if isinstance(failed, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        failed = failed.generators[0].iter  # what fails in its body has a place of its own
    used = [*ast.walk(failed)]
    # `self.latest_result`, or the same attribute of anything, holds what the parameter does.
    if number == 2 and any(getattr(node, "attr", "") == attribute for node in used):
        return True
    frame = _frame_of(error, method)
    if frame is None or not (parameter := _name(frame.f_code, number)):
        return False
    if frame.f_locals.get(parameter, ...) is not None:
        return False  # it was given, or the method has put something in its place
    here = step.tb_frame
    names = passed_on(error, frame, parameter)
    return any(
        isinstance(node, ast.Name) and node.id in names and here.f_locals.get(node.id, ...) is None
        for node in used
    )


def _frame_of(error: Exception, method: Callable[..., Any]) -> FrameType | None:
    """Return the frame of a user's method in an exception's traceback."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    return next((step.tb_frame for step in steps(error) if step.tb_frame.f_code is code), None)


def _name(code: CodeType, number: int) -> str:
    return code.co_varnames[number] if code.co_argcount > number else ""


# ---- data of another shape --------------------------------------------------------------------


def _takes_for_files(error: Exception, analysis_method: Callable[..., Any]) -> bool:
    """Tell whether the failed operation uses ``data[0]`` as a dict of files."""
    step, frame = user_step(error), _frame_of(error, analysis_method)
    if step is None or frame is None:
        return False
    failed = operation(step)
    if isinstance(failed, ast.Call):
        failed = failed.func
    parts = [failed, getattr(failed, "value", None)]  # data[0], data[0]["x.csv"], data[0].items
    return any(
        isinstance(part, ast.Subscript)
        and isinstance(part.slice, ast.Constant)
        and isinstance(part.slice.value, int)
        and ast.unparse(part.value) == _name(frame.f_code, 1)
        for part in parts
    )


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
    """Describe a value's type, and the type of a list's elements; never a value."""
    name = type(value).__name__
    if isinstance(value, list | tuple) and value:
        return f"a {name} of {type(value[0]).__name__}"
    return f"of type {name}"
