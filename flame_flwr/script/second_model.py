"""Find a second ``StarModel(...)`` in a script's text, before any of the script is executed.

It looks only at what is executed for certain: statements one after another, at the top, under the
guard, and in a function without arguments that is called there. Whatever stands in a branch, a
loop, a ``try`` or a ``with`` is left to the run.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["second_model"]

_MODELS = {"StarModel", "StarLocalDPModel"}
_HOMES = {"flame.star", "flame_flwr.star"}


def second_model(tree: ast.Module) -> int:
    """Return the line of the second model that a script builds for certain, or 0.

    Parameters
    ----------
    tree : ast.Module
        The script.
    """
    names = _names(tree)
    functions = {
        statement.name: statement
        for statement in tree.body
        if isinstance(statement, ast.FunctionDef) and not statement.decorator_list
    }

    def lines(body: Sequence[ast.stmt]) -> list[int]:
        calls = _calls(body, functions, frozenset())
        return [
            call.lineno
            for call in calls
            if isinstance(call.func, ast.Name) and call.func.id in names
        ]

    found = lines(tree.body)
    if not found and "main" in functions:  # a script that builds nothing has its main() called
        found = lines(functions["main"].body)
    return found[1] if len(found) > 1 else 0


def _names(tree: ast.Module) -> set[str]:
    """Return what the script calls the models' classes, if it gives these names to nothing else."""
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module in _HOMES:
            for alias in statement.names:
                if alias.name == "*":
                    names |= _MODELS
                elif alias.name in _MODELS:
                    names.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.discard(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.discard(node.id)
    return names


def _calls(
    body: Sequence[ast.stmt], functions: dict[str, ast.FunctionDef], within: frozenset[str]
) -> Iterator[ast.Call]:
    """Give the calls that are statements or assigned, in the order of their execution."""
    for statement in body:
        if isinstance(statement, ast.Return | ast.Raise):
            return
        if isinstance(statement, ast.If) and not within and _is_guard(statement.test):
            yield from _calls(statement.body, functions, within)
        value = getattr(statement, "value", None)
        straight = isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign)
        if not straight or not isinstance(value, ast.Call):
            continue
        if _ends(value.func):
            return
        yield value
        name = value.func.id if isinstance(value.func, ast.Name) else ""
        if name in functions and name not in within and not (value.args or value.keywords):
            yield from _calls(functions[name].body, functions, within | {name})


def _is_guard(test: ast.expr) -> bool:
    return ast.unparse(test).replace('"', "'") in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _ends(function: ast.expr) -> bool:
    return ast.unparse(function) in ("exit", "quit", "sys.exit", "os._exit")
