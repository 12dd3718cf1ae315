"""The operation at which user code failed, as a syntax tree: Python knows where it stands."""

from __future__ import annotations

import ast
import linecache
from itertools import islice
from typing import TYPE_CHECKING

from flame_flwr.user_code import is_user_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["loops", "operation", "steps", "user_step"]


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
    first, last, start, end = next(islice(code.co_positions(), step.tb_lasti // 2, None))
    if not line:
        raise SyntaxError("the source is gone")
    if whole_line or first is None or last is None:
        return _statement(line)
    lines = [each.encode() for each in linecache.getlines(code.co_filename)[first - 1 : last]]
    lines[-1] = lines[-1][:end]  # columns count bytes
    lines[0] = lines[0][start:]
    try:
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


def _statement(line: str) -> ast.AST:
    return ast.parse(f"{line} pass" if line.endswith(":") else line)
