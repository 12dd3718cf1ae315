"""The operation at which user code failed, as a syntax tree: Python knows where it stands."""

from __future__ import annotations

import ast
import linecache
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from flame_flwr.user_code.paths import is_user_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

__all__ = ["loops", "operation", "passed_on", "steps", "user_step"]


def steps(error: BaseException) -> Iterator[TracebackType]:
    """Yield the entries of an exception's traceback, the outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def user_step(error: BaseException) -> TracebackType | None:
    """Return the innermost entry of a traceback in user code; ``None`` where there is none."""
    found = [step for step in steps(error) if is_user_code(step.tb_frame.f_code.co_filename)]
    return found[-1] if found else None


def operation(step: TracebackType, *, whole_line: bool = False) -> ast.AST:
    """Return the failed operation, such as ``data[0]["x.csv"]``; for a loop its first line.

    Parameters
    ----------
    step : traceback
        An entry of a traceback.
    whole_line : bool
        Return the whole line: for ``a, b = c`` Python only marks ``a, b``.

    Raises
    ------
    SyntaxError
        The source is not there, or the operation spans lines and Python does not mark it.
    """
    code = step.tb_frame.f_code
    line = linecache.getline(code.co_filename, step.tb_lineno).strip()
    # `tb_lasti` counts bytes, and every instruction has two.
    first, last, start, end = next(islice(code.co_positions(), step.tb_lasti // 2, None))
    if not line:
        raise SyntaxError("the source is gone")
    if whole_line or first is None or last is None:
        return _statement(line)
    lines = [each.encode() for each in linecache.getlines(code.co_filename)[first - 1 : last]]
    lines[-1] = lines[-1][:end]  # columns count bytes
    lines[0] = lines[0][start:]
    try:  # in brackets, as the lines of one operation are indented and have line breaks in them
        return ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except SyntaxError:
        return _statement(line)


def loops(step: TracebackType) -> Iterator[ast.comprehension]:
    """Yield the loops of the comprehensions that the failed operation stands in.

    From Python 3.12 on they are a part of their function, and their variables are gone when the
    exception is looked at.

    Raises
    ------
    SyntaxError
        The source is not there.
    """
    code = step.tb_frame.f_code
    first, _, start, _ = next(islice(code.co_positions(), step.tb_lasti // 2, None))
    for node in ast.walk(ast.parse("".join(linecache.getlines(code.co_filename)))):
        if not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        ends = node.end_lineno or node.lineno, node.end_col_offset or 0
        if (node.lineno, node.col_offset) <= (first or 0, start or 0) < ends:
            yield from node.generators


def passed_on(error: BaseException, frame: FrameType, name: str) -> set[str]:
    """Return what a caller's value is called in the code that failed: it may have several names.

    Parameters
    ----------
    error : Exception
        With its traceback.
    frame : frame
        The caller's: one of the traceback's, of user code.
    name : str
        What the value is called there.

    Raises
    ------
    SyntaxError
        The source of a call on the way is not there.
    """
    own = [step for step in steps(error) if is_user_code(step.tb_frame.f_code.co_filename)]
    names = {name}
    for step, called in pairwise(own[[step.tb_frame for step in own].index(frame) :]):
        code = called.tb_frame.f_code
        # a variable of a function around keeps its name
        names = (names & {*code.co_freevars}) | _arguments(operation(step), step, code, names)
    return names


def _arguments(call: ast.AST, step: TracebackType, code: CodeType, names: set[str]) -> set[str]:
    """Return the parameters of a called function that have been given one of some names."""
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if isinstance(call, ast.Call) and _calls(call, step.tb_frame, code):
        first = int(isinstance(call.func, ast.Attribute) and parameters[:1] == ("self",))
        given = [*zip(parameters[first:], call.args, strict=False)]
        given += [(each.arg or "", each.value) for each in call.keywords]
        return {to for to, value in given if isinstance(value, ast.Name) and value.id in names}
    # Through map, sorted and the like: which parameter it became is not known, so each may be it.
    used = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    return {*parameters} if used & names else set()


def _calls(call: ast.Call, frame: FrameType, code: CodeType) -> bool:
    """Tell whether a call is that of a function itself, with no other function between."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr == code.co_name
    if isinstance(call.func, ast.Name):
        called = {**frame.f_globals, **frame.f_locals}.get(call.func.id)
        return getattr(called, "__code__", None) is code
    return isinstance(call.func, ast.Lambda)


def _statement(line: str) -> ast.AST:
    return ast.parse(f"{line} pass" if line.endswith(":") else line)
